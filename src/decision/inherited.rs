//! What a write did not change does not refuse it.

use std::collections::HashMap;

use super::Judged;
use crate::config::Snapshot;
use crate::engine::{self, Outcome};
use crate::facts::Facts;
use crate::object::{Object, Within};
use crate::request::Request;

/// Marks the findings that the old object had too, outcome by outcome: a policy that runs twice, as configured and as the
/// namespace's labels ask, finds the same twice, in the old object as in the new one. An old object that is absent or
/// cannot be read excuses nothing; a policy with strict updates is left alone.
pub(super) fn mark(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [Vec<Judged>],
) {
    let Ok(Some(before)) = request.before(snapshot.workloads()) else { return };
    // Pods will be created from the whole template: it is the old one, byte for byte, or it is judged whole.
    let is_template = request.pods().iter().any(crate::object::Pod::is_template);
    let unchanged = request.object.as_ref().map(Object::templates) == before.object.as_ref().map(Object::templates);

    for (outcome, findings) in outcomes.iter().zip(findings) {
        // What nobody could say in time may be about the very thing that changes: it is not excused.
        if outcome.policy.strict_updates || outcome.result.is_err() || findings.is_empty() {
            continue;
        }
        if is_template {
            for finding in findings {
                finding.inherited = unchanged;
            }
            continue;
        }
        // As often as the old object had a finding, the new one inherits it.
        let mut had: HashMap<(Within, String), usize> = HashMap::new();
        for old in engine::judge_at_once(std::slice::from_ref(outcome.policy), &before, facts) {
            for finding in old.result.into_iter().flatten() {
                *had.entry((finding.place.within, finding.message)).or_default() += 1;
            }
        }
        for finding in findings.iter_mut().filter(|finding| finding.place.within != Within::Many) {
            let key = (finding.place.within.clone(), finding.message.clone());
            if let Some(left) = had.get_mut(&key).filter(|left| **left > 0) {
                *left -= 1;
                finding.inherited = true;
            }
        }
    }
}
