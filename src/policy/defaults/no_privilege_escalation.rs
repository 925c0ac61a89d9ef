//! `default-no-privilege-escalation`: `no_new_privs` where nothing else was asked for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update, WINDOWS};
use crate::object::Container;
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The field, in a container.
const FIELD: &str = "securityContext.allowPrivilegeEscalation";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultNoPrivilegeEscalation {}

impl Defaulter for DefaultNoPrivilegeEscalation {
    const META: &'static Meta = &Meta {
        id: "default-no-privilege-escalation",
        title: "allowPrivilegeEscalation: false on containers that say nothing",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Few programs need set-user-ID helpers, and without them no process gains more than its parent had. \
              Privileged containers and those that add SYS_ADMIN are left alone: the API server would refuse the pair.",
        fix: "write securityContext.allowPrivilegeEscalation in the container, and nothing is set",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_containers(&["securityContext.allowPrivilegeEscalation"])],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Safe;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Programs that gain rights when they start. The kernel ignores file capabilities, which the images of \
           ingress-nginx, Caddy and Vault rely on: the program cannot bind a port below 1024 or lock memory, or does \
           not start at all. It ignores set-user-ID bits too (sudo, su, ping, fusermount).",
        exclude: "write securityContext.allowPrivilegeEscalation: true in the container",
    };
}

impl Mutator for DefaultNoPrivilegeEscalation {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for container in target.linux_pods().flat_map(|pod| target.containers(pod)) {
            if !is_mighty(container) && container.allow_privilege_escalation().is_none() {
                edits.set(container.at(FIELD), false);
            }
        }
    }

    fn keep(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers() {
            if before.allow_privilege_escalation() == Some(false) && now.allow_privilege_escalation().is_none() {
                edits.keep(now.at(FIELD), false);
            }
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers().filter(|(_, now)| now.allow_privilege_escalation() == Some(false)) {
            if update.turns_to_windows() {
                edits.take_back(now.at(FIELD), false, WINDOWS);
            } else if is_mighty(now) && !is_mighty(before) {
                edits.take_back(now.at(FIELD), false, "the container is now privileged or adds SYS_ADMIN");
            }
        }
    }
}

/// True if the API server would refuse the field (`ValidateSecurityContext` in
/// `K/pkg/apis/core/validation/validation.go`).
fn is_mighty(container: Container<'_, '_>) -> bool {
    let mut added = container.added_capabilities();
    container.is_privileged() || added.any(|name| name == "SYS_ADMIN" || name == "CAP_SYS_ADMIN")
}
