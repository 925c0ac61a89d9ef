//! Updates of Roles and of bindings that grant nothing new, and the one writer besides the API server that is never refused.
//!
//! Two findings with the same message may stand for rights of different width, so that messages are not compared here. A rule
//! inherits its findings if the old rules together granted all of it, as the API server's own check for escalation has it
//! (`Covers` of `k8s.io/component-helpers/auth/rbac/validation`), and a subject if it was a subject of the same role before.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::object::Place;
use crate::object::resource::{ClusterRole, Role, Rule, Subject};
use crate::object::unchanged::{is_same_in, value_in};
use crate::policy::writers::CONTROLLER_MANAGER;
use crate::request::{Operation, Request};

/// Comparisons of strings for one update. Whatever takes more is judged.
const COMPARISONS: usize = 4_000_000;
/// The controller that fills in the rules of aggregated ClusterRoles: its ServiceAccount, and the user that it is where
/// kube-controller-manager runs without `--use-service-account-credentials`.
const AGGREGATORS: [&str; 2] =
    ["system:serviceaccount:kube-system:clusterrole-aggregation-controller", CONTROLLER_MANAGER];

/// True for what the clusterrole-aggregation-controller exists for: an update of a ClusterRole that had an aggregationRule, and has
/// the same one and the same labels after it.
pub(super) fn is_aggregation(request: &Request<'_>) -> bool {
    let is_own = |sent, old| {
        value_in(old, &["aggregationRule"]).is_some_and(|rule| rule.get() != "null")
            && is_same_in(sent, old, &["aggregationRule"])
            && is_same_in(sent, old, &["metadata", "labels"])
    };
    request.operation == Operation::Update
        && AGGREGATORS.contains(&request.user.name())
        && request.object_as::<ClusterRole<'_>>().is_some()
        && request.sent.zip(request.old).is_some_and(|(sent, old)| is_own(sent, old))
}

/// Rights that an update grants, and those that were granted before it.
pub(super) struct Granted<'r> {
    of: Of<'r>,
    /// Comparisons that are left.
    left: Cell<usize>,
    known: RefCell<HashMap<usize, bool>>,
}

enum Of<'r> {
    Rules { new: Vec<&'r Rule<'r>>, old: Vec<&'r Rule<'r>>, is_same_aggregation: bool },
    Subjects { new: Vec<&'r Subject<'r>>, old: Vec<&'r Subject<'r>>, is_same_role: bool },
}

impl<'r> Granted<'r> {
    /// For an update of a Role, ClusterRole, RoleBinding or ClusterRoleBinding.
    pub(super) fn of(request: &'r Request<'_>, before: &'r Request<'_>) -> Option<Self> {
        let of = match (request.grant(), before.grant()) {
            (Some(new), Some(old)) => Of::Subjects {
                new: new.subjects().collect(),
                old: old.subjects().collect(),
                is_same_role: new.role() == old.role(),
            },
            _ if is_role(request) => {
                // A role that is aggregated into another one grants its rules there.
                if is_newly_aggregated(request, before) {
                    return Some(Self::none());
                }
                let is_same = |(sent, old)| is_same_in(sent, old, &["aggregationRule"]);
                Of::Rules {
                    new: request.rules().collect(),
                    old: before.rules().collect(),
                    is_same_aggregation: request.sent.zip(request.old).is_some_and(is_same),
                }
            }
            _ => return None,
        };
        Some(Self { of, left: Cell::new(COMPARISONS), known: RefCell::default() })
    }

    /// Nothing was granted before.
    fn none() -> Self {
        let of = Of::Subjects { new: Vec::new(), old: Vec::new(), is_same_role: false };
        Self { of, left: Cell::new(0), known: RefCell::default() }
    }

    /// True if all that is at that place was granted before.
    pub(super) fn covers(&self, place: &Place) -> bool {
        match (&self.of, place.path.item()) {
            (Of::Rules { new, old, .. }, Some(("rules", position))) => self.covers_rule(new, old, position),
            (Of::Rules { is_same_aggregation, .. }, Some(_)) => *is_same_aggregation,
            (Of::Rules { new, old, is_same_aggregation }, None) => {
                *is_same_aggregation && (0..new.len()).all(|position| self.covers_rule(new, old, position))
            }
            (Of::Subjects { new, old, is_same_role }, Some((_, position))) => {
                *is_same_role && new.get(position).is_some_and(|subject| self.covers_subject(old, subject))
            }
            (Of::Subjects { new, old, is_same_role }, None) => {
                *is_same_role && new.iter().all(|subject| self.covers_subject(old, subject))
            }
        }
    }

    fn covers_rule(&self, new: &[&Rule<'_>], old: &[&Rule<'_>], position: usize) -> bool {
        if let Some(known) = self.known.borrow().get(&position) {
            return *known;
        }
        let Some(rule) = new.get(position) else { return false };
        // Most updates leave it as it is, and where.
        let is_same = old.get(position).is_some_and(|old| old == rule);
        let is_covered =
            is_same || rule.atoms().all(|atom| old.iter().any(|old| self.take(old.size()) && old.covers(&atom)));
        self.known.borrow_mut().insert(position, is_covered);
        is_covered
    }

    fn covers_subject(&self, old: &[&Subject<'_>], subject: &Subject<'_>) -> bool {
        old.iter().any(|old| self.take(1) && *old == subject)
    }

    /// Takes a number of comparisons; false if fewer are left.
    fn take(&self, count: usize) -> bool {
        let left = self.left.get().checked_sub(count);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// True if a label that it did not have selects it for an aggregated ClusterRole of Kubernetes, or may.
fn is_newly_aggregated(request: &Request<'_>, before: &Request<'_>) -> bool {
    let (Some(new), Some(old)) = (&request.object, &before.object) else { return true };
    let is_new = |(key, value): (&str, &str)| {
        key.starts_with("rbac.authorization.k8s.io/aggregate-to-") && old.metadata().label(key) != Some(value)
    };
    new.metadata().labels().any(is_new)
}

fn is_role(request: &Request<'_>) -> bool {
    request.object_as::<Role<'_>>().is_some() || request.object_as::<ClusterRole<'_>>().is_some()
}
