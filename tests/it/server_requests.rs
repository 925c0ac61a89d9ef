//! Requests as an API server makes them, beside the creation of a Pod: other kinds, subresources and operations.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::bad::{CANARY, ask};
use crate::serve::{AUDIT, HARDENED, Serve, bad_pod, good_pod, review};

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn kinds_that_nobody_knows_are_admitted() {
    let mut server = Serve::new(HARDENED).start();
    for (uid, object) in [
        ("a", json!({"spec": {"containers": [{"image": "nginx:latest"}], "secret": CANARY}})),
        ("b", json!({"metadata": {"name": "w"}, "spec": CANARY})),
        ("c", json!({})),
    ] {
        let mut asked = review(uid, "default", &object);
        asked["request"]["kind"] = json!({"group": "example.com", "version": "v1", "kind": "Widget"});
        asked["request"]["resource"] = json!({"group": "example.com", "version": "v1", "resource": "widgets"});
        let outcome = ask(&mut server, "/validate", uid, asked.to_string());
        assert_eq!((&outcome.event["decision"], &outcome.event["kind"]["kind"]), (&json!("allow"), &json!("Widget")));
    }
}

#[test]
fn trouble_with_a_kind_that_no_policy_judges_refuses_nothing() {
    let mut server = Serve::new(HARDENED).start();
    let mut asked = review("widget", "default", &json!(CANARY));
    asked["request"]["kind"] = json!({"group": "example.com", "version": "v1", "kind": "Widget"});
    let outcome = ask(&mut server, "/validate", "widget", asked.to_string());
    assert_eq!((&outcome.response["allowed"], &outcome.event["decision"]), (&json!(true), &json!("error")));
}

#[test]
fn subresources_are_judged_unless_they_are_listed_as_harmless() {
    let mut server = Serve::new(HARDENED).start();
    for (subresource, allowed) in [
        ("", false),
        ("ephemeralcontainers", false),
        ("resize", false),
        ("invented-tomorrow", false),
        ("Status", false),
        ("status", true),
        ("binding", true),
        ("eviction", true),
    ] {
        let uid = format!("uid-{subresource}");
        let mut asked = review(&uid, "default", &bad_pod());
        asked["request"]["subResource"] = json!(subresource);
        let outcome = ask(&mut server, "/validate", &uid, asked.to_string());
        assert_eq!(outcome.response["allowed"], allowed, "{subresource}");
        assert_eq!(outcome.event["resource"]["subresource"], subresource);
    }
}

#[test]
fn a_connect_is_recorded_with_the_digest_of_its_options() {
    let mut server = Serve::new(HARDENED).start();
    let options =
        json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["echo", CANARY], "container": "web"});
    let mut asked = review("exec", "default", &options);
    asked["request"]["operation"] = json!("CONNECT");
    asked["request"]["subResource"] = json!("exec");
    asked["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "PodExecOptions"});
    for path in ["/validate", "/mutate"] {
        asked["request"]["uid"] = json!(path);
        let outcome = ask(&mut server, path, path, asked.to_string());
        assert_eq!(outcome.response["allowed"], true);
        let event = outcome.event;
        assert_eq!((&event["operation"], &event["object"]), (&json!("CONNECT"), &json!(sha256(&options.to_string()))));
        assert_eq!((&event["user"]["name"], &event["name"]), (&json!("alice"), &json!("web")));
    }
}

fn deletion(uid: &str, old: &Value) -> Value {
    let mut asked = review(uid, "default", &Value::Null);
    asked["request"]["operation"] = json!("DELETE");
    asked["request"]["oldObject"] = old.clone();
    asked
}

#[test]
fn a_delete_with_only_the_old_object_is_admitted_and_recorded_by_its_digest() {
    let mut server = Serve::new(HARDENED).start();
    let old = bad_pod();
    let outcome = ask(&mut server, "/validate", "delete", deletion("delete", &old).to_string());
    assert_eq!((&outcome.response["allowed"], &outcome.event["decision"]), (&json!(true), &json!("allow")));
    assert_eq!((&outcome.event["name"], &outcome.event["object"]), (&json!("web"), &json!(sha256(&old.to_string()))));
}

#[test]
fn a_deletecollection_at_mutate_has_neither_object_nor_name() {
    let mut server = Serve::new(HARDENED).start();
    for path in ["/mutate", "/validate"] {
        let mut asked = deletion(path, &Value::Null);
        asked["request"].as_object_mut().expect("a map").remove("name");
        let outcome = ask(&mut server, path, path, asked.to_string());
        assert_eq!(outcome.response["allowed"], true);
        assert_eq!((&outcome.event["name"], &outcome.event["object"]), (&json!(""), &Value::Null));
        assert_eq!(outcome.event["decision"], if path == "/mutate" { "unchanged" } else { "allow" });
    }
}

#[test]
fn a_delete_whose_old_object_is_unreadable_is_admitted() {
    let mut server = Serve::new(HARDENED).start();
    let outcome = ask(&mut server, "/validate", "delete", deletion("delete", &json!([CANARY])).to_string());
    assert_eq!(outcome.response["allowed"], true);
}

#[test]
fn a_name_to_be_generated_is_shown_as_its_prefix() {
    let mut server = Serve::new(HARDENED).start();
    for path in ["/validate", "/mutate"] {
        let mut pod = good_pod();
        pod["metadata"] = json!({"generateName": "web-"});
        let mut asked = review(path, "default", &pod);
        asked["request"].as_object_mut().expect("a map").remove("name");
        assert_eq!(ask(&mut server, path, path, asked.to_string()).event["name"], "web-");
    }
}

#[test]
fn an_update_without_an_old_object_or_with_an_unreadable_one_is_judged_whole() {
    let mut server = Serve::new(HARDENED).start();
    for (uid, old) in [("none", Value::Null), ("unreadable", json!({"spec": CANARY})), ("list", json!([CANARY]))] {
        let mut asked = review(uid, "default", &bad_pod());
        asked["request"]["operation"] = json!("UPDATE");
        asked["request"]["oldObject"] = old;
        assert_eq!(ask(&mut server, "/validate", uid, asked.to_string()).event["decision"], "deny");
    }
}

#[test]
fn a_dry_run_is_decided_alike_and_recorded_as_one() {
    let mut server = Serve::new(AUDIT).start();
    let mut asked = review("dry", "default", &bad_pod());
    asked["request"]["dryRun"] = json!(true);
    let event = ask(&mut server, "/validate", "dry", asked.to_string()).event;
    assert_eq!((&event["dryRun"], &event["decision"]), (&json!(true), &json!("would-deny")));
}

#[test]
fn endless_names_are_cut_in_event_and_log_and_kept_in_the_answer() {
    let mut server = Serve::new(HARDENED).start();
    let long = "n".repeat(100_000);
    let uid = format!("uid-{long}");
    let mut asked = review(&uid, &long, &good_pod());
    for field in ["name", "subResource"] {
        asked["request"][field] = json!(long);
    }
    asked["request"]["kind"]["version"] = json!(long);
    asked["request"]["resource"]["resource"] = json!(long);
    asked["request"]["userInfo"] = json!({"username": long, "uid": long, "groups": vec![&long[..2000]; 100]});
    let answer = server.post("/validate", asked.to_string());
    assert_eq!(answer.response()["uid"], uid.as_str());
    let event = server.event(&uid[..1024]);
    assert_eq!((&event["user"]["groupsOmitted"], &event["allowed"]), (&json!(36), &json!(true)));
    assert!(event.to_string().len() < 80_000, "{}", event.to_string().len());
    crate::bad::is_sound(&mut server);
    assert!(server.stderr().lines().all(|line| line.len() < 8192));
}
