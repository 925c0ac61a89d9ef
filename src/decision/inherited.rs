//! What a write did not change does not refuse it.

use std::collections::HashMap;

use super::Judged;
use crate::config::Snapshot;
use crate::engine::{self, Active, Outcome};
use crate::facts::Facts;
use crate::object::{Object, Within};
use crate::request::Request;

/// Marks the findings that the old object had too. An old object that is absent or cannot be read excuses nothing; a
/// policy with strict updates is left alone.
pub(super) fn mark(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [Judged],
) {
    let Ok(Some(before)) = request.before(snapshot.workloads()) else { return };
    let lenient: Vec<Active> = outcomes
        .iter()
        .filter(|outcome| !outcome.policy.strict_updates && matches!(&outcome.result, Ok(found) if !found.is_empty()))
        .map(|outcome| outcome.policy.clone())
        .collect();
    // What nobody could say in time may be about the very thing that changes: it is not excused.
    let may_inherit =
        |finding: &Judged| !finding.failed && lenient.iter().any(|policy| std::ptr::eq(policy.meta, finding.meta));

    if request.pods().iter().any(crate::object::Pod::is_template) {
        // Pods will be created from the whole template: it is the old one, byte for byte, or it is judged whole.
        let unchanged = request.object.as_ref().map(Object::templates) == before.object.as_ref().map(Object::templates);
        for finding in findings.iter_mut().filter(|finding| may_inherit(finding)) {
            finding.inherited = unchanged;
        }
        return;
    }

    // As often as the old object had a finding, the new one inherits it.
    let mut had: HashMap<(&str, Within, String), usize> = HashMap::new();
    for outcome in engine::judge_at_once(&lenient, &before, facts) {
        for finding in outcome.result.into_iter().flatten() {
            *had.entry((outcome.policy.meta.id, finding.place.within, finding.message)).or_default() += 1;
        }
    }
    let is_one = |finding: &Judged| finding.place.within != Within::Many;
    for finding in findings.iter_mut().filter(|finding| may_inherit(finding) && is_one(finding)) {
        let key = (finding.meta.id, finding.place.within.clone(), finding.message.clone());
        if let Some(left) = had.get_mut(&key).filter(|left| **left > 0) {
            *left -= 1;
            finding.inherited = true;
        }
    }
}
