//! Who is never refused, and who only pretends to be one of them.

use axum::http::Method;
use serde_json::{Value, json};

use super::objects::{broken_pod, pod};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// A static pod as a kubelet mirrors it (`K/pkg/kubelet/pod/mirror_client.go`): it names no account, and what its author
/// left out is left out.
fn mirror(name: &str, node: &str, node_uid: &Value) -> Value {
    let mut pod = pod(name, json!({"nodeName": node, "containers": [{"name": "web", "image": "nginx:1.27.3"}]}));
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0123456789abcdef"});
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": true}]);
    pod
}

#[test]
fn a_mirror_pod_takes_the_credentials_of_its_node() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-mirrors");
    let portcullis = Portcullis::guard(plane, &[&space], "profile: hardened\ndefaults: all\n", &[]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "it-node"}});
    let node = plane.admin.call(Method::POST, "/api/v1/nodes", Some(&node)).admitted();
    let uid = &node["metadata"]["uid"];

    let kubelet = space.seen_by(plane.user("system:node:it-node", "system:nodes"));
    let answer = kubelet.create("pods", &mirror("mirror", "it-node", uid));
    for policy in ["unpinned-images: ", "root-users: "] {
        assert!(answer.warns(policy), "{answer:#?}");
    }
    // It may name no ServiceAccount: nobody is told to.
    assert!(!answer.warns("default-service-accounts: "), "{answer:#?}");
    let stored = answer.admitted();
    assert_eq!(stored["spec"]["securityContext"], json!({}), "as the API server completes it");
    assert_eq!(stored["spec"]["containers"][0]["securityContext"], Value::Null);
    assert_eq!(stored["spec"]["volumes"], Value::Null);
    let event = portcullis.decision("Pod", "mirror");
    assert_eq!((&event["decision"], &event["user"]["name"]), (&"warn".into(), &"system:node:it-node".into()));
    assert_eq!(mutation(&portcullis, "mirror")["decision"], "unchanged");

    // Whoever writes the annotation alone is refused as without it, …
    let answer = space.create("pods", &mirror("pretender", "it-node", uid));
    assert!(answer.refused().starts_with("unpinned-images: "), "{answer:#?}");
    assert_eq!(portcullis.decision("Pod", "pretender")["decision"], "deny");
    // … and would have had the defaults set.
    assert_eq!(mutation(&portcullis, "pretender")["decision"], "patch");
}

/// The record of a Pod's review on `/mutate`.
fn mutation(portcullis: &Portcullis, name: &str) -> Value {
    let records = portcullis.records();
    let is_it = |record: &&Value| record["endpoint"] == "mutate" && record["name"] == name;
    records.iter().rfind(is_it).cloned().expect("/mutate was asked")
}

#[test]
fn what_the_api_server_writes_is_not_asked_about() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-api-server");
    let portcullis = Portcullis::hardened(plane, &space);
    let itself = space.seen_by(plane.impersonating("system:apiserver", "system:masters"));
    itself.create("pods", &broken_pod("own")).admitted();
    assert!(portcullis.records().iter().all(|record| record["name"] != "own"));

    let somebody = space.seen_by(plane.impersonating("system:apiserver2", "system:masters"));
    somebody.create("pods", &broken_pod("other")).refused();
}
