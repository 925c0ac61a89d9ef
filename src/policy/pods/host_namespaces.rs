//! `host-namespaces`: no pod shares the namespaces of its node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostNamespaces {}

impl Policy for HostNamespaces {
    const META: &'static Meta = &Meta {
        id: "host-namespaces",
        title: "a pod in the network, process or IPC namespace of its node",
        severity: Severity::High,
        since: "0.1.0",
        why: "On the node's network a pod reaches what listens on localhost and no NetworkPolicy holds it; among the \
              node's processes it sees their secrets and may signal them.",
        fix: "drop hostNetwork, hostPID and hostIPC, and reach the node's services through a Service or the kubelet's \
              API",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.hostNetwork", "spec.hostPID", "spec.hostIPC"])
            .allow(&[Allowed::Absent, Allowed::Value("false")])],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Host Namespaces" }],
    };
}

impl Validator for HostNamespaces {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            let shared = [
                ("spec.hostNetwork", pod.is_on_host_network()),
                ("spec.hostPID", pod.is_in_host_pid_namespace()),
                ("spec.hostIPC", pod.is_in_host_ipc_namespace()),
            ];
            for (field, _) in shared.into_iter().filter(|(_, is_shared)| *is_shared) {
                report.add(pod.at(field), "must not be true");
            }
        }
        Ok(())
    }
}
