//! The setting `tmp` of `default-read-only-root`: volumes that are new get a mode and mount options, others stay as they are.

use serde_json::{Value, json};

use crate::judging::{configured, patch, set, set_in_review};

fn settings(settings: &str) -> String {
    format!("policies:\n  default-read-only-root: {{mode: enforce, settings: {settings}}}\n")
}

fn hardened() -> String {
    settings("{paths: [/tmp, /run], tmp: {mode: 01777, options: [nodev, nosuid]}}")
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}}})
}

fn bare(containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": name})).collect();
    deployment(json!({"containers": containers}))
}

fn spec(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]
}

/// The object after an update; itself where nothing is set.
fn update(configuration: &str, stored: &Value, now: &Value) -> Value {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "namespace": "default", "name": "web",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "userInfo": {"username": "alice"}, "object": now, "oldObject": stored,
    }});
    set_in_review(&configured(configuration), &review).object.unwrap_or_else(|| now.clone())
}

fn created(configuration: &str, object: &Value) -> Value {
    set(&configured(configuration), object).object.expect("patched")
}

/// The object as an API server stores it whose gates are off.
fn dropped(mut object: Value) -> Value {
    let spec = &mut object["spec"]["template"]["spec"];
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        volume["emptyDir"] = json!({});
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
            mount.as_object_mut().expect("a mount").remove("bindMountOptions");
        }
    }
    object
}

#[test]
fn a_new_volume_on_tmp_is_hardened_and_another_path_is_not() {
    let stored = created(&hardened(), &bare(&["web"]));
    let volumes = json!([
        {"name": "portcullis-writable-1", "emptyDir": {"mode": 0o1777}},
        {"name": "portcullis-writable-2", "emptyDir": {}},
    ]);
    let mounts = json!([
        {"name": "portcullis-writable-1", "mountPath": "/tmp", "bindMountOptions": ["nodev", "nosuid"]},
        {"name": "portcullis-writable-2", "mountPath": "/run"},
    ]);
    assert_eq!((&spec(&stored)["volumes"], &spec(&stored)["containers"][0]["volumeMounts"]), (&volumes, &mounts));
    assert_eq!(patch(&set(&configured(&hardened()), &stored)), json!([]), "a second time");
}

#[test]
fn each_part_is_set_alone_and_a_mode_has_several_spellings() {
    for mode in ["01777", "1023", "\"1777\"", "\"01777\"", "\"0o1777\""] {
        let stored = created(&settings(&format!("{{tmp: {{mode: {mode}}}}}")), &bare(&["web"]));
        assert_eq!(spec(&stored)["volumes"][0]["emptyDir"], json!({"mode": 0o1777}), "{mode}");
        assert_eq!(spec(&stored)["containers"][0]["volumeMounts"][0]["bindMountOptions"], Value::Null);
    }
    let stored = created(&settings("{tmp: {options: [noexec, nodev]}}"), &bare(&["web"]));
    assert_eq!(spec(&stored)["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(spec(&stored)["containers"][0]["volumeMounts"][0]["bindMountOptions"], json!(["noexec", "nodev"]));
}

#[test]
fn the_manifest_again_leads_to_what_is_stored_whatever_the_gates_and_settings() {
    let configurations =
        [hardened(), settings("{paths: [/tmp, /run]}"), settings("{paths: [/tmp, /run], tmp: {mode: \"0700\"}}")];
    for before in &configurations {
        let kept = created(before, &bare(&["web", "log"]));
        for stored in [dropped(kept.clone()), kept] {
            for now in &configurations {
                assert_eq!(update(now, &stored, &bare(&["web", "log"])), stored, "{before} then {now}");
                assert_eq!(update(now, &stored, &stored), stored);
                // Only the volumes are written again, or only the containers.
                let mut half = stored.clone();
                half["spec"]["template"]["spec"].as_object_mut().expect("a spec").remove("volumes");
                assert_eq!(update(now, &stored, &half), stored, "{before} then {now}: volumes");
                let mut half = stored.clone();
                half["spec"]["template"]["spec"]["containers"] = spec(&bare(&["web", "log"]))["containers"].clone();
                assert_eq!(update(now, &stored, &half), stored, "{before} then {now}: containers");
            }
        }
    }
}

#[test]
fn only_what_is_new_in_a_write_is_hardened() {
    let stored = created(&settings("{}"), &bare(&["web"]));
    let hardened = settings("{tmp: {mode: 01777, options: [nosuid]}}");
    let now = update(&hardened, &stored, &bare(&["web", "log"]));
    let volumes = json!([
        {"name": "portcullis-writable-1", "emptyDir": {}},
        {"name": "portcullis-writable-2", "emptyDir": {"mode": 0o1777}},
    ]);
    assert_eq!(spec(&now)["volumes"], volumes);
    let mounts = |place: usize| &spec(&now)["containers"][place]["volumeMounts"][0]["bindMountOptions"];
    assert_eq!((mounts(0), mounts(1)), (&Value::Null, &json!(["nosuid"])));

    // A container gets another name, and the volumes stay: one that nobody mounts is used again.
    for (stored, options) in [(stored, Value::Null), (created(&hardened, &bare(&["web"])), json!(["nosuid"]))] {
        let mut renamed = bare(&["shop"]);
        renamed["spec"]["template"]["spec"]["volumes"] = spec(&stored)["volumes"].clone();
        let now = update(&hardened, &stored, &renamed);
        assert_eq!(spec(&now)["volumes"], spec(&stored)["volumes"]);
        assert_eq!(spec(&now)["containers"][0]["volumeMounts"][0]["bindMountOptions"], options);
    }
}

#[test]
fn what_was_written_is_not_changed() {
    let written = json!({"containers": [{"name": "web", "image": "web",
            "volumeMounts": [{"name": "mine", "mountPath": "/tmp", "bindMountOptions": ["noexec"]}]}],
        "volumes": [{"name": "mine", "emptyDir": {"mode": 0o755}}]});
    let stored = created(&settings("{tmp: {mode: 01777, options: [nosuid]}}"), &deployment(written.clone()));
    assert_eq!(spec(&stored)["volumes"], written["volumes"]);
    assert_eq!(spec(&stored)["containers"][0]["volumeMounts"], written["containers"][0]["volumeMounts"]);
}

#[test]
fn hardened_volumes_are_taken_back_like_others() {
    let stored = created(&hardened(), &bare(&["web"]));
    let mut now = stored.clone();
    now["spec"]["template"]["spec"]["os"] = json!({"name": "windows"});
    for configuration in [hardened(), settings("{paths: [/tmp, /run]}")] {
        let now = update(&configuration, &with_owner(&stored), &now);
        assert_eq!(spec(&now)["volumes"], json!([]), "{configuration}");
        assert_eq!(spec(&now)["containers"][0]["volumeMounts"], json!([]));
    }
}

/// The stored object, of which somebody wrote the containers and their images alone.
fn with_owner(stored: &Value) -> Value {
    let mut stored = stored.clone();
    stored["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}}]);
    stored
}
