//! Marks the findings that an exception keeps from refusing.
//!
//! An exception takes away nothing but a refusal for a finding: no failure of a policy, and nothing that stands for a part of
//! the object that could not be read. It never adds one either.

use std::collections::HashMap;
use std::sync::Arc;

use super::cap::may_be_resolved_later;
use super::{BreakGlass, ModedFinding};
use crate::engine::Outcome;
use crate::exception::{Containers, Exception, Shared, Source, Subject};
use crate::object::Object;
use crate::policy::{Finding, Meta, catalogue};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// The reason why a finding does not refuse.
#[derive(Debug, Clone)]
pub enum Exemption {
    /// An exception covers it.
    Exception {
        /// The exception.
        exception: Shared,
        /// Policies that it requires and whose findings another object may resolve: the Pods of this template decide.
        undecided: Vec<&'static Meta>,
    },
    /// The user broke the glass.
    BreakGlass(Arc<BreakGlass>),
}

impl Exemption {
    /// The exception, if it is one.
    pub fn exception(&self) -> Option<&Shared> {
        match self {
            Self::Exception { exception, .. } => Some(exception),
            Self::BreakGlass(_) => None,
        }
    }

    /// Group and reason of break-glass, if it is that.
    pub fn break_glass(&self) -> Option<&BreakGlass> {
        match self {
            Self::Exception { .. } => None,
            Self::BreakGlass(glass) => Some(glass),
        }
    }

    /// Origin of the exemption.
    pub fn source(&self) -> Source {
        self.exception().map_or(Source::BreakGlass, |exception| exception.source)
    }
}

/// The policies that an exception requires.
enum Required {
    /// One of them does not hold, or it is not known.
    Missed,
    /// All of them hold, those left to the Pods included.
    Held { undecided: Vec<&'static Meta> },
}

/// Marks each of these findings that refuses and that an exception for `subject` covers, with the first such exception by name.
/// `subject` is the requested object, or one that owns it.
pub(super) fn mark<'f>(
    snapshot: &Snapshot,
    subject: &Subject<'_>,
    containers: &Containers<'_>,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: impl Iterator<Item = &'f mut ModedFinding>,
) {
    if snapshot.exceptions().is_empty() {
        return;
    }
    let mut about: HashMap<&str, Vec<(&Shared, Vec<&'static Meta>)>> = HashMap::new();
    for finding in findings.filter(|finding| finding.refuses() && !finding.failed) {
        let about = about.entry(finding.meta.id).or_insert_with(|| {
            let about = snapshot.exceptions().about(finding.meta, subject, request.received).into_iter();
            let counts = about.filter_map(|one| match required(snapshot, request, outcomes, one) {
                Required::Held { undecided } => Some((one, undecided)),
                Required::Missed => None,
            });
            counts.collect()
        });
        let spot = containers.spot(&finding.place);
        let first = about.iter().find(|(one, _)| one.covers(&spot));
        let exemption = first.map(|(exception, undecided)| Exemption::Exception {
            exception: Shared::clone(exception),
            undecided: undecided.clone(),
        });
        finding.exemption = exemption;
    }
}

/// Asks whether every policy that an exception requires holds for the request.
fn required(snapshot: &Snapshot, request: &Request<'_>, outcomes: &[Outcome<'_>], exception: &Exception) -> Required {
    let mut undecided = Vec::new();
    if exception.requires.is_empty() {
        return Required::Held { undecided };
    }
    // No policy has seen a field that could not be read.
    if request.object.as_ref().is_none_or(|object: &Object<'_>| !object.unread().is_empty()) {
        return Required::Missed;
    }
    for policy in &exception.requires {
        let is_own = |outcome: &&Outcome<'_>| std::ptr::eq(outcome.policy.meta, *policy);
        let mut decisive: Vec<&Outcome<'_>> = outcomes.iter().filter(is_own).collect();
        if decisive.is_empty() {
            decisive = outcomes.iter().filter(|outcome| replaces(snapshot, outcome, policy)).collect();
        }
        if decisive.is_empty() || !decisive.iter().all(|outcome| holds(request, outcome)) {
            return Required::Missed;
        }
        if decisive.iter().any(|outcome| outcome.result.as_ref().is_ok_and(|findings| !findings.is_empty())) {
            undecided.push(*policy);
        }
    }
    Required::Held { undecided }
}

/// True if a policy ran and found nothing but what another object may still resolve.
fn holds(request: &Request<'_>, outcome: &Outcome<'_>) -> bool {
    let is_later = |finding: &Finding| may_be_resolved_later(outcome.policy, request, finding);
    let is_clean = |findings: &Vec<Finding>| findings.iter().all(is_later);
    !outcome.left_out && outcome.result.as_ref().is_ok_and(is_clean)
}

/// True if a policy that ran finds all that `policy` finds, which therefore did not run.
fn replaces(snapshot: &Snapshot, outcome: &Outcome<'_>, policy: &Meta) -> bool {
    let version = outcome.policy.label.map_or(snapshot.version(), |demand| demand.version);
    catalogue::find(outcome.policy.meta.id).is_some_and(|entry| entry.replaces(version).contains(&policy.id))
}
