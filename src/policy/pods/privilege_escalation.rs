//! `privilege-escalation`: no process gains more privileges than its parent.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "privilege-escalation",
    title: "a container whose processes may gain privileges",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "Without no_new_privs a set-user-ID program in the image turns an ordinary user back into root, whatever \
          runAsNonRoot says.",
    fix: "set securityContext.allowPrivilegeEscalation: false on each container",
    fields: &[
        "spec.os.name",
        "spec.containers[*].securityContext.allowPrivilegeEscalation",
        "spec.initContainers[*].securityContext.allowPrivilegeEscalation",
        "spec.ephemeralContainers[*].securityContext.allowPrivilegeEscalation",
    ],
    controls: &[Control { standard: "Pod Security Standards, restricted", name: "Privilege Escalation (v1.8+)" }],
};

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivilegeEscalation {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for PrivilegeEscalation {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }
}

impl Validator for PrivilegeEscalation {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !self.version.is_since(8) {
            return Ok(());
        }
        for container in request.containers() {
            let exempt = self.version.is_since(25) && container.pod().is_windows();
            if !exempt && container.allow_privilege_escalation() != Some(false) {
                report.add(container.at("securityContext.allowPrivilegeEscalation"), "must be false");
            }
        }
        Ok(())
    }
}
