//! `routine-admins`: keys of administrators are for emergencies.
//!
//! A write by a member of `system:masters`, or of another group that the settings or `breakGlass` of the configuration name, is a
//! finding, and its record is of the class `access`. Reading is not judged, and neither is a connection, which
//! `interactive-access` judges.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Place;
use crate::object::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, SERVICE_ACCOUNTS};
use crate::policy::names::Groups;
use crate::policy::writers::{self, KINDS};
use crate::policy::{About, Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The group whose members may do anything, whatever RBAC says.
const MASTERS: &str = "system:masters";
/// Kinds that live in no namespace.
const OF_THE_CLUSTER: [Kinds<'static>; 3] =
    [Kinds::Resource(CLUSTER_ROLES), Kinds::Resource(CLUSTER_ROLE_BINDINGS), Kinds::Resource(NAMESPACES)];
/// The kinds of both.
const ALL: [Kinds<'static>; KINDS.len() + 3] = {
    let mut all = [Kinds::Pods; KINDS.len() + 3];
    let (in_namespaces, of_the_cluster) = all.split_at_mut(KINDS.len());
    in_namespaces.copy_from_slice(KINDS);
    of_the_cluster.copy_from_slice(&OF_THE_CLUSTER);
    all
};

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RoutineAdmins {
    /// Groups of administrators. Those of `breakGlass` in the configuration are always among them.
    groups: Groups,
}

impl Default for RoutineAdmins {
    fn default() -> Self {
        Self { groups: Groups::of([MASTERS]) }
    }
}

impl Policy for RoutineAdmins {
    const META: &'static Meta = &Meta {
        id: "routine-admins",
        title: "a write by a member of `system:masters` or of a break-glass group",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Keys of administrators pass every authorization, and one that is used every day is lost one day. Keep them for \
              emergencies, and look at each use.",
        fix: "use an account with the rights that the work needs, and keep the groups of administrators for emergencies; \
              deploy/access.md describes the settings",
        kinds: &ALL,
        fields: &[Fields::USER.allow(&[
            Allowed::Words("a user in none of the listed groups"),
            Allowed::Words("a component of Kubernetes"),
        ])],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Authentication and authorization",
        }],
    };

    fn know_break_glass(&mut self, groups: &[String]) {
        self.groups.add(groups);
    }
}

impl Validator for RoutineAdmins {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        // Who writes is asked first: what changed takes longer to tell.
        let group = self.groups.first_of(request.user.groups.as_deref().unwrap_or_default());
        let Some(group) = group else { return Ok(()) };
        if let Some(user) = writers::writer(&ALL, request) {
            let (who, group) = (quoted(user.name()), quoted(group));
            let message =
                format_args!("must come from a user who is no administrator, and not from {who}, a member of {group}");
            report.add(Place::object(), message);
        }
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds<'_>) -> bool {
        kinds == Kinds::Resource(SERVICE_ACCOUNTS)
    }

    fn about(&self) -> About {
        About::Administrator
    }
}
