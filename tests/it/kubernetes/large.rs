//! Objects with long lists and large maps, which the API server takes: they can be created, labelled, scaled and removed.

use serde_json::{Map, Value, json};

use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// Items that a list could hold once.
const MANY: usize = 1_101;

fn list(item: impl Fn(usize) -> Value) -> Value {
    (0..MANY).map(item).collect()
}

/// Pod specs, each long in one place.
fn specs() -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    let mut add = |name, change: &dyn Fn(&mut Value)| {
        let mut spec = spec();
        change(&mut spec);
        found.push((name, spec));
    };
    add("ports", &|spec| spec["containers"][0]["ports"] = list(|number| json!({"containerPort": number + 1})));
    add("volumes", &|spec| {
        spec["volumes"] = list(|number| json!({"name": format!("v{number}"), "emptyDir": {}}));
    });
    add("mounts", &|spec| {
        spec["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
        spec["containers"][0]["volumeMounts"] =
            list(|number| json!({"name": "data", "mountPath": format!("/data/{number}")}));
    });
    add("selector", &|spec| {
        let keys = (0..4_100).map(|number| (format!("key-{number}"), json!("x")));
        spec["nodeSelector"] = Value::Object(keys.collect::<Map<_, _>>());
    });
    found
}

/// Metadata, each large in one place.
fn metadata() -> [(&'static str, Value); 3] {
    let map = |value: &str| {
        Value::Object((0..4_100).map(|number| (format!("key-{number}"), json!(value))).collect::<Map<_, _>>())
    };
    let owner = |number: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("c{number}"), "uid": format!("uid-{number}")});
    [
        ("labels", json!({"labels": map("x")})),
        ("annotations", json!({"annotations": map("x")})),
        ("owners", json!({"ownerReferences": list(owner)})),
    ]
}

/// Creates a Pod, labels it, and takes its finalizer once it is being deleted.
fn lives(space: &Space, name: &str, mut pod: Value) {
    pod["metadata"]["finalizers"] = json!(["example.com/wait"]);
    space.create("pods", &pod).admitted();
    space.patch("pods", name, &json!({"metadata": {"labels": {"team": "shop"}}})).admitted();
    space.delete("pods", name).admitted();
    space.patch("pods", name, &json!({"metadata": {"finalizers": null}})).admitted();
    assert_eq!(space.get("pods", name).code, 404, "{name}: its last finalizer went");
}

#[test]
fn large_objects_live_and_die() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-large");
    let _portcullis = Portcullis::hardened(plane, &space);
    for (name, spec) in specs() {
        lives(&space, name, pod(name, spec.clone()));
        let mut deployment = holder("Deployment", name, spec);
        deployment["spec"]["replicas"] = json!(2);
        space.create("deployments", &deployment).admitted();
        space.patch("deployments", name, &json!({"metadata": {"labels": {"team": "shop"}}})).admitted();
        space.patch("deployments", name, &json!({"spec": {"replicas": 1}})).admitted();
        space.patch("deployments", &format!("{name}/scale"), &json!({"spec": {"replicas": 0}})).admitted();
        space.delete("deployments", name).admitted();
    }
    for (name, metadata) in metadata() {
        let mut pod = pod(name, spec());
        pod["metadata"] = metadata;
        pod["metadata"]["name"] = name.into();
        lives(&space, name, pod);
    }
}

#[test]
fn what_is_wrong_at_the_end_of_a_long_list_is_refused() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-large-wrong");
    let _portcullis = Portcullis::hardened(plane, &space);
    for (name, mut spec) in specs() {
        let place = match name {
            "ports" => {
                spec["containers"][0]["ports"][MANY - 1]["hostPort"] = json!(MANY);
                format!("host-ports: spec.containers[0].ports[{}].hostPort ", MANY - 1)
            }
            "volumes" => {
                spec["volumes"][MANY - 1] = json!({"name": "last", "hostPath": {"path": "/"}});
                format!("volume-types: spec.volumes[{}].hostPath ", MANY - 1)
            }
            _ => {
                spec["containers"][0]["securityContext"]["privileged"] = json!(true);
                spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(null);
                "privilege-escalation: spec.containers[0].".to_owned()
            }
        };
        let answer = space.create("pods", &pod(name, spec));
        assert!(answer.refused().contains(&place), "{answer:#?}");
    }
}
