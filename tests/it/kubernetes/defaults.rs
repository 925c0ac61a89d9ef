//! Mutators in front of a real API server: what it took before, it takes with their patches, and a second time they have
//! nothing to set.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::client::Answer;
use super::eventually;
use super::objects::{TEMPLATES, holder, pod};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;
use crate::judging::{configured, patch, set};
use crate::{fixtures, golden};

/// Callers at once.
const CALLERS: usize = 8;
/// Manifests of other projects, beside the repository.
const CORPUS: &str = "../shared/corpora/real";
/// Every mutator, and no validator.
const ALL: &str = "defaults: all\n";

/// Something to send: what it is called in a failure, its resource, and the object.
type Case = (String, &'static str, Value);

#[test]
fn every_fixture_that_the_api_server_takes_it_takes_with_its_defaults() {
    let mut cases: Vec<Case> = Vec::new();
    for (id, fixture) in fixtures::of_mutators() {
        let name = format!("{id}/{}", fixture.name);
        let object = fixture.object();
        if let Some(resource) = resource(&object) {
            cases.push((name.clone(), resource, object.clone()));
        }
        if object["kind"] == "Pod" {
            let wrapped = TEMPLATES.into_iter().map(|(kind, resource, _)| {
                let mut holder = holder(kind, "web", object["spec"].clone());
                let way = crate::fixtures::TEMPLATE_KINDS.into_iter().find(|(_, known, _)| *known == kind);
                let way = way.expect("the same kinds").2.split('.');
                way.fold(&mut holder, |object, field| &mut object[field])["metadata"]["annotations"] =
                    object["metadata"]["annotations"].clone();
                (format!("{name} as {kind}"), resource, holder)
            });
            cases.extend(wrapped);
        }
    }
    let (accepted, refused) = send_all("it-fixtures", &cases);
    // A profile without its type, and Linux fields beside `os.name: windows`, are no objects.
    let unexplained: Vec<_> = refused.iter().filter(|(name, _)| !name.contains("keep-profile-without-type")).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(accepted >= 900, "{accepted} accepted");
}

#[test]
fn every_workload_of_other_projects_that_the_api_server_takes_it_takes_with_its_defaults() {
    let folder = golden::repository(CORPUS);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "there is no {CORPUS}");
        eprintln!("left out: there is no {CORPUS}");
        return;
    }
    let mut files = Vec::new();
    find(&folder, &mut files);
    let mut cases: Vec<Case> = Vec::new();
    for file in files {
        let Ok(nodes) = portcullis::document::read(&std::fs::read_to_string(&file).unwrap_or_default()) else {
            continue;
        };
        let name = file.strip_prefix(&folder).expect("below it").display().to_string();
        for object in nodes.iter().filter_map(|node| serde_json::to_value(node).ok()) {
            let items = object["items"].as_array().cloned().unwrap_or_else(|| vec![object]);
            for object in items {
                let Some(resource) = resource(&object) else { continue };
                cases.push((format!("{name}: {} {}", object["kind"], object["metadata"]["name"]), resource, object));
            }
        }
    }
    let (accepted, refused) = send_all("it-real", &cases);
    eprintln!("{accepted} workloads accepted with and without defaults; {} refused anyway:", refused.len());
    for (name, why) in &refused {
        eprintln!("  {name}: {why}");
    }
    assert!(accepted >= 100 && accepted > 4 * refused.len(), "{accepted} accepted, {} refused", refused.len());
}

/// Sends each object to a namespace without webhooks, and to one with all defaults. Returns how many were accepted, and
/// which ones the API server refuses anyway.
fn send_all(name: &str, cases: &[Case]) -> (usize, Vec<(String, String)>) {
    let plane = Plane::shared();
    let (off, on) = (Space::open(plane, &format!("{name}-off")), Space::open(plane, name));
    let portcullis = Portcullis::insisting(plane, &[&on], ALL);
    let (next, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (wrong, refused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..CALLERS {
            threads.spawn(|| {
                while let Some((name, resource, object)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let before = off.create_dry(resource, &bare(object));
                    if !before.is_success() {
                        refused.lock().expect("no panic").push((name.clone(), before.message().to_owned()));
                    } else if let Err(why) = send(&on, resource, object, &late) {
                        wrong.lock().expect("no panic").push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let (wrong, refused) = (wrong.into_inner().expect("no panic"), refused.into_inner().expect("no panic"));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let records = portcullis.records();
    let count = |decision: &str| {
        records.iter().filter(|event| event["endpoint"] == "mutate" && event["decision"] == decision).count()
    };
    assert_eq!(count("error"), late.into_inner(), "only what came too late was not judged");
    assert!(count("patch") >= (cases.len() - refused.len()) / 3, "{} patches", count("patch"));
    (cases.len() - refused.len(), refused)
}

/// Sends an object twice, the second time as it came back. `late` counts answers that came too late.
fn send(space: &Space, resource: &str, object: &Value, late: &AtomicUsize) -> Result<(), String> {
    let accepted = |answer: Answer| {
        if answer.is_success() { Ok(answer.body) } else { Err(format!("refused with defaults: {}", answer.message())) }
    };
    let first = bare(&accepted(create_judged(space, resource, &bare(object), late))?);
    let second = bare(&accepted(create_judged(space, resource, &first, late))?);
    for field in ["spec", "template"] {
        if first[field] != second[field] {
            return Err(format!("is patched twice:\n{}\n{}", first[field], second[field]));
        }
    }
    let again = patch(&set(&configured(ALL), &first));
    if again == json!([]) { Ok(()) } else { Err(format!("would be patched once more: {again}")) }
}

/// The answer about an object that was judged. On a busy machine a review may not get its turn in time, which the answer says.
fn create_judged(space: &Space, resource: &str, object: &Value, late: &AtomicUsize) -> Answer {
    eventually("the object is judged", || {
        let answer = space.create_dry(resource, object);
        if answer.warns("not judged") {
            late.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        (answer.is_success() || !answer.message().contains("failed calling webhook")).then_some(answer)
    })
}

/// The object as somebody writes it, for whichever namespace.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|name, _| ["name", "generateName", "labels", "annotations"].contains(&name.as_str()));
    object.as_object_mut().expect("an object").remove("status");
    if object["kind"] == "Job" && object["spec"]["manualSelector"] != true {
        // What the API server makes of the Job's uid.
        object["spec"].as_object_mut().expect("a spec").remove("selector");
        if let Some(labels) = object["spec"]["template"]["metadata"]["labels"].as_object_mut() {
            labels.retain(|name, _| !["controller-uid", "job-name"].iter().any(|made| name.ends_with(made)));
        }
    }
    object
}

/// The resource of a workload; `None` for anything else.
fn resource(object: &Value) -> Option<&'static str> {
    let kind = object["kind"].as_str()?;
    let version = object["apiVersion"].as_str()?;
    if (version, kind) == ("v1", "Pod") {
        return Some("pods");
    }
    let known = fixtures::TEMPLATE_KINDS.into_iter().any(|known| (known.0, known.1) == (version, kind));
    TEMPLATES.into_iter().find(|row| known && row.0 == kind).map(|row| row.1)
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known)) {
            found.push(path);
        }
    }
}

#[test]
fn a_bare_deployment_is_stored_with_every_default() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-bare");
    let _portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);
    let bare = json!({"containers": [{"name": "web", "image": "nginx"}]});
    let stored = space.create("deployments", &holder("Deployment", "web", bare)).admitted();
    let spec = &stored["spec"]["template"]["spec"];
    assert_eq!(spec["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    assert_eq!(spec["automountServiceAccountToken"], false);
    let container = &spec["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(container["volumeMounts"], json!([{"name": "portcullis-writable-1", "mountPath": "/tmp"}]));
    assert_eq!(spec["volumes"], json!([{"name": "portcullis-writable-1", "emptyDir": {}}]));
}

#[test]
fn below_enforce_a_user_is_told_and_nothing_is_stored() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-would");
    let portcullis = Portcullis::guard(plane, &[&space], "defaults: all\nceiling: warn\n", &[]);
    let bare = json!({"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "nginx"}]});
    let answer = space.create("pods", &pod("web", bare));
    let said = r#"would set spec.securityContext.seccompProfile to {"type":"RuntimeDefault"}"#;
    assert!(answer.warns(said), "{answer:#?}");
    assert_eq!(answer.admitted()["spec"]["securityContext"], json!({}));
    assert_eq!(portcullis.decision("Pod", "web")["decision"], "would-patch");
}

#[test]
fn an_ephemeral_container_is_stored_with_its_defaults() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-debug");
    let bare = json!({"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "nginx"}]});
    space.create("pods", &pod("old", bare)).admitted();
    let _portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "shell", "image": "busybox"}]}});
    let stored = space.patch("pods", "old/ephemeralcontainers", &debug).admitted();
    assert_eq!(
        stored["spec"]["ephemeralContainers"][0]["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(stored["spec"]["containers"][0]["securityContext"], Value::Null);
    space.patch("pods", "old", &json!({"metadata": {"labels": {"team": "shop"}}})).admitted();
}
