//! `literal-secrets`: every planted credential is found wherever it stands, no look-alike is, and none is repeated.

use std::fs;

use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging::{create, only, world};
use crate::serve::{Serve, review, run};

mod look_alikes;
mod planted;

/// Where a named value may stand: the object, and the place of the finding in it.
pub(crate) fn places(name: &str, value: &str) -> [(Value, String); 4] {
    let pod = |container: Value, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "annotations": annotations},
            "spec": {"containers": [container]}})
    };
    let option = format!("--{}={value}", name.to_lowercase().replace('_', "-"));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {name: value}});
    [
        (
            pod(json!({"name": "web", "image": "web", "env": [{"name": name, "value": value}]}), json!({})),
            "spec.containers[0].env[0].value".to_owned(),
        ),
        (
            pod(json!({"name": "web", "image": "web", "args": [option]}), json!({})),
            "spec.containers[0].args[0]".to_owned(),
        ),
        (
            pod(json!({"name": "web", "image": "web"}), json!({format!("example.com/{name}"): value})),
            format!("metadata.annotations[example.com/{name}]"),
        ),
        (map, format!("data[{name}]")),
    ]
}

pub(crate) fn found(snapshot: &Snapshot, object: &Value) -> Vec<(String, String)> {
    let decision = create(snapshot, object, &world(""), Source::ApiServer).expect("readable");
    decision.findings.iter().map(|finding| (finding.place.shown(), finding.message.clone())).collect()
}

#[test]
fn every_planted_credential_is_found_in_each_place() {
    let snapshot = only("literal-secrets");
    let mut missed = Vec::new();
    for (name, value) in planted::credentials() {
        for (object, place) in places(name, &value) {
            let found = found(&snapshot, &object);
            if found.len() != 1 || found[0].0 != place {
                missed.push(format!("{name} at {place}: {value:?}: {found:?}"));
            }
            assert!(found.iter().all(|(_, message)| !message.contains(&value)), "{found:?}");
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_look_alike_is_found_in_any_place() {
    let snapshot = only("literal-secrets");
    let look_alikes = look_alikes::all();
    assert!(look_alikes.len() >= 200, "{}", look_alikes.len());
    let mut wrong = Vec::new();
    for (name, value) in &look_alikes {
        for (object, _) in places(name, value) {
            let found = found(&snapshot, &object);
            wrong.extend(found.iter().map(|(place, message)| format!("{name}={value:?}: {place}: {message}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands in `binaryData` is base64; what kubectl repeats in its annotation is reported once.
#[test]
fn binary_data_is_decoded_and_the_last_applied_object_is_left_out() {
    let snapshot = only("literal-secrets");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"password\":\"correct-horse\"}}"}},
        // `password: correct-horse`, and bytes that are no text.
        "binaryData": {"app.yaml": "cGFzc3dvcmQ6IGNvcnJlY3QtaG9yc2UK", "image": "AAECAwD/"}});
    let found = found(&snapshot, &map);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "binaryData[app.yaml]");
}

#[test]
fn no_output_repeats_a_value() {
    const CANARY: &str = "correct-horse-canary";
    let objects: Vec<Value> = places("DB_PASSWORD", CANARY).into_iter().map(|(object, _)| object).collect();
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {literal-secrets: {mode: enforce}}\n\
                  trail: {file: trail.jsonl, redaction: off}\n";
    let said = everything_said(config, &objects);
    assert!(said.contains("looks like a password") && !said.contains(CANARY), "{said}");
}

/// Everything that the server, its trail, `check` and `scan` say of objects that the configuration refuses.
pub(crate) fn everything_said(config: &str, objects: &[Value]) -> String {
    let server = Serve::new(config).start();
    let mut said = String::new();
    for (turn, object) in objects.iter().enumerate() {
        let mut asked = review(&format!("uid-{turn}"), "default", object);
        if object["kind"] == "ConfigMap" {
            asked["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
            asked["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "configmaps"});
        }
        let answer = server.post("/validate", asked.to_string()).response();
        assert_eq!(answer["allowed"], false, "{answer}");
        said += &answer.to_string();
    }
    let (_, _, stderr, folder, _) = server.stop();
    said += &stderr;
    said += &fs::read_to_string(folder.path().join("trail.jsonl")).expect("read");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("config.yaml"), config).expect("written");
    let manifests: Vec<String> = objects.iter().map(Value::to_string).collect();
    fs::write(path("set.yaml"), manifests.join("\n---\n")).expect("written");
    for command in ["check", "scan"] {
        for format in ["text", "json"] {
            let (code, out, err) =
                run(&[command, "--config", &path("config.yaml"), "--format", format, &path("set.yaml")], "");
            assert_eq!(code, Some(1), "{out}{err}");
            said += &(out + &err);
        }
    }
    said
}

/// Every finding in the manifests of other projects was looked at.
#[test]
fn findings_in_the_corpus_of_real_manifests_are_those_that_were_reviewed() {
    if let Some(found) = found_in_corpus("literal-secrets") {
        assert_eq!(found, REVIEWED, "{found:#?}");
    }
}

/// What a policy finds in the manifests of other projects: kind, name and place. `None` without the manifests.
pub(crate) fn found_in_corpus(policy: &str) -> Option<Vec<String>> {
    let folder = crate::golden::repository("../shared/corpora/real");
    if !folder.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("config.yaml").display().to_string();
    let lines =
        format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {{{policy}: {{mode: warn}}}}\n");
    fs::write(&config, lines).expect("written");
    let (_, out, _) = run(&["check", "--config", &config, "--format", "json", &folder.display().to_string()], "");
    let mut found = Vec::new();
    for line in out.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        for finding in row["findings"].as_array().expect("findings") {
            if finding["policy"] == policy {
                found.push(format!(
                    "{} {} {}",
                    row["kind"].as_str().unwrap_or_default(),
                    row["name"].as_str().unwrap_or_default(),
                    finding["path"].as_str().unwrap_or_default()
                ));
            }
        }
    }
    found.sort();
    found.dedup();
    Some(found)
}

/// All of them are credentials, or stand for one until somebody writes it.
const REVIEWED: &[&str] = &[
    // `requirepass` and `masterauth`, which a script replaces.
    "ConfigMap argocd-redis-ha-configmap data[redis.conf]",
    // Passwords of examples: `admin`, `changeme`, `guest`.
    "Deployment grafana spec.template.spec.containers[0].env[1].value",
    "Deployment kube-registry spec.template.spec.containers[0].env[1].value",
    "Deployment oauth2-proxy spec.template.spec.containers[0].env[2].value",
    "Deployment rabbitmq-client spec.template.spec.containers[0].env[0].value",
    "Deployment wordpress spec.template.spec.containers[0].env[1].value",
    "Deployment wordpress-mysql spec.template.spec.containers[0].env[0].value",
];
