//! `root-users`: no process starts as root.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// The control on users came with 1.23.
const JUDGES_USERS: Change = Change::new(23, "`runAsUser` must not be `0`");
/// KEP-127: root in a user namespace is nobody on the node.
const EXEMPTS_USER_NAMESPACES: Change = Change::new(35, "Pods with `spec.hostUsers: false` are exempt");

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootUsers {
    #[serde(skip)]
    version: Version,
}

impl Policy for RootUsers {
    const META: &'static Meta = &Meta {
        id: "root-users",
        title: "a container that may run as root",
        severity: Severity::High,
        since: "0.1.0",
        why: "Root in a container is root on the node's kernel: one flaw in the runtime, or one mount too many, and \
              it is root on the node.",
        fix: "set securityContext.runAsNonRoot: true on the pod or on each container, and let the image or runAsUser \
              name a user other than 0",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.hostUsers"]),
            Fields::of(&["spec.securityContext.runAsNonRoot"])
                .allow(&[Allowed::Value("true"), Allowed::Words("absent where each container's is `true`")]),
            Fields::of(&["spec.securityContext.runAsUser"])
                .allow(&[Allowed::Absent, Allowed::Words("anything but `0`")]),
            Fields::of_containers(&["securityContext.runAsNonRoot"])
                .allow(&[Allowed::Value("true"), Allowed::Words("absent where the pod's is `true`")]),
            Fields::of_containers(&["securityContext.runAsUser"])
                .allow(&[Allowed::Absent, Allowed::Words("anything but `0`")]),
        ],
        changes: &[JUDGES_USERS, EXEMPTS_USER_NAMESPACES],
        controls: &[
            Control { standard: "Pod Security Standards, restricted", name: "Running as Non-root" },
            Control { standard: "Pod Security Standards, restricted", name: "Running as Non-root user (v1.23+)" },
        ],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for RootUsers {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            if EXEMPTS_USER_NAMESPACES.holds(self.version) && pod.has_user_namespace() {
                continue;
            }
            let inherited = pod.run_as_non_root();
            if inherited == Some(false) {
                report.add(pod.at("spec.securityContext.runAsNonRoot"), "must not be false");
            }
            let judges_users = JUDGES_USERS.holds(self.version);
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
