//! The last NetworkPolicy that isolates running Pods: it is narrowed, deleted, collected, and goes with its namespace.

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, isolation};

const MESSAGE: &str = "must not leave running Pods unisolated for ingress: 1 in namespace";
/// Refuses what `hardened` warns of.
const REFUSES: &str = "profile: hardened\npolicies:\n  unisolated-pods: {deletes: enforce, updates: strict}\n";

fn labelled(app: &str) -> Value {
    let mut pod = pod(app, spec());
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

/// A namespace with a Pod that one NetworkPolicy isolates; both have this name.
fn with_pod(plane: &Plane, name: &str, app: &str) -> Space {
    let space = Space::open(plane, name);
    isolated(&space, app);
    space
}

fn isolated(space: &Space, app: &str) {
    space.create("networkpolicies", &isolation(app, json!({"app": app}))).admitted();
    space.create("pods", &labelled(app)).admitted();
}

/// The answer about a policy whose deletion does not pass without a word, once the watch has told of its Pod.
fn told(space: &Space, name: &str) -> super::client::Answer {
    eventually("the Pod is known", || {
        let answer = space.delete_dry("networkpolicies", name);
        (!answer.is_success() || answer.warns("unisolated-pods: ")).then_some(answer)
    })
}

fn is_gone(plane: &Plane, path: &str) {
    eventually(&format!("{path} is gone"), || (plane.admin.call(Method::GET, path, None).code == 404).then_some(()));
}

#[test]
fn the_last_policy_that_isolates_running_pods_goes_with_a_warning() {
    let plane = Plane::shared();
    let space = with_pod(plane, "it-last-policy", "web");
    let portcullis = Portcullis::hardened(plane, &space);
    let answer = told(&space, "web");
    assert!(answer.is_success() && answer.warns(MESSAGE) && answer.warns("for egress"), "{answer:#?}");

    // Narrowed, and as it was.
    let answer = space.patch("networkpolicies", "web", &json!({"spec": {"policyTypes": ["Egress"]}}));
    assert!(answer.warns(&format!("unisolated-pods: spec.podSelector {MESSAGE}")), "{answer:#?}");
    answer.admitted();
    let answer = space.patch("networkpolicies", "web", &json!({"spec": {"policyTypes": ["Ingress", "Egress"]}}));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    // One of two, and then the other.
    space.create("networkpolicies", &isolation("all", json!({}))).admitted();
    let answer = space.delete("networkpolicies", "all");
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    let answer = space.delete("networkpolicies", "web");
    assert!(answer.warns(MESSAGE), "{answer:#?}");
    answer.admitted();
    let record = portcullis.decision("NetworkPolicy", "web");
    assert_eq!((&record["operation"], &record["decision"]), (&json!("DELETE"), &json!("warn")), "{record:#}");
    assert_eq!(record["object"].as_str().map(str::len), Some(64), "{record:#}");
}

#[test]
fn the_last_policy_stays_where_a_configuration_says_so_and_goes_with_what_it_belongs_to() {
    let plane = Plane::shared();
    let space = with_pod(plane, "it-last-policy-stays", "web");
    let _portcullis = Portcullis::guard(plane, &[&space], REFUSES, &[]);
    let answer = told(&space, "web");
    assert!(answer.refused().starts_with(&format!("unisolated-pods: . {MESSAGE}")), "{answer:#?}");
    let answer = space.delete("networkpolicies", "web");
    assert!(answer.refused().starts_with(&format!("unisolated-pods: . {MESSAGE}")), "{answer:#?}");
    let narrower = json!({"spec": {"policyTypes": ["Egress"]}});
    let answer = space.patch("networkpolicies", "web", &narrower);
    assert!(answer.refused().starts_with(&format!("unisolated-pods: spec.podSelector {MESSAGE}")), "{answer:#?}");
    space.patch("networkpolicies", "web", &json!({"metadata": {"labels": {"team": "shop"}}})).admitted();

    // Each of two can go, and not both, one by one or as a collection.
    space.create("networkpolicies", &isolation("all", json!({}))).admitted();
    space.delete("networkpolicies", "web").admitted();
    space.delete("networkpolicies", "all").refused();
    let all = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", space.name);
    plane.admin.call(Method::DELETE, &all, None).refused();

    // The garbage collector takes what belonged to something else.
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = space.create("configmaps", &owner).admitted();
    let mut owned = isolation("owned", json!({"app": "batch"}));
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    space.create("networkpolicies", &owned).admitted();
    space.create("pods", &labelled("batch")).admitted();
    space.delete("networkpolicies", "all").refused();
    space.create("networkpolicies", &isolation("web", json!({"app": "web"}))).admitted();
    space.delete("networkpolicies", "all").admitted();
    told(&space, "owned").refused();
    space.delete("configmaps", "owner").admitted();
    is_gone(plane, &format!("{all}/owned"));

    // The namespace goes, and all that is in it.
    space.delete("networkpolicies", "web").refused();
    let namespace = format!("/api/v1/namespaces/{}", space.name);
    plane.admin.call(Method::DELETE, &namespace, None).admitted();
    is_gone(plane, &namespace);
}

#[test]
fn a_namespace_goes_while_nobody_answers() {
    let plane = Plane::shared();
    let space = with_pod(plane, "it-last-policy-dead", "web");
    let mut portcullis = Portcullis::guard(plane, &[&space], REFUSES, &[]);
    told(&space, "web").refused();
    portcullis.kill();
    let answer = space.delete("networkpolicies", "web");
    assert!(answer.message().contains("failed calling webhook \"enforce-deleted-networkpolicies."), "{answer:#?}");
    let namespace = format!("/api/v1/namespaces/{}", space.name);
    plane.admin.call(Method::DELETE, &namespace, None).admitted();
    is_gone(plane, &namespace);
}

#[test]
fn a_reload_that_asks_for_pods_follows_them() {
    let plane = Plane::shared();
    let space = with_pod(plane, "it-last-policy-reload", "web");
    // The webhooks are those of the configuration that it comes to.
    let portcullis = Portcullis::hardened(plane, &space);
    told(&space, "web");
    portcullis.configure("profile: hardened\npolicies:\n  unisolated-pods: {mode: off}\n");
    eventually("it is off", || space.delete_dry("networkpolicies", "web").warnings.is_empty().then_some(()));
    portcullis.configure(REFUSES);
    // The webhook that observes takes no refusal for one that counts, but says it.
    eventually("it is on", || {
        let answer = space.delete_dry("networkpolicies", "web");
        (answer.code == 403 && answer.message().contains(MESSAGE)).then_some(())
    });
}
