//! `unsafe-sysctls`: only kernel settings that are the pod's own are set.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "unsafe-sysctls",
    title: "a kernel setting that is not known to be safe",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "Kernel settings outside the safe list reach beyond the pod: they starve or open up its neighbours, \
          or switch protections of the node off.",
    fix: "drop the sysctl, or set it on the nodes",
    fields: &["spec.securityContext.sysctls[*].name"],
    controls: &[Control { standard: "Pod Security Standards, baseline", name: "Sysctls" }],
};

/// The sysctls that are safe, and since which minor version of Kubernetes 1.
const SAFE: [(&str, u16); 14] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
    ("net.ipv4.tcp_slow_start_after_idle", 37),
    ("net.ipv4.tcp_notsent_lowat", 37),
];

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnsafeSysctls {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for UnsafeSysctls {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }
}

impl Validator for UnsafeSysctls {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            for (position, name) in pod.sysctls().filter(|(_, name)| !self.is_safe(name)) {
                let place = pod.at_item("spec.securityContext.sysctls", position, "name");
                report.add(place, format_args!("must be a safe sysctl, not {}", quoted(name)));
            }
        }
        Ok(())
    }
}

impl UnsafeSysctls {
    fn is_safe(&self, name: &str) -> bool {
        SAFE.iter().any(|(safe, since)| *safe == name && self.version.is_since(*since))
    }
}
