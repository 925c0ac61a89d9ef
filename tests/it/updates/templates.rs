//! Updates of what holds pod templates, and templates that a controller owns.

use portcullis::decision::Verdict;
use serde_json::{Value, json};

use super::{all_inherited, container, create, none_inherited, pod, update};
use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::judging::configured;

fn deployment() -> Value {
    wrapped(&pod(&[container("a", "web:1")]), ("apps/v1", "Deployment", "spec.template"))
}

#[test]
fn the_same_template_is_inherited_in_every_kind() {
    let snapshot = configured("profile: hardened\n");
    for kind in TEMPLATE_KINDS {
        let old = wrapped(&pod(&[container("a", "web:1")]), kind);
        let mut new = old.clone();
        new["metadata"]["annotations"] = json!({"team": "pay"});
        let decision = update(&snapshot, &new, &old);
        assert!(decision.allowed && all_inherited(&decision), "{}: {decision:?}", kind.1);
        assert_eq!(decision.verdict, Verdict::Warn, "{}", kind.1);
    }
}

#[test]
fn an_old_violator_can_be_scaled() {
    let old = deployment();
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(7);
    let decision = update(&configured("profile: hardened\n"), &new, &old);
    assert!(decision.allowed && all_inherited(&decision));
}

#[test]
fn a_changed_template_is_judged_whole_however_small_the_change() {
    let snapshot = configured("profile: hardened\n");
    for kind in TEMPLATE_KINDS {
        let mut labelled = pod(&[container("a", "web:1")]);
        let old = wrapped(&labelled, kind);
        labelled["metadata"]["labels"] = json!({"team": "pay"});
        let decision = update(&snapshot, &wrapped(&labelled, kind), &old);
        assert!(!decision.allowed && none_inherited(&decision), "{}: {decision:?}", kind.1);
    }
}

#[test]
fn strict_updates_refuse_the_same_template() {
    let snapshot = configured("profile: hardened\npolicies: {unpinned-images: {updates: strict}}\n");
    let decision = update(&snapshot, &deployment(), &deployment());
    assert_eq!(decision.verdict, Verdict::Deny);
    let refusing: Vec<_> = decision.findings.iter().filter(|finding| finding.refuses()).collect();
    assert!(refusing.iter().all(|finding| finding.meta.id == "unpinned-images") && !refusing.is_empty());
}

#[test]
fn an_old_object_without_a_template_excuses_nothing() {
    let snapshot = configured("profile: hardened\n");
    for old in [json!({}), json!({"spec": null}), json!({"spec": {"template": null}}), json!({"spec": "x"}), json!(7)] {
        let decision = update(&snapshot, &deployment(), &old);
        assert!(!decision.allowed && none_inherited(&decision), "{old}");
    }
}

#[test]
fn of_many_templates_one_change_has_all_judged() {
    let snapshot = configured(
        "profile: hardened\nworkloads:\n- {group: jobset.x-k8s.io, kind: JobSet, path: /spec/jobs/*/template}\n",
    );
    let set = |images: &[&str]| {
        let jobs = images.iter().map(|image| {
            let pod = pod(&[container("a", image)]);
            json!({"name": "j", "template": {"spec": pod["spec"]}})
        });
        json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "web"},
            "spec": {"jobs": jobs.collect::<Vec<_>>()}})
    };
    let decision = update(&snapshot, &set(&["web:1", "web:1"]), &set(&["web:1", "web:1"]));
    assert!(decision.allowed && all_inherited(&decision), "{decision:?}");
    for old in [set(&["web:1", "web:2"]), set(&["web:1"]), set(&["web:1", "web:1", "web:1"])] {
        let decision = update(&snapshot, &set(&["web:1", "web:1"]), &old);
        assert!(!decision.allowed && none_inherited(&decision), "{decision:?}");
    }
}

#[test]
fn a_template_that_a_controller_owns_is_warned_of_and_never_refused() {
    let snapshot = configured("profile: hardened\n");
    let mut owned = wrapped(&pod(&[container("a", "web:1")]), ("apps/v1", "ReplicaSet", "spec.template"));
    owned["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    for decision in [create(&snapshot, &owned), update(&snapshot, &owned, &json!({}))] {
        assert_eq!((decision.verdict, decision.allowed), (Verdict::Warn, true), "{decision:?}");
        assert!(none_inherited(&decision));
    }
    // An owner that is no controller is nobody who was judged.
    owned["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert!(!create(&snapshot, &owned).allowed);
    // What stands in the template's own metadata is not the object's owner.
    owned["metadata"]["ownerReferences"] = json!(null);
    owned["spec"]["template"]["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "controller": true}]);
    assert!(!create(&snapshot, &owned).allowed);
}

#[test]
fn a_forged_owner_gains_a_pod_nothing() {
    let mut forged = pod(&[container("a", "web:1")]);
    forged["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "web", "controller": true}]);
    assert!(!create(&configured("profile: hardened\n"), &forged).allowed);
}

#[test]
fn what_rests_on_a_service_account_is_only_warned_of_in_a_template() {
    let snapshot = configured("policies: {automounted-tokens: {mode: enforce}}\n");
    let mut open = pod(&[container("a", "web:1")]);
    open["spec"].as_object_mut().expect("a spec").remove("automountServiceAccountToken");
    let template = |pod: &Value| wrapped(pod, ("apps/v1", "Deployment", "spec.template"));
    let decision = create(&snapshot, &template(&open));
    assert_eq!((decision.verdict, decision.findings.len()), (Verdict::Warn, 1), "{decision:?}");
    // What was written stands in the template alone.
    open["spec"]["automountServiceAccountToken"] = json!(true);
    assert_eq!(create(&snapshot, &template(&open)).verdict, Verdict::Deny);
}
