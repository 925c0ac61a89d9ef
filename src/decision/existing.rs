//! Findings that a workload had before a certain time (`existing`): its Pods inherit them.
//!
//! The topmost owner, as [`super::owner`] finds it, must have been created before that time, and its stored template must have
//! the same finding. No failure of a policy is inherited, and nothing for a policy with strict updates. An exception comes
//! first: what it covers is exempt, and only what is left may be inherited.
//!
//! Templates that a controller owns are never refused elsewhere, so that anybody may write into one, and take the controller away
//! later: an old workload of its own would be left with findings that nobody judged. Where Pods may inherit, an update that changes
//! such a template is therefore judged; and one that takes the controller away inherits nothing from the old object, but only what
//! the owner has that it loses.

use jiff::Timestamp;

use super::{FindingKind, ModedFinding};
use crate::engine::{ActivePolicy, Outcome};
use crate::mode::Mode;
use crate::request::{Operation, Request};
use crate::snapshot::Snapshot;

/// True if the finding refuses, or would but for the template's owner, and may be inherited from an owner.
pub(super) fn may_inherit(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    finding: &ModedFinding,
) -> bool {
    if snapshot.existing().is_none() || finding.failed || finding.inherited || finding.exemption.is_some() {
        return false;
    }
    let counts = finding.refuses()
        || finding.kind == FindingKind::Flaw && finding.mode == Mode::Warn && request.is_owned_template();
    let policies = outcomes.iter().map(|outcome| outcome.policy);
    let mut enforced =
        policies.filter(|policy| std::ptr::eq(policy.meta, finding.meta) && policy.mode == Mode::Enforce);
    counts && enforced.next().is_some_and(|first| first.inherits() && enforced.all(ActivePolicy::inherits))
}

/// Marks those of these findings, which the template of the topmost owner has too, that its age lets a Pod inherit.
pub(super) fn mark<'f>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    created: Option<Timestamp>,
    findings: impl Iterator<Item = &'f mut ModedFinding>,
) {
    let is_old = snapshot.existing().zip(created).is_some_and(|(before, created)| created < before);
    for finding in findings.filter(|_| is_old) {
        if may_inherit(snapshot, request, outcomes, finding) {
            (finding.inherited, finding.is_of_owner) = (true, true);
        }
    }
}

/// True if an update changes a template that a controller owns. Such templates are never refused otherwise, and what a controller
/// owns can lose it unseen, by a write to its status.
pub(super) fn is_rewritten(snapshot: &Snapshot, request: &Request<'_>) -> bool {
    if snapshot.existing().is_none() || request.operation != Operation::Update || !request.is_owned_template() {
        return false;
    }
    let Ok(Some(before)) = request.before(snapshot.workloads()) else { return true };
    !request.has_templates_of(&before)
}

/// True if an update takes the controller away from a template, which was therefore never refused.
pub(super) fn is_released(snapshot: &Snapshot, request: &Request<'_>, before: &Request<'_>) -> bool {
    snapshot.existing().is_some() && !request.is_owned() && before.is_owned_template()
}
