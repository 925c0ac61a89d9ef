//! Marks findings that an update inherits: a flaw that it did not introduce does not refuse it.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use serde_json::value::RawValue;

use super::granted::Granted;
use super::{ModedFinding, existing};
use crate::engine::{self, Outcome};
use crate::facts::Facts;
use crate::object::Within;
use crate::object::unchanged::is_same_in;
use crate::policy::Kinds;
use crate::request::Request;
use crate::snapshot::Snapshot;

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
    // Pods will be created from the whole template, so that only a template equal byte for byte inherits. What the object has
    // beside its template is compared as in other objects.
    let is_template = request.pods().iter().any(crate::object::Pod::is_template);
    let unchanged = request.has_templates_of(&before) && !existing::is_released(snapshot, request, &before);

    let granted = Granted::of(request, &before);

    for (outcome, findings) in outcomes.iter().zip(findings) {
        // A fact that did not arrive in time may be about the very change: no failure is inherited. Nor is a write by somebody.
        let policy = outcome.policy;
        let inherits = !policy.strict_updates && !policy.validator.judges_writers() && outcome.result.is_ok();
        if !inherits || findings.is_empty() {
            continue;
        }
        // What settings name is about the object itself, whatever is below its template or in its rules.
        let is_of_settings = outcome.policy.meta.kinds.contains(&Kinds::Settings);
        if is_template {
            findings
                .iter_mut()
                .filter(|finding| !is_outside(finding))
                .for_each(|finding| finding.inherited = unchanged);
            if !findings.iter().any(is_outside) {
                continue;
            }
        }
        // What is granted already is inherited, and nothing else, whatever the messages say.
        if let Some(granted) = granted.as_ref().filter(|_| !is_of_settings) {
            for finding in findings {
                finding.inherited = granted.covers(&finding.place);
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
        let is_all_same = OnceCell::new();
        let compare = || match (request.sent, request.old) {
            (Some(sent), Some(old)) => are_same_at(outcome.policy.paths(), sent, old),
            _ => false,
        };
        let may_inherit =
            |finding: &ModedFinding| finding.place.within != Within::Many || *is_all_same.get_or_init(compare);
        let is_left = |finding: &ModedFinding| !is_template || is_outside(finding);
        for finding in findings.iter_mut().filter(|finding| is_left(finding) && may_inherit(finding)) {
            let key = (finding.place.within.clone(), finding.message.clone());
            if let Some(left) = had.get_mut(&key).filter(|left| **left > 0) {
                *left -= 1;
                finding.inherited = true;
            }
        }
    }
}

/// True for a finding on the object, outside any template of it.
fn is_outside(finding: &ModedFinding) -> bool {
    matches!(finding.place.within, Within::Object { .. })
}

/// True if two objects are equal in every field of the top level that a path begins with, such as `spec` or `rules`. Of
/// metadata, which each update changes, only the field below it is compared.
fn are_same_at(paths: impl Iterator<Item = String>, sent: &RawValue, old: &RawValue) -> bool {
    let heads: BTreeSet<Vec<String>> = paths
        .map(|path| {
            let depth = if path.starts_with("metadata.") { 2 } else { 1 };
            path.split(['.', '[']).take(depth).map(str::to_owned).collect()
        })
        .collect();
    heads.iter().all(|head| is_same_in(sent, old, &head.iter().map(String::as_str).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::are_same_at;

    fn same(paths: &[&str], sent: &str, old: &str) -> bool {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        are_same_at(paths.iter().map(|path| (*path).to_owned()), &raw(sent), &raw(old))
    }

    #[test]
    fn many_findings_are_inherited_if_all_that_the_policy_reads_is_unchanged() {
        let role = |verb: &str, name: &str| {
            format!(r#"{{"metadata":{{"name":"{name}","labels":{{"a":"{verb}"}}}},"rules":[{{"verbs":["{verb}"]}}]}}"#)
        };
        let rules = ["rules[*].verbs", "rules[*].resources"];
        assert!(same(&rules, &role("get", "web"), &role("get", "other")));
        assert!(!same(&rules, &role("*", "web"), &role("get", "web")), "a Role has no spec that could be the same");
        assert!(!same(&["roleRef.name"], r#"{"roleRef":{"name":"a"}}"#, "{}"));
    }

    #[test]
    fn of_metadata_the_field_that_is_read_is_compared() {
        let (sent, old) = (r#"{"metadata":{"a":1,"labels":{}}}"#, r#"{"metadata":{"a":2,"labels":{}}}"#);
        assert!(same(&["metadata.labels"], sent, old));
        assert!(!same(&["metadata.a[x.y/z]"], sent, old));
        assert!(!same(&["metadata.labels[*]", "spec.a"], r#"{"spec":1}"#, "{}"));
    }
}
