//! `generate.enabled`: the objects of `deploy/generate`, and nothing without it.

use serde_json::{Value, json};

use super::super::generate;
use super::{ci, template, try_template};

/// The objects that a value adds.
fn added(arguments: &[&str]) -> Vec<Value> {
    let mut objects = template(&[arguments, &["--set", "generate.enabled=true"]].concat());
    objects.retain(|object| object["metadata"]["name"] == "portcullis-generate");
    objects
}

#[test]
fn the_objects_are_those_of_the_component() {
    let mut ours = added(&[]);
    for object in &mut ours {
        let labels = object["metadata"]["labels"].as_object_mut().expect("labels");
        assert_eq!(labels.remove("app.kubernetes.io/name"), Some(json!("portcullis-generate")));
        assert_eq!(labels.len(), 4);
        object["metadata"]["labels"] = Value::Null;
    }
    let mut theirs = generate::added("deploy/overlays/audit-only");
    for object in &mut theirs {
        object["metadata"]["labels"] = Value::Null;
    }
    for list in [&mut ours, &mut theirs] {
        list.sort_by_key(|object| object["kind"].to_string());
    }
    assert_eq!(ours.len(), 7);
    assert_eq!(ours, theirs);
}

#[test]
fn it_is_off_unless_it_is_turned_on_and_has_the_values_of_the_others() {
    let is_ours = |object: &Value| object.to_string().contains("portcullis-generate");
    assert!(!template(&[]).iter().any(is_ours));
    let objects =
        added(&["--values", &ci("every-value"), "--set", "generate.replicas=3,generate.resources.limits.memory=1Gi"]);
    let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect(kind);
    let pod = &one("Deployment")["spec"]["template"];
    for (pointer, value) in [
        ("/spec/imagePullSecrets/0/name", json!("registry-credentials")),
        ("/spec/nodeSelector/kubernetes.io~1os", json!("linux")),
        (
            "/spec/topologySpreadConstraints/0/labelSelector/matchLabels",
            json!({"app.kubernetes.io/name": "portcullis-generate"}),
        ),
        ("/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/spec/containers/0/resources/limits/memory", json!("1Gi")),
        ("/metadata/labels/example.com~1team", json!("platform")),
    ] {
        assert_eq!(pod.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(one("Deployment")["spec"]["replicas"], 3);
    assert_eq!(one("NetworkPolicy")["spec"]["egress"][1]["ports"], json!([{"port": 8443}]));
    let without = added(&["--set", "networkPolicy.enabled=false"]);
    assert!(!without.iter().any(|object| object["kind"] == "NetworkPolicy"));
    for wrong in ["generate.enabled=yes", "generate.replicas=0", "generate.on=true"] {
        let output = try_template(&["--set", wrong]);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("generate"), "{wrong}");
    }
}
