//! `unsafe-sysctls`: only kernel settings that are the pod's own are set.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The sysctls that are safe.
const SAFE: [Allowed; 14] = [
    Allowed::Value("kernel.shm_rmid_forced"),
    Allowed::Value("net.ipv4.ip_local_port_range"),
    Allowed::Value("net.ipv4.tcp_syncookies"),
    Allowed::Value("net.ipv4.ping_group_range"),
    Allowed::Value("net.ipv4.ip_unprivileged_port_start"),
    Allowed::Since(27, "net.ipv4.ip_local_reserved_ports"),
    Allowed::Since(29, "net.ipv4.tcp_keepalive_time"),
    Allowed::Since(29, "net.ipv4.tcp_fin_timeout"),
    Allowed::Since(29, "net.ipv4.tcp_keepalive_intvl"),
    Allowed::Since(29, "net.ipv4.tcp_keepalive_probes"),
    Allowed::Since(32, "net.ipv4.tcp_rmem"),
    Allowed::Since(32, "net.ipv4.tcp_wmem"),
    Allowed::Since(37, "net.ipv4.tcp_slow_start_after_idle"),
    Allowed::Since(37, "net.ipv4.tcp_notsent_lowat"),
];

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnsafeSysctls {
    #[serde(skip)]
    version: Version,
}

impl Policy for UnsafeSysctls {
    const META: &'static Meta = &Meta {
        id: "unsafe-sysctls",
        title: "a kernel setting that is not known to be safe",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Kernel settings outside the safe list reach beyond the pod: they starve or open up its neighbours, or \
              switch protections of the node off.",
        fix: "drop the sysctl, or set it on the nodes",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.securityContext.sysctls[*].name"]).allow(&SAFE)],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Sysctls" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for UnsafeSysctls {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            for (position, name) in pod.sysctls().filter(|(_, name)| !Allowed::names(&SAFE, name, self.version)) {
                let place = pod.at_item("spec.securityContext.sysctls", position, "name");
                report.add(place, format_args!("must be a safe sysctl, not {}", quoted(name)));
            }
        }
        Ok(())
    }
}
