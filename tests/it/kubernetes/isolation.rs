//! Pods and their NetworkPolicies as they come and go.

use serde_json::{Value, json};

use super::eventually;
use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, isolation};

/// Number of times that a NetworkPolicy is created just before its Pod.
const TRIES: usize = 200;

fn labelled(name: &str, labels: Value) -> Value {
    let mut pod = pod(name, spec());
    pod["metadata"]["labels"] = labels;
    pod
}

#[test]
fn a_network_policy_created_just_before_its_pod_counts() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-just-before");
    let portcullis = Portcullis::hardened(plane, &space);
    let admitted = (0..TRIES).filter(|number| {
        let name = format!("web-{number}");
        let labels = json!({"app": name});
        space.create("networkpolicies", &isolation(&name, labels.clone())).admitted();
        space.create("pods", &labelled(&name, labels)).is_success()
    });
    assert_eq!(admitted.count(), TRIES);
    assert_eq!(portcullis.decision("Pod", "web-199")["decision"], "allow");
    space.create("pods", &labelled("nobodys", json!({"app": "nobodys"}))).refused();
}

#[test]
fn a_pod_that_no_network_policy_selects_is_refused_and_a_template_warned_of() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-open");
    let portcullis = Portcullis::hardened(plane, &space);
    space.create("networkpolicies", &isolation("shop", json!({"app": "shop"}))).admitted();
    let message = "must be selected by a NetworkPolicy for ingress: none in namespace \"it-open\" selects it";

    let answer = space.create("pods", &labelled("web", json!({"app": "web"})));
    assert!(answer.refused().starts_with(&format!("unisolated-pods: metadata.labels {message}")), "{answer:#?}");
    assert_eq!(portcullis.decision("Pod", "web")["findings"][0]["policy"], "unisolated-pods");

    let answer = space.create("deployments", &holder("Deployment", "web", spec()));
    assert!(answer.warns("unisolated-pods: spec.template.metadata.labels must be selected"), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Deployment", "web")["decision"], "warn");

    // In one direction only.
    let mut half = isolation("half", json!({"app": "web"}));
    half["spec"]["policyTypes"] = json!(["Ingress"]);
    space.create("networkpolicies", &half).admitted();
    let answer = space.create("pods", &labelled("web", json!({"app": "web"})));
    assert!(answer.refused().contains("must be selected by a NetworkPolicy for egress: "), "{answer:#?}");
}

#[test]
fn the_next_pod_after_its_network_policy_went_is_refused() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-gone");
    let _portcullis = Portcullis::hardened(plane, &space);
    let labels = json!({"app": "web"});
    space.create("networkpolicies", &isolation("web", labels.clone())).admitted();
    space.create("pods", &labelled("first", labels.clone())).admitted();
    space.delete("networkpolicies", "web").admitted();
    let refused = eventually("the watch tells of the deletion", || {
        let answer = space.create_dry("pods", &labelled("next", labels.clone()));
        (!answer.is_success()).then_some(answer)
    });
    assert!(refused.refused().starts_with("unisolated-pods: "), "{refused:#?}");
    space.create("networkpolicies", &isolation("web", labels.clone())).admitted();
    space.create("pods", &labelled("next", labels)).admitted();
}

#[test]
fn a_label_that_leaves_the_network_policy_is_refused() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-labels");
    space.create("networkpolicies", &isolation("web", json!({"app": "web"}))).admitted();
    space.create("pods", &labelled("web", json!({"app": "web"}))).admitted();
    space.create("pods", &labelled("old", json!({"app": "old"}))).admitted();
    let _portcullis = Portcullis::hardened(plane, &space);
    let label =
        |name: &str, key: &str, value: Value| space.patch("pods", name, &json!({"metadata": {"labels": {key: value}}}));

    for value in ["other".into(), Value::Null] {
        let answer = label("web", "app", value);
        assert!(answer.refused().starts_with("unisolated-pods: metadata.labels "), "{answer:#?}");
    }
    let answer = label("web", "team", "shop".into());
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    // What no NetworkPolicy selected before can be worked with, and be put right.
    let answer = label("old", "team", "shop".into());
    assert!(answer.warns("unisolated-pods: "), "{answer:#?}");
    answer.admitted();
    label("old", "app", "web".into()).admitted();
    label("old", "app", "old".into()).refused();
}
