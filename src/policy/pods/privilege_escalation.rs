//! `privilege-escalation`: no process gains more privileges than its parent.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// The version that the control came with.
const BEGINS: Change = Change::begins(8);

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivilegeEscalation {
    #[serde(skip)]
    version: Version,
}

impl Policy for PrivilegeEscalation {
    const META: &'static Meta = &Meta {
        id: "privilege-escalation",
        title: "a container whose processes may gain privileges",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Without no_new_privs a set-user-ID program in the image turns an ordinary user back into root, whatever \
              runAsNonRoot says.",
        fix: "set securityContext.allowPrivilegeEscalation: false on each container",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.os.name"]),
            Fields::of_containers(&["securityContext.allowPrivilegeEscalation"]).allow(&[Allowed::Value("false")]),
        ],
        changes: &[BEGINS, Change::EXEMPTS_WINDOWS],
        controls: &[Control { standard: "Pod Security Standards, restricted", name: "Privilege Escalation (v1.8+)" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for PrivilegeEscalation {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !BEGINS.holds(self.version) {
            return Ok(());
        }
        for container in request.containers() {
            let exempt = Change::EXEMPTS_WINDOWS.holds(self.version) && container.pod().is_windows();
            if !exempt && container.allow_privilege_escalation() != Some(false) {
                report.add(container.at("securityContext.allowPrivilegeEscalation"), "must be false");
            }
        }
        Ok(())
    }
}
