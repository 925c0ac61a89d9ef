//! Who is never refused, and who only pretends to be one of them.

use axum::http::Method;
use serde_json::{Value, json};

use super::objects::broken_pod;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// A static pod as a kubelet mirrors it (`K/pkg/kubelet/pod/mirror_client.go`).
fn mirror(name: &str, node: &str, node_uid: &Value) -> Value {
    let mut pod = broken_pod(name);
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0123456789abcdef"});
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": true}]);
    pod["spec"]["nodeName"] = node.into();
    pod
}

#[test]
fn a_mirror_pod_takes_the_credentials_of_its_node() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-mirrors");
    let portcullis = Portcullis::hardened(plane, &space);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "it-node"}});
    let node = plane.admin.call(Method::POST, "/api/v1/nodes", Some(&node)).admitted();
    let uid = &node["metadata"]["uid"];

    let kubelet = space.seen_by(plane.user("system:node:it-node", "system:nodes"));
    let answer = kubelet.create("pods", &mirror("mirror", "it-node", uid));
    assert!(answer.warns("unpinned-images: "), "{answer:#?}");
    answer.admitted();
    let event = portcullis.decision("Pod", "mirror");
    assert_eq!((&event["decision"], &event["user"]["name"]), (&"warn".into(), &"system:node:it-node".into()));

    let answer = space.create("pods", &mirror("pretender", "it-node", uid));
    assert!(answer.refused().starts_with("unpinned-images: "), "{answer:#?}");
    assert_eq!(portcullis.decision("Pod", "pretender")["decision"], "deny");
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
