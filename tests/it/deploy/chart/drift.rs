//! A repair does not stand in the way of the chart: an upgrade that changes the very fields that were repaired needs no force.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::program::Program;
use super::super::{NAME, WEBHOOKS, trusted, webhooks, webhooks_path};
use super::installed::{helm, namespace};
use super::{CHART, ci};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;

const REPAIR: &str = "configuration.webhooks.drift=repair";

fn configuration(plane: &Plane) -> String {
    let path = format!("/api/v1/namespaces/{NAME}/configmaps/{NAME}");
    let map = plane.admin.call(Method::GET, &path, None).admitted();
    map["data"]["config.yaml"].as_str().expect("a file").to_owned()
}

#[test]
fn an_upgrade_after_a_repair_needs_no_force() {
    let plane = Plane::start(&[]);
    namespace(&plane);
    let enforce = ci("enforce");
    helm(&plane, &["install", NAME, CHART, "--values", &enforce, "--set", REPAIR]);
    let program = Program::serve(&plane, &configuration(&plane)).ready();
    for resource in WEBHOOKS {
        eventually("caBundle is filled in", || trusted(&plane, resource).map(drop));
    }
    let before = webhooks(&plane, WEBHOOKS[0]);
    let path = format!("{}?fieldManager=somebody", webhooks_path(WEBHOOKS[0]));
    let weaker = json!({"webhooks": [{
        "name": before["webhooks"][0]["name"],
        "failurePolicy": "Ignore",
        "timeoutSeconds": 1,
        "namespaceSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["pods"]}],
    }]});
    plane.admin.call(Method::PATCH, &path, Some(&weaker)).admitted();
    program.says(&["that somebody weakened were repaired", "namespaceSelector"]);
    eventually("it is repaired, and owned by nobody", || {
        let now = webhooks(&plane, WEBHOOKS[0]);
        let managers = now["metadata"]["managedFields"].as_array().expect("managers");
        let is_released = managers.iter().all(|entry| entry["manager"] != "portcullis-repair");
        (now["webhooks"] == before["webhooks"] && is_released).then_some(())
    });

    // Other values of the fields that were repaired, and by server-side apply, which is helm's way of its own accord.
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("values.yaml");
    let values = json!({"configuration": {
        "webhooks": {"drift": "repair"},
        "namespaces": [{"match": {"names": ["kube-system", "free"]}, "ceiling": "audit", "relax": true}],
        "workloads": [{"group": "argoproj.io", "kind": "Rollout", "path": "/spec/template"}],
    }});
    std::fs::write(&file, values.to_string()).expect("written");
    helm(&plane, &["upgrade", NAME, CHART, "--values", &enforce, "--values", file.to_str().expect("UTF-8")]);
    let after = webhooks(&plane, WEBHOOKS[0]);
    let text = |object: &Value| object["webhooks"][0].to_string();
    assert!(text(&after).contains("\"free\"") && text(&after).contains("\"rollouts\""), "{after:#}");
    // The same again changes nothing.
    helm(&plane, &["upgrade", NAME, CHART, "--values", &enforce, "--values", file.to_str().expect("UTF-8")]);
    assert_eq!(webhooks(&plane, WEBHOOKS[0])["metadata"]["generation"], after["metadata"]["generation"]);
    // `helm upgrade` restores an object that was deleted.
    plane.admin.call(Method::DELETE, &webhooks_path(WEBHOOKS[0]), None).admitted();
    helm(&plane, &["upgrade", NAME, CHART, "--values", &enforce, "--values", file.to_str().expect("UTF-8")]);
    let restored = webhooks(&plane, WEBHOOKS[0]);
    assert_eq!(restored["webhooks"][0]["rules"], after["webhooks"][0]["rules"]);
}
