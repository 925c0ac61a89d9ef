//! `added-capabilities`: no container gets a capability that runtimes do not grant by themselves.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "added-capabilities",
    title: "a container with Linux capabilities beyond the runtime's own",
    severity: Severity::High,
    since: "0.1.0",
    why: "SYS_ADMIN, NET_ADMIN, SYS_PTRACE and their like each open a known way out of the container, and \
          NET_RAW lets it speak in its neighbours' names.",
    fix: "drop the entries of securityContext.capabilities.add that are not among the runtime's defaults",
    fields: &[
        "spec.containers[*].securityContext.capabilities.add",
        "spec.initContainers[*].securityContext.capabilities.add",
        "spec.ephemeralContainers[*].securityContext.capabilities.add",
    ],
    controls: &[Control { standard: "Pod Security Standards, baseline", name: "Capabilities" }],
};

/// What container runtimes grant by themselves, but for NET_RAW.
const GRANTED: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddedCapabilities {}

impl Policy for AddedCapabilities {
    const META: &'static Meta = &META;
}

impl Validator for AddedCapabilities {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            for (position, name) in container.added_capabilities().enumerate() {
                // The standard compares letter by letter: neither `chown` nor `CAP_CHOWN` is `CHOWN`.
                if !GRANTED.contains(&name) {
                    let place = container.at_item("securityContext.capabilities.add", position, "");
                    report.add(
                        place,
                        format_args!("must not be {}: it is not among the runtime's defaults", quoted(name)),
                    );
                }
            }
        }
        Ok(())
    }
}
