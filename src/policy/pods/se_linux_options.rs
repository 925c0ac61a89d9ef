//! `se-linux-options`: SELinux labels stay those of containers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Pod;
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "se-linux-options",
    title: "an SELinux label that is not one of a container",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "The type decides what a process may touch on the node: with spc_t it is not held at all, and a user \
          or role of one's own leads to other types.",
    fix: "drop seLinuxOptions.user and role, and set the type to container_t, container_init_t or \
          container_kvm_t, or drop it",
    fields: &[
        "spec.securityContext.seLinuxOptions.type",
        "spec.securityContext.seLinuxOptions.user",
        "spec.securityContext.seLinuxOptions.role",
        "spec.containers[*].securityContext.seLinuxOptions.type",
        "spec.initContainers[*].securityContext.seLinuxOptions.type",
        "spec.ephemeralContainers[*].securityContext.seLinuxOptions.type",
        "spec.containers[*].securityContext.seLinuxOptions.user",
        "spec.initContainers[*].securityContext.seLinuxOptions.user",
        "spec.ephemeralContainers[*].securityContext.seLinuxOptions.user",
        "spec.containers[*].securityContext.seLinuxOptions.role",
        "spec.initContainers[*].securityContext.seLinuxOptions.role",
        "spec.ephemeralContainers[*].securityContext.seLinuxOptions.role",
    ],
    controls: &[Control { standard: "Pod Security Standards, baseline", name: "SELinux" }],
};

/// The types that a container may have in every version; container_engine_t came with 1.31.
const CONTAINERS: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeLinuxOptions {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for SeLinuxOptions {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }
}

impl Validator for SeLinuxOptions {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for context in request.pods().iter().flat_map(Pod::security_contexts) {
            let Some(options) = context.se_linux_options() else { continue };
            let is_engine = self.version.is_since(31) && options.kind == "container_engine_t";
            if !CONTAINERS.contains(&options.kind) && !is_engine {
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
