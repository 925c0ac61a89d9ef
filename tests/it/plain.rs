//! Characters that are not plain (Unicode's categories Cc, Cf, Zl and Zp) reach nobody's terminal.

use std::fs;

use portcullis::escape::escaped_json;
use regex::Regex;
use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, bad_pod, review, run};
use crate::trail_redaction::pod_with;

/// Controls, overrides and isolates of direction, separators, invisible characters, and tags beyond the first plane.
const NOT_PLAIN: &str =
    "\u{1b}[2J\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200e}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}";

/// Fails where something is not plain, line ends aside.
#[track_caller]
fn is_plain(text: &str) {
    let pattern = Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}--\n]").expect("a pattern");
    assert!(!pattern.is_match(text), "{}", text.escape_default());
    assert!(text.contains("202e"), "it was said: {text}");
}

/// A Pod with that in every name, every value, and the key of an annotation.
fn pod() -> Value {
    let mut pod = pod_with(NOT_PLAIN);
    pod["metadata"]["name"] = json!(NOT_PLAIN);
    pod["spec"]["containers"][0]["name"] = json!(NOT_PLAIN);
    pod
}

/// Every text in a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

#[test]
fn answers_and_logs_are_plain() {
    for config in [HARDENED.to_owned(), HARDENED.replace("policies:", "ceiling: warn\npolicies:")] {
        let server = Serve::new(&config).start();
        let unreadable = json!({"metadata": {"annotations": {NOT_PLAIN: {}}}, "spec": {"containers": []}});
        for (uid, object) in [("a", pod()), ("b", unreadable)] {
            let mut asked = review(uid, NOT_PLAIN, &object);
            asked["request"]["name"] = json!(NOT_PLAIN);
            let answer = server.post("/validate", asked.to_string()).response();
            let mut said = Vec::new();
            texts(&answer, &mut said);
            is_plain(&said.join("\n"));
        }
        // Logs say the same in JSON.
        is_plain(&server.stderr());
        let line = server.logs().into_iter().find(|line| line["uid"] == "a").expect("its line");
        assert_eq!((&line["namespace"], &line["name"]), (&json!(NOT_PLAIN), &json!(NOT_PLAIN)));
    }
}

#[test]
fn what_is_printed_is_plain() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("pod.json"), &*escaped_json(&pod().to_string())).expect("written");
    let key = json!(NOT_PLAIN.replace('\u{e0041}', "")).to_string();
    let key = escaped_json(&key);
    fs::write(path("twice.json"), format!("{{\"apiVersion\": \"v1\", \"kind\": {key}, {key}: 1, {key}: 2}}\n"))
        .expect("written");
    fs::write(path("config.yaml"), format!("kind: {key}\n{key}: 1\nprofile: {key}\n")).expect("written");
    fs::write(path(&format!("{}.jsonl", NOT_PLAIN.replace('/', ""))), "no record\n").expect("written");
    let pod = path("pod.json");
    for format in ["text", "json"] {
        let (_, out, _) = run(&["check", "--profile", "hardened", "--format", format, &pod], "");
        is_plain(&out);
    }
    let (_, out, _) =
        run(&["review", "--profile", "hardened", "-"], &review("uid", "default", &self::pod()).to_string());
    is_plain(&out);
    for command in [
        &["check", "--profile", "hardened", &path("twice.json")][..],
        &["check", "--config", &path("config.yaml"), &pod],
        &["trail", "query", &path(&format!("{NOT_PLAIN}.jsonl"))],
    ] {
        let (_, _, err) = run(command, "");
        is_plain(&err);
    }
}

#[test]
fn a_warning_that_is_cut_still_says_that_nothing_changed() {
    // The template is as it was: everything is inherited, and warned of.
    let template = json!({"metadata": {"annotations": {
        format!("container.apparmor.security.beta.kubernetes.io/{}", "web".repeat(100)): "unconfined"}}, "spec": bad_pod()["spec"]});
    let object = |replicas: u32| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "template": template}})
    };
    let mut asked = review("uid", "default", &object(2));
    asked["request"]["operation"] = json!("UPDATE");
    asked["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    asked["request"]["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    asked["request"]["oldObject"] = object(1);
    let (_, out, err) = run(&["review", "--profile", "hardened", "-"], &asked.to_string());
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let warnings = answer["response"]["warnings"].as_array().expect("warnings");
    let long: Vec<&str> = warnings.iter().filter_map(Value::as_str).filter(|one| one.len() == 256).collect();
    assert!(!long.is_empty() && long.iter().all(|one| one.ends_with("... (as before this change)")), "{warnings:#?}");
}
