//! Namespaces come and go while everything in them is enforced and defaulted.

use axum::http::Method;
use serde_json::json;

use super::eventually;
use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const EVERYTHING: &str = "profile: hardened\ndefaults: all\n";

#[test]
fn a_new_namespace_gets_its_default_account() {
    let plane = Plane::shared();
    let (first, new) = (Space::new(plane, "it-first-account"), Space::named(&plane.admin, "it-newborn"));
    let portcullis = Portcullis::guard(plane, &[&first, &new], EVERYTHING, &[]);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": new.name}});
    plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
    let account = eventually("the controller manager makes the account", || {
        let answer = new.get("serviceaccounts", "default");
        answer.is_success().then_some(answer.body)
    });
    assert_eq!(account["automountServiceAccountToken"], false, "it was asked about, and set");
    let record = portcullis.decision("ServiceAccount", "default");
    assert_eq!(
        (&record["endpoint"], &record["decision"], &record["namespace"]),
        (&"mutate".into(), &"patch".into(), &new.name.as_str().into())
    );
}

#[test]
fn a_namespace_with_pods_and_network_policies_is_deleted_to_the_end() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-deleted");
    // Not as it should be, and there before.
    space.create("pods", &pod("old", json!({"containers": [{"name": "web", "image": "nginx"}]}))).admitted();
    let _portcullis = Portcullis::guard(plane, &[&space], EVERYTHING, &[]);
    space.create("pods", &pod("web", spec())).admitted();
    let mut deployment = holder("Deployment", "web", spec());
    deployment["spec"]["replicas"] = 2.into();
    space.create("deployments", &deployment).admitted();
    eventually("the Deployment has its Pods", || (space.list("pods").len() == 4).then_some(()));

    let path = format!("/api/v1/namespaces/{}", space.name);
    plane.admin.call(Method::DELETE, &path, None).admitted();
    eventually("the namespace is gone", || (plane.admin.call(Method::GET, &path, None).code == 404).then_some(()));
}
