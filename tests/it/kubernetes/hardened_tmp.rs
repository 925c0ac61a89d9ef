//! `default-read-only-root` with the setting `tmp`, in front of a real API server: where its feature gates are off, it drops
//! the fields and nothing else changes; where they are on, it stores them.

use axum::http::Method;
use serde_json::{Value, json};

use super::objects::holder;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// The setting of the policy's page.
const HARDENED: &str = "defaults: all\npolicies:\n  default-read-only-root:\n    mode: enforce\n    settings: {tmp: {mode: 01777, \
                        options: [nodev, nosuid]}}\n";
/// Another one, for what is new.
const OTHERWISE: &str = "defaults: all\npolicies:\n  default-read-only-root:\n    mode: enforce\n    settings: {tmp: {mode: \"0700\", \
                         options: [noexec]}}\n";

/// A Deployment as it is written, again and again.
fn manifest() -> Value {
    let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "nginx"}]});
    holder("Deployment", "web", spec)
}

/// Replaces the Deployment with a manifest.
#[track_caller]
fn put(plane: &Plane, space: &Space, manifest: &Value) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", space.name);
    plane.admin.call(Method::PUT, &path, Some(manifest)).admitted()
}

fn spec(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]
}

#[test]
fn where_the_gates_are_off_the_fields_are_dropped() {
    // Without controllers: their annotations would move the generation too.
    let plane = &*Plane::for_storms();
    let space = Space::open(plane, "it-tmp-dropped");
    let portcullis = Portcullis::insisting(plane, &[&space], HARDENED);
    let stored = space.create("deployments", &manifest()).admitted();
    let patch = portcullis.records();
    let patch = patch.iter().rfind(|record| record["endpoint"] == "mutate" && record["name"] == "web");
    assert_eq!(patch.expect("/mutate was asked")["decision"], "patch");
    assert_eq!(spec(&stored)["volumes"], json!([{"name": "portcullis-writable-1", "emptyDir": {}}]));
    let mounts = json!([{"name": "portcullis-writable-1", "mountPath": "/tmp"}]);
    assert_eq!(spec(&stored)["containers"][0]["volumeMounts"], mounts);

    // The manifest again leads to the stored object, and so does the stored object itself.
    for again in [manifest(), stored.clone()] {
        let now = put(plane, &space, &again);
        assert_eq!((spec(&now), &now["metadata"]["generation"]), (spec(&stored), &1.into()));
    }
}

#[test]
fn with_the_gates_the_fields_are_stored() {
    let gates = "--feature-gates=EmptyDirVolumeMode=true,VolumeBindMountOptions=true";
    let plane = Plane::start(&[gates, "--with-controller-manager=false"]);
    let space = Space::open(&plane, "it-tmp-kept");
    let portcullis = Portcullis::insisting(&plane, &[&space], HARDENED);
    let stored = space.create("deployments", &manifest()).admitted();
    assert_eq!(spec(&stored)["volumes"], json!([{"name": "portcullis-writable-1", "emptyDir": {"mode": 0o1777}}]));
    let mounts =
        json!([{"name": "portcullis-writable-1", "mountPath": "/tmp", "bindMountOptions": ["nodev", "nosuid"]}]);
    assert_eq!(spec(&stored)["containers"][0]["volumeMounts"], mounts);
    for again in [manifest(), stored.clone()] {
        let now = put(&plane, &space, &again);
        assert_eq!((spec(&now), &now["metadata"]["generation"]), (spec(&stored), &1.into()));
    }

    // Other settings are for volumes that are new.
    drop(portcullis);
    let _portcullis = Portcullis::insisting(&plane, &[&space], OTHERWISE);
    let now = put(&plane, &space, &manifest());
    assert_eq!((spec(&now), &now["metadata"]["generation"]), (spec(&stored), &1.into()));
    let mut more = manifest();
    let containers = more["spec"]["template"]["spec"]["containers"].as_array_mut().expect("a list");
    containers.push(json!({"name": "log", "image": "nginx"}));
    let now = put(&plane, &space, &more);
    let volumes = json!([
        {"name": "portcullis-writable-1", "emptyDir": {"mode": 0o1777}},
        {"name": "portcullis-writable-2", "emptyDir": {"mode": 0o700}},
    ]);
    assert_eq!(spec(&now)["volumes"], volumes);
    let containers = spec(&now)["containers"].as_array().expect("a list");
    assert_eq!(containers[0]["volumeMounts"], mounts);
    assert_eq!(containers[1]["volumeMounts"][0]["bindMountOptions"], json!(["noexec"]));
}
