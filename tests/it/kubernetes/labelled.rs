//! `unlabelled-namespaces` and `default-namespace-labels` on Namespaces of a real API server.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::eventually;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const ENFORCED: &str = "profile: hardened\ndefaults: safe\n\
                        policies: {unlabelled-namespaces: {mode: enforce, settings: {mayWeaken: [it-platform]}}}\n";
const WANTED: &str =
    "unlabelled-namespaces: metadata.labels[pod-security.kubernetes.io/enforce] must be baseline or restricted";
const LOWERED: &str = "must not be lowered from restricted to baseline";
const NAMESPACES: &str = "/api/v1/namespaces";

fn namespace(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn enforcing(level: &str) -> Value {
    json!({"pod-security.kubernetes.io/enforce": level})
}

/// Sets labels of a namespace, directly or through a subresource or with options (`below`).
fn label(client: &Client, space: &Space, below: &str, labels: &Value) -> Answer {
    let path = format!("{NAMESPACES}/{}{below}", space.name);
    client.call(Method::PATCH, &path, Some(&json!({"metadata": {"labels": labels}})))
}

#[test]
fn a_namespace_needs_its_labels_and_keeps_them() {
    let plane = Plane::shared();
    let admin = &plane.admin;
    // There before, and without labels.
    let old = Space::new(plane, "it-unlabelled-old");
    let new = Space::named(admin, "it-unlabelled-new");
    let portcullis = Portcullis::insisting(plane, &[&old, &new], ENFORCED);

    for path in [NAMESPACES.to_owned(), format!("{NAMESPACES}?dryRun=All")] {
        let answer = admin.call(Method::POST, &path, Some(&namespace(&new.name, &json!({}))));
        assert!(answer.refused().contains(WANTED), "{path}: {answer:#?}");
    }
    let made = admin.call(Method::POST, NAMESPACES, Some(&namespace(&new.name, &enforcing("restricted")))).admitted();
    let labels = &made["metadata"]["labels"];
    for (mode, level) in [("enforce", "restricted"), ("warn", "restricted"), ("audit", "restricted")] {
        assert_eq!(labels[format!("pod-security.kubernetes.io/{mode}")], level, "{labels:#}");
    }
    assert_eq!(portcullis.decision("Namespace", &new.name)["decision"], "allow");

    // What was there before changes elsewhere, and does not become worse.
    label(admin, &old, "", &json!({"team": "shop"})).admitted();
    label(admin, &old, "/status", &json!({"team": "web"})).admitted();
    let answer = label(admin, &old, "", &enforcing("privileged"));
    assert!(answer.refused().contains("not \"privileged\""), "{answer:#?}");

    // The subresources keep new labels.
    for below in ["", "/status", "?dryRun=All", "/status?dryRun=All"] {
        let answer = label(admin, &new, below, &enforcing("baseline"));
        assert!(answer.refused().contains(LOWERED), "{below}: {answer:#?}");
    }
    let path = format!("{NAMESPACES}/{}", new.name);
    let mut stored = admin.call(Method::GET, &path, None).admitted();
    stored["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged".into();
    let answer = admin.call(Method::PUT, &format!("{path}/finalize"), Some(&stored));
    assert!(answer.refused().contains("not \"privileged\""), "{answer:#?}");

    // Those who may lower labels do.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "it-platform"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "it-platform"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    admin.call(Method::POST, bindings, Some(&binding)).admitted();
    let member = plane.impersonating("alice", "it-platform");
    eventually("a member lowers the label", || {
        let answer = label(&member, &new, "/status", &enforcing("baseline"));
        answer.is_success().then_some(())
    });
    // The namespace goes to the end.
    admin.call(Method::DELETE, &path, None).admitted();
    eventually("the namespace is gone", || (admin.call(Method::GET, &path, None).code == 404).then_some(()));
}

#[test]
fn hardened_warns_of_a_namespace_without_labels() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-unlabelled-warned");
    let portcullis = Portcullis::hardened(plane, &space);
    let answer = label(&plane.admin, &space, "", &enforcing("privileged"));
    assert!(answer.warns(WANTED), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Namespace", &space.name)["decision"], "warn");
}
