//! `host-probes`: probes and lifecycle handlers call nobody but their own pod.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The version that the control came with.
const BEGINS: Change = Change::begins(34);

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostProbes {
    #[serde(skip)]
    version: Version,
}

impl Policy for HostProbes {
    const META: &'static Meta = &Meta {
        id: "host-probes",
        title: "a probe or lifecycle handler that calls another host",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "The kubelet makes the call, from the node's network: naming a host turns every probe into a request to \
              whatever that node can reach.",
        fix: "drop the host of the probe or lifecycle handler, so that the pod itself is called",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_containers(&[
            "livenessProbe.httpGet.host",
            "livenessProbe.tcpSocket.host",
            "readinessProbe.httpGet.host",
            "readinessProbe.tcpSocket.host",
            "startupProbe.httpGet.host",
            "startupProbe.tcpSocket.host",
            "lifecycle.postStart.httpGet.host",
            "lifecycle.postStart.tcpSocket.host",
            "lifecycle.preStop.httpGet.host",
            "lifecycle.preStop.tcpSocket.host",
        ])
        .allow(&[Allowed::Absent, Allowed::Value("")])],
        changes: &[BEGINS],
        controls: &[Control {
            standard: "Pod Security Standards, baseline",
            name: "Host Probes / Lifecycle Hooks (v1.34+)",
        }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for HostProbes {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !BEGINS.holds(self.version) {
            return Ok(());
        }
        for container in request.containers() {
            for (field, host) in container.called_hosts() {
                let host = quoted(host);
                report.add(container.at(&field), format_args!("must not be {host}: only the pod itself may be called"));
            }
        }
        Ok(())
    }
}
