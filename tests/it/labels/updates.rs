//! Updates in a labelled namespace: what labels ask for is inherited like anything else.

use portcullis::decision::Decision;
use serde_json::{Value, json};

use super::{RESTRICTED, TIGHTEN, labelled, root};
use crate::judging::{self, configured};
use crate::kubernetes::objects::{container, holder};

fn update(lines: &str, labels: &[(&str, &str)], object: &Value, old: &Value) -> Decision {
    let kind = object["kind"].as_str().expect("a kind");
    let group = if kind == "Pod" { "" } else { "apps" };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "namespace": "default", "name": "web", "userInfo": {"username": "jane"},
        "kind": {"group": group, "version": "v1", "kind": kind},
        "resource": {"group": group, "version": "v1", "resource": "any"}, "object": object, "oldObject": old,
    }});
    judging::answer(&configured(&format!("{TIGHTEN}{lines}")), &review, &labelled(labels))
}

/// The same with a label of its own.
fn touched(object: &Value) -> Value {
    let mut touched = object.clone();
    touched["metadata"]["labels"] = json!({"team": "pay"});
    touched
}

#[test]
fn what_was_there_before_the_label_is_warned_of() {
    let deployment = holder("Deployment", "web", root()["spec"].clone());
    for old in [root(), deployment] {
        let decision = update("", RESTRICTED, &touched(&old), &old);
        assert!(decision.allowed && decision.findings.iter().all(|finding| finding.inherited), "{decision:?}");
        assert_eq!(decision.findings.len(), 1);
    }
}

#[test]
fn what_a_change_brings_is_refused() {
    let old = root();
    let mut new = old.clone();
    let mut added = container("debug");
    added["securityContext"]["runAsNonRoot"] = false.into();
    new["spec"]["ephemeralContainers"] = json!([added]);
    let decision = update("", RESTRICTED, &new, &old);
    let found: Vec<_> = decision.findings.iter().map(|finding| (finding.place.shown(), finding.inherited)).collect();
    assert_eq!(
        found,
        [
            ("spec.securityContext.runAsNonRoot".to_owned(), true),
            ("spec.ephemeralContainers[0].securityContext.runAsNonRoot".to_owned(), false),
        ]
    );
    assert!(!decision.allowed);

    let old = holder("Deployment", "web", root()["spec"].clone());
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
    assert!(!update("", RESTRICTED, &new, &old).allowed, "a changed template is judged whole");
}

#[test]
fn strict_updates_stay_strict_beside_a_label() {
    let strict = "podSecurityVersion: v1.30\npolicies: {root-users: {mode: enforce, updates: strict}}\n";
    for labels in [&[][..], RESTRICTED, &[("warn", "restricted")], &[("audit", "baseline")]] {
        let decision = update(strict, labels, &touched(&root()), &root());
        let [finding] = decision.findings.as_slice() else { panic!("{decision:?}") };
        assert!(!decision.allowed && !finding.inherited, "{labels:?}: {decision:?}");
    }
    // What labels ask for is as lenient as it would be without that.
    let strict = "policies: {root-users: {mode: warn, updates: strict}}\n";
    let decision = update(strict, RESTRICTED, &touched(&root()), &root());
    assert!(decision.allowed && decision.findings.len() == 1, "{decision:?}");
}
