//! `se-linux-options`: SELinux labels stay those of containers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Pod;
use crate::pod_security::Version;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The types that a container may have.
const CONTAINERS: [Allowed; 6] = [
    Allowed::Absent,
    Allowed::Value(""),
    Allowed::Value("container_t"),
    Allowed::Value("container_init_t"),
    Allowed::Value("container_kvm_t"),
    Allowed::Since(31, "container_engine_t"),
];

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeLinuxOptions {
    #[serde(skip)]
    version: Version,
}

impl Policy for SeLinuxOptions {
    const META: &'static Meta = &Meta {
        id: "se-linux-options",
        title: "an SELinux label that is not one of a container",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "The type decides what a process may touch on the node: with spc_t it is not held at all, and a user or \
              role of one's own leads to other types.",
        fix: "drop seLinuxOptions.user and role, and set the type to container_t, container_init_t or \
              container_kvm_t, or drop it",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.securityContext.seLinuxOptions.type"]).allow(&CONTAINERS),
            Fields::of_containers(&["securityContext.seLinuxOptions.type"]).allow(&CONTAINERS),
            Fields::of(&["spec.securityContext.seLinuxOptions.user", "spec.securityContext.seLinuxOptions.role"])
                .allow(&[Allowed::Absent, Allowed::Value("")]),
            Fields::of_containers(&["securityContext.seLinuxOptions.user", "securityContext.seLinuxOptions.role"])
                .allow(&[Allowed::Absent, Allowed::Value("")]),
        ],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "SELinux" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for SeLinuxOptions {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for context in request.pods().iter().flat_map(Pod::security_contexts) {
            let Some(options) = context.se_linux_options() else { continue };
            if !Allowed::names(&CONTAINERS, options.kind, self.version) {
                let kind = quoted(options.kind);
                let message = format_args!("must be a type of containers, such as container_t, not {kind}");
                report.add(context.at("seLinuxOptions.type"), message);
            }
            for (field, value) in [("seLinuxOptions.user", options.user), ("seLinuxOptions.role", options.role)] {
                if !value.is_empty() {
                    report.add(context.at(field), format_args!("must not be set, to {}", quoted(value)));
                }
            }
        }
        Ok(())
    }
}
