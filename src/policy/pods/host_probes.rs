//! `host-probes`: probes and lifecycle handlers call nobody but their own pod.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "host-probes",
    title: "a probe or lifecycle handler that calls another host",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "The kubelet makes the call, from the node's network: naming a host turns every probe into a request \
          to whatever that node can reach.",
    fix: "drop the host of the probe or lifecycle handler, so that the pod itself is called",
    fields: &[
        "spec.containers[*].livenessProbe.httpGet.host",
        "spec.containers[*].livenessProbe.tcpSocket.host",
        "spec.containers[*].readinessProbe.httpGet.host",
        "spec.containers[*].readinessProbe.tcpSocket.host",
        "spec.containers[*].startupProbe.httpGet.host",
        "spec.containers[*].startupProbe.tcpSocket.host",
        "spec.containers[*].lifecycle.postStart.httpGet.host",
        "spec.containers[*].lifecycle.postStart.tcpSocket.host",
        "spec.containers[*].lifecycle.preStop.httpGet.host",
        "spec.containers[*].lifecycle.preStop.tcpSocket.host",
        "spec.initContainers[*].livenessProbe.httpGet.host",
        "spec.initContainers[*].livenessProbe.tcpSocket.host",
        "spec.initContainers[*].readinessProbe.httpGet.host",
        "spec.initContainers[*].readinessProbe.tcpSocket.host",
        "spec.initContainers[*].startupProbe.httpGet.host",
        "spec.initContainers[*].startupProbe.tcpSocket.host",
        "spec.initContainers[*].lifecycle.postStart.httpGet.host",
        "spec.initContainers[*].lifecycle.postStart.tcpSocket.host",
        "spec.initContainers[*].lifecycle.preStop.httpGet.host",
        "spec.initContainers[*].lifecycle.preStop.tcpSocket.host",
        "spec.ephemeralContainers[*].livenessProbe.httpGet.host",
        "spec.ephemeralContainers[*].livenessProbe.tcpSocket.host",
        "spec.ephemeralContainers[*].readinessProbe.httpGet.host",
        "spec.ephemeralContainers[*].readinessProbe.tcpSocket.host",
        "spec.ephemeralContainers[*].startupProbe.httpGet.host",
        "spec.ephemeralContainers[*].startupProbe.tcpSocket.host",
        "spec.ephemeralContainers[*].lifecycle.postStart.httpGet.host",
        "spec.ephemeralContainers[*].lifecycle.postStart.tcpSocket.host",
        "spec.ephemeralContainers[*].lifecycle.preStop.httpGet.host",
        "spec.ephemeralContainers[*].lifecycle.preStop.tcpSocket.host",
    ],
    controls: &[Control {
        standard: "Pod Security Standards, baseline",
        name: "Host Probes / Lifecycle Hooks (v1.34+)",
    }],
};

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostProbes {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for HostProbes {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }
}

impl Validator for HostProbes {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !self.version.is_since(34) {
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
