//! The findings of a policy, each with its mode for the request.

use std::sync::OnceLock;

use super::cap::{cap_on_writers, may_be_resolved_later};
use super::{FindingKind, ModedFinding};
use crate::engine::{ActivePolicy, Failure, Outcome};
use crate::mode::Mode;
use crate::object::Place;
use crate::policy::{Finding, Kinds};
use crate::request::Request;

/// The strongest mode that the policy takes on such objects. An object without pods is none of those that policies on Pods are for,
/// where the policy judges its kind by name.
fn limit(policy: &ActivePolicy, request: &Request<'_>) -> Mode {
    let strongest = |is_of: &dyn Fn(Kinds<'_>) -> bool| {
        policy.kinds().filter(|kinds| is_of(*kinds) && kinds.cover(request)).map(|kinds| policy.mode_on(kinds)).max()
    };
    let by_name = if request.pods().is_empty() { strongest(&|kinds| kinds != Kinds::Pods) } else { None };
    by_name.or_else(|| strongest(&|_| true)).unwrap_or(Mode::Enforce)
}

/// The findings of one outcome, none on the object in a stronger mode than `cap`.
pub(super) fn judged(request: &Request<'_>, cap: Mode, outcome: &Outcome<'_>) -> Vec<ModedFinding> {
    let policy = outcome.policy;
    let configured = (policy.configured > policy.mode).then_some(policy.configured);
    let cap = if policy.is_about_object() { cap } else { cap_on_writers(request) };
    let cap = cap.min(limit(policy, request));
    let judged = |finding: &Finding, failed| {
        let warns = finding.is_warning || may_be_resolved_later(policy, request, finding);
        let cap = if warns { cap.min(Mode::Warn) } else { cap };
        let (place, message) = (finding.place.clone(), finding.message.clone());
        ModedFinding {
            meta: policy.meta,
            place,
            message,
            mode: policy.mode.min(cap),
            configured,
            inherited: false,
            alike: finding.alike.clone(),
            is_of_owner: false,
            failed,
            exemption: None,
            trace: None,
            kind: FindingKind::Flaw,
            count: finding.count,
            text: OnceLock::new(),
        }
    };
    match &outcome.result {
        Ok(findings) => findings.iter().map(|finding| judged(finding, false)).collect(),
        Err(failure) => {
            let message = match failure {
                Failure::Panicked => "could not be judged: the policy failed on this object; please report it",
                Failure::Exhausted => {
                    "could not be judged: the object, or the network policies that are for it, hold more than the policy may look at; split \
                     them into smaller ones"
                }
                Failure::TimedOut => "could not be judged: the cluster did not answer in time; try again",
            };
            // The fact that did not arrive in time is about another object.
            let depends_on_cluster = *failure == Failure::TimedOut;
            let (place, message) = (Place::object(), message.to_owned());
            let finding = Finding { place, message, depends_on_cluster, is_warning: false, alike: None, count: 1 };
            vec![judged(&finding, true)]
        }
    }
}
