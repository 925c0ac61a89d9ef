//! Marks findings that an update inherits: a flaw that it did not introduce does not refuse it.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::ModedFinding;
use crate::engine::{self, Outcome};
use crate::facts::Facts;
use crate::object::unchanged::is_same_in;
use crate::object::{Object, Within};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// Path of a pod's annotations in [`crate::policy::Meta::fields`].
const ANNOTATIONS: &str = "metadata.annotations";

/// Marks the findings that the old object had too, for each outcome on its own: a policy that runs twice, as configured and
/// as labels ask, finds the same twice in both objects. Nothing is inherited without a readable old object, nor for a
/// policy with strict updates.
pub(super) fn mark(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [Vec<ModedFinding>],
) {
    let Ok(Some(before)) = request.before(snapshot.workloads()) else { return };
    // Pods will be created from the whole template, so that only a template equal byte for byte inherits.
    let is_template = request.pods().iter().any(crate::object::Pod::is_template);
    let unchanged = request.object.as_ref().map(Object::templates) == before.object.as_ref().map(Object::templates);

    for (outcome, findings) in outcomes.iter().zip(findings) {
        // A fact that did not arrive in time may be about the very change: no failure is inherited.
        if outcome.policy.strict_updates || outcome.result.is_err() || findings.is_empty() {
            continue;
        }
        if is_template {
            for finding in findings {
                finding.inherited = unchanged;
            }
            continue;
        }
        // A finding is inherited as many times as the old object had it.
        let mut had: HashMap<(Within, String), usize> = HashMap::new();
        for old in engine::judge_at_once(std::slice::from_ref(outcome.policy), &before, facts) {
            for finding in old.result.into_iter().flatten() {
                *had.entry((finding.place.within, finding.message)).or_default() += 1;
            }
        }
        // A finding that stands for many is inherited only if everything that the policy reads is unchanged.
        let is_same = |names: &[&str]| match (request.sent, request.old) {
            (Some(sent), Some(old)) => is_same_in(sent, old, names),
            _ => false,
        };
        let reads_annotations = outcome.policy.meta.reads(ANNOTATIONS);
        let is_all_same = OnceCell::new();
        let may_inherit = |finding: &ModedFinding| {
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
