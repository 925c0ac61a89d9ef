//! `host-ports`: no container takes a port of its node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostPorts {}

impl Policy for HostPorts {
    const META: &'static Meta = &Meta {
        id: "host-ports",
        title: "a container that takes a port of its node",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "A port of the node is reached by everything that reaches the node, past Services and most \
              NetworkPolicies, and lets a pod stand in for what the node itself serves.",
        fix: "drop hostPort, and publish the port through a Service",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_containers(&["ports[*].hostPort"]).allow(&[Allowed::Absent, Allowed::Value("0")])],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Host Ports" }],
    };
}

impl Validator for HostPorts {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            let reason = if container.pod().is_on_host_network() { ", as every one with hostNetwork" } else { "" };
            for (position, port) in container.host_ports() {
                let place = container.at_item("ports", position, "hostPort");
                let message = format_args!("must not be set: the container would take port {port} of its node{reason}");
                report.add(place, message);
            }
        }
        Ok(())
    }
}
