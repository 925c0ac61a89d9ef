//! What a write did not change does not refuse it.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::Judged;
use crate::config::Snapshot;
use crate::engine::{self, Outcome};
use crate::facts::Facts;
use crate::object::unchanged::is_same_in;
use crate::object::{Object, Within};
use crate::request::Request;

/// How the annotations of a pod are named among the fields that a policy reads.
const ANNOTATIONS: &str = "metadata.annotations";

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
        // What stands for many is what it was only where all that the policy reads is.
        let is_same = |names: &[&str]| match (request.sent, request.old) {
            (Some(sent), Some(old)) => is_same_in(sent, old, names),
            _ => false,
        };
        let reads_annotations = outcome.policy.meta.fields.iter().any(|field| field.starts_with(ANNOTATIONS));
        let is_all_same = OnceCell::new();
        let may_inherit = |finding: &Judged| {
            finding.place.within != Within::Many
                || *is_all_same
                    .get_or_init(|| is_same(&["spec"]) && (!reads_annotations || is_same(&["metadata", "annotations"])))
        };
        for finding in findings.iter_mut().filter(|finding| may_inherit(finding)) {
            let key = (finding.place.within.clone(), finding.message.clone());
            if let Some(left) = had.get_mut(&key).filter(|left| **left > 0) {
                *left -= 1;
                finding.inherited = true;
            }
        }
    }
}
