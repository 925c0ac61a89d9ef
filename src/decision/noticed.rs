//! The exceptions that a decision has something to say about: those that were used, and those for the judged object whose
//! findings are there, or are not.

use std::cell::LazyCell;
use std::sync::Arc;

use super::ModedFinding;
use crate::engine::{ActivePolicy, Outcome};
use crate::exception::{Containers, Exception, Seen, Shared, Spot, Subject};
use crate::object::{Object, Within};
use crate::policy::{Kinds, Meta};
use crate::request::{Operation, Request};
use crate::snapshot::Snapshot;

/// An exception, and the result for it of one judged object.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// The exception.
    pub exception: Shared,
    /// The result.
    pub seen: Seen,
}

impl Noticed {
    /// Counts it for the exception.
    pub fn count(&self) {
        self.exception.count(self.seen);
    }
}

/// The exceptions that covered a finding, and those that were for the object. Nothing is looked up but by the namespace and the
/// name of the object, and nothing allocated where no exception is for it.
pub(super) fn notice(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: &[ModedFinding],
) -> Vec<Noticed> {
    let mut noticed: Vec<Noticed> = Vec::new();
    if snapshot.exceptions().is_empty() {
        return noticed;
    }
    // Those of the topmost owner are among them.
    for exception in findings.iter().filter_map(|finding| finding.exemption.as_ref()?.exception()) {
        if !noticed.iter().any(|one| Arc::ptr_eq(&one.exception, exception)) {
            noticed.push(Noticed { exception: Shared::clone(exception), seen: Seen::Used });
        }
    }
    let used = noticed.len();
    let (Operation::Create | Operation::Update, Some(object)) = (request.operation, &request.object) else {
        return noticed;
    };
    let containers = Containers::of(request);
    let spots = LazyCell::new(|| -> Vec<(&ModedFinding, Spot<'_, '_>)> {
        findings.iter().map(|finding| (finding, containers.spot(&finding.place))).collect()
    });
    for exception in snapshot.exceptions().all_about(Subject::of(request), request.received) {
        if noticed[..used].iter().any(|one| Arc::ptr_eq(&one.exception, exception)) {
            continue;
        }
        if let Some(seen) = seen(exception, request, object, outcomes, &spots) {
            noticed.push(Noticed { exception: Shared::clone(exception), seen });
        }
    }
    noticed
}

/// The result for an exception that was not used; `None` if its policies do not judge such objects, or not all of them could.
fn seen(
    exception: &Exception,
    request: &Request<'_>,
    object: &Object<'_>,
    outcomes: &[Outcome<'_>],
    spots: &[(&ModedFinding, Spot<'_, '_>)],
) -> Option<Seen> {
    let is_own = |meta: &Meta| exception.policies.iter().any(|policy| std::ptr::eq(*policy, meta));
    let mut own = spots.iter().filter(|(finding, _)| is_own(finding.meta) && !finding.failed);
    if own.clone().any(|(_, spot)| exception.covers(spot)) {
        return Some(Seen::Found);
    }
    // Policies on pods run on every object, and have nothing to say of one without.
    let has_pods = !request.pods().is_empty();
    let is_for = |kinds: Kinds<'_>| kinds.cover(request) && (has_pods || kinds != Kinds::Pods);
    let is_asked = |policy: &ActivePolicy| is_own(policy.meta) && policy.kinds().any(is_for);
    let mut judged = outcomes.iter().filter(|outcome| is_asked(outcome.policy)).peekable();
    judged.peek()?;
    // A finding that stands for many does not say where they are.
    let is_known = object.unread().is_empty() && own.all(|(finding, _)| finding.place.within != Within::Many);
    (is_known && judged.all(|outcome| outcome.result.is_ok() && !outcome.left_out)).then_some(Seen::Clean)
}
