//! `root-users`: no process starts as root.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "root-users",
    title: "a container that may run as root",
    severity: Severity::High,
    since: "0.1.0",
    why: "Root in a container is root on the node's kernel: one flaw in the runtime, or one mount too many, and it is \
          root on the node.",
    fix: "set securityContext.runAsNonRoot: true on the pod or on each container, and let the image or runAsUser name \
          a user other than 0",
    fields: &[
        "spec.hostUsers",
        "spec.securityContext.runAsNonRoot",
        "spec.securityContext.runAsUser",
        "spec.containers[*].securityContext.runAsNonRoot",
        "spec.containers[*].securityContext.runAsUser",
        "spec.initContainers[*].securityContext.runAsNonRoot",
        "spec.initContainers[*].securityContext.runAsUser",
        "spec.ephemeralContainers[*].securityContext.runAsNonRoot",
        "spec.ephemeralContainers[*].securityContext.runAsUser",
    ],
    controls: &[
        Control { standard: "Pod Security Standards, restricted", name: "Running as Non-root" },
        Control { standard: "Pod Security Standards, restricted", name: "Running as Non-root user (v1.23+)" },
    ],
};

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootUsers {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for RootUsers {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }
}

impl Validator for RootUsers {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            // KEP-127: root in a user namespace is nobody on the node.
            if self.version.is_since(35) && pod.has_user_namespace() {
                continue;
            }
            let inherited = pod.run_as_non_root();
            if inherited == Some(false) {
                report.add(pod.at("spec.securityContext.runAsNonRoot"), "must not be false");
            }
            let judges_users = self.version.is_since(23);
            if judges_users && pod.run_as_user() == Some(0) {
                report.add(pod.at("spec.securityContext.runAsUser"), "must not be 0");
            }
            for container in pod.containers() {
                match container.run_as_non_root() {
                    Some(true) => {}
                    Some(false) => report.add(container.at("securityContext.runAsNonRoot"), "must be true"),
                    None if inherited == Some(true) => {}
                    None => report.add(
                        container.at("securityContext.runAsNonRoot"),
                        "must be true, here or in the pod's securityContext",
                    ),
                }
                if judges_users && container.run_as_user() == Some(0) {
                    report.add(container.at("securityContext.runAsUser"), "must not be 0");
                }
            }
        }
        Ok(())
    }
}
