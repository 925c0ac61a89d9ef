//! `added-capabilities`: no container gets a capability that runtimes do not grant by themselves.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The capabilities that container runtimes grant by themselves, without NET_RAW.
const GRANTED: [Allowed; 14] = [
    Allowed::Absent,
    Allowed::Value("AUDIT_WRITE"),
    Allowed::Value("CHOWN"),
    Allowed::Value("DAC_OVERRIDE"),
    Allowed::Value("FOWNER"),
    Allowed::Value("FSETID"),
    Allowed::Value("KILL"),
    Allowed::Value("MKNOD"),
    Allowed::Value("NET_BIND_SERVICE"),
    Allowed::Value("SETFCAP"),
    Allowed::Value("SETGID"),
    Allowed::Value("SETPCAP"),
    Allowed::Value("SETUID"),
    Allowed::Value("SYS_CHROOT"),
];

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddedCapabilities {}

impl Policy for AddedCapabilities {
    const META: &'static Meta = &Meta {
        id: "added-capabilities",
        title: "a container with Linux capabilities beyond the runtime's own",
        severity: Severity::High,
        since: "0.1.0",
        why: "SYS_ADMIN, NET_ADMIN, SYS_PTRACE and their like each open a known way out of the container, and NET_RAW \
              lets it speak in its neighbours' names.",
        fix: "drop the entries of securityContext.capabilities.add that are not among the runtime's defaults",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_containers(&["securityContext.capabilities.add"]).allow(&GRANTED)],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Capabilities" }],
    };
}

impl Validator for AddedCapabilities {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            for (position, name) in container.added_capabilities().enumerate() {
                // The standard compares letter by letter: neither `chown` nor `CAP_CHOWN` is `CHOWN`.
                if !Allowed::names(&GRANTED, name, Version::LATEST) {
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
