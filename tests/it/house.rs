//! `required-metadata` and `allowed-values`: what instances find, in updates too, and what no message repeats.

mod properties;
mod updates;

use std::time::{Duration, Instant};

use portcullis::cluster::Manifests;
use portcullis::decision::{Decision, Endpoint, Verdict};
use portcullis::mode::Mode;
use portcullis::request::Source;
use portcullis::review::{self, Judge};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging::{self, configured};

/// A configuration with these instances, each policy in a mode.
fn house(mode: &str, required: Value, allowed: Value) -> Snapshot {
    let mut lines = "policies:\n".to_owned();
    for (id, instances) in [("required-metadata", required), ("allowed-values", allowed)] {
        if !instances.is_null() {
            lines += &format!("  {id}: {{mode: {mode}, settings: {}}}\n", json!({"instances": instances}));
        }
    }
    configured(&lines)
}

fn create(snapshot: &Snapshot, object: &Value) -> Decision {
    judging::create(snapshot, object, &Manifests::default(), Source::ApiServer).expect("readable")
}

/// Place and message of each finding.
fn said(decision: &Decision) -> Vec<String> {
    decision.findings.iter().map(|finding| format!("{}: {}", finding.place.shown(), finding.message)).collect()
}

fn object(kind: &str, metadata: Value, more: Value) -> Value {
    let api = if kind == "Deployment" { "apps/v1" } else { "v1" };
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
    object["metadata"]["name"] = "web".into();
    more.as_object().into_iter().flatten().for_each(|(field, value)| object[field] = value.clone());
    object
}

#[test]
fn an_instance_that_warns_refuses_nothing_beside_one_that_refuses() {
    let kinds = json!([{"kind": "Service"}]);
    let owner = json!({"name": "owner", "kinds": kinds, "labels": {"team": "[a-z]+"}});
    let cost = json!({"name": "cost", "kinds": kinds, "labels": {"cost": ".+"}, "mode": "warn"});
    let types = json!({"name": "types", "kinds": kinds, "path": "spec.type", "values": ["ClusterIP"]});
    let affinity = json!({
        "name": "affinity", "kinds": kinds, "path": "spec.sessionAffinity", "values": ["None"], "mode": "warn",
    });
    let snapshot = house("enforce", json!([owner, cost]), json!([types, affinity]));
    let spec = json!({"spec": {"type": "ClusterIP", "sessionAffinity": "ClientIP"}});
    let decision = create(&snapshot, &object("Service", json!({"labels": {"team": "a"}}), spec));
    assert_eq!((decision.verdict, decision.findings.len()), (Verdict::Warn, 2), "{:?}", said(&decision));
}

#[test]
fn every_instance_for_a_kind_judges_it_and_no_other_does() {
    let owner = json!({"name": "owner", "kinds": [{"kind": "Service"}], "labels": {"team": "[a-z]+"}});
    let contact = json!({"name": "contact", "kinds": [{"kind": "Service"}, {"kind": "ConfigMap"}],
        "annotations": {"example.com/contact": ".+"}});
    let types = json!({"name": "types", "kinds": [{"kind": "Service"}], "path": "spec.type", "values": ["ClusterIP"]});
    let snapshot = house("enforce", json!([owner, contact]), json!([types]));
    let service = object("Service", json!({"labels": {"team": "A"}}), json!({"spec": {"type": "NodePort"}}));
    let decision = create(&snapshot, &service);
    assert!(!decision.allowed);
    assert_eq!(
        said(&decision),
        [
            "metadata.labels[team]: must match \"[a-z]+\" (instance owner): it is \"A\"",
            "metadata.annotations[example.com/contact]: must be set, to a value that matches \".+\" (instance contact)",
            "spec.type: must be \"ClusterIP\" (instance types): it is \"NodePort\"",
        ]
    );
    assert_eq!(said(&create(&snapshot, &object("ConfigMap", json!({}), json!({})))).len(), 1);
    assert_eq!(said(&create(&snapshot, &object("Secret", json!({}), json!({})))), [""; 0]);
    // Another group's kind of the same name.
    let mut other = service.clone();
    other["apiVersion"] = "serving.knative.dev/v1".into();
    assert_eq!(said(&create(&snapshot, &other)), [""; 0]);
}

#[test]
fn an_instance_may_only_warn_and_a_service_account_is_never_refused() {
    let rule = |mode: &str| {
        json!([{"name": "owner", "kinds": [{"kind": "Service"}, {"kind": "ServiceAccount"}],
        "labels": {"team": ".+"}, "mode": mode}])
    };
    for (mode, of_instance, kind, expected) in [
        ("enforce", "enforce", "Service", Mode::Enforce),
        ("enforce", "warn", "Service", Mode::Warn),
        ("warn", "enforce", "Service", Mode::Warn),
        ("audit", "warn", "Service", Mode::Audit),
        ("enforce", "enforce", "ServiceAccount", Mode::Warn),
    ] {
        let decision = create(&house(mode, rule(of_instance), Value::Null), &object(kind, json!({}), json!({})));
        let modes: Vec<Mode> = decision.findings.iter().map(|finding| finding.mode).collect();
        assert_eq!(
            (modes, decision.allowed),
            (vec![expected], expected < Mode::Enforce),
            "{mode} {of_instance} {kind}"
        );
    }
}

/// Kind, metadata and data that hold a canary where no message may repeat it.
#[test]
fn no_message_repeats_what_may_be_a_secret() {
    let canary = "hunter2-Canary";
    let all = json!([{"kind": "Secret"}, {"kind": "ConfigMap"}, {"kind": "Service"}]);
    let keys = json!({"team": "x", "db-password": "x", "kubectl.kubernetes.io/last-applied-configuration": "x"});
    let required = json!([{"name": "a", "kinds": all, "labels": {"team": "x"}, "annotations": keys}]);
    let allowed = json!([
        {"name": "a", "kinds": [{"kind": "ConfigMap"}], "path": "data[DB_PASSWORD]", "values": ["x"]},
        {"name": "b", "kinds": [{"kind": "Secret"}], "path": "metadata.annotations[*]", "pattern": "x"},
    ]);
    let snapshot = house("enforce", required, allowed);
    let words = |kind: &str, key: &str, field: &str| {
        let mut metadata = json!({"labels": {}, "annotations": {}});
        if field != "data" {
            metadata[field][key] = canary.into();
        }
        let data = if field == "data" { json!({"data": {key: canary}}) } else { json!({}) };
        let decision = create(&snapshot, &object(kind, metadata, data));
        assert!(!decision.allowed, "{kind} {key}");
        decision.findings.iter().map(|finding| decision.text_of(finding).message.clone()).collect::<String>()
    };
    for (kind, key, field) in [
        ("Secret", "team", "labels"),
        ("Secret", "team", "annotations"),
        ("Secret", "other", "annotations"),
        ("Service", "db-password", "annotations"),
        ("Service", "kubectl.kubernetes.io/last-applied-configuration", "annotations"),
        ("ConfigMap", "DB_PASSWORD", "data"),
    ] {
        let said = words(kind, key, field);
        assert!(said.contains("instance ") && !said.contains(canary), "{kind} {key}: {said}");
    }
    assert!(words("Service", "team", "labels").contains(canary), "what names nothing of the kind is repeated");
}

#[test]
fn an_object_that_cannot_be_read_is_an_error_in_the_mode_of_the_policy() {
    let rule = json!([{"name": "a", "kinds": [{"group": "example.com", "kind": "Widget", "resource": "widgets"}],
        "labels": {"team": ".+"}}]);
    let broken = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "labels": [1]}});
    let judge = |mode: &str, kind: &str| {
        let snapshot = house(mode, rule.clone(), Value::Null);
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "object": broken, "namespace": "default", "name": "w",
            "kind": {"group": "example.com", "version": "v1", "kind": kind},
            "resource": {"group": "example.com", "version": "v1", "resource": "widgets"},
        }});
        let bytes = review.to_string();
        let review =
            review::decode(bytes.as_bytes(), snapshot.workloads(), jiff::Timestamp::UNIX_EPOCH).expect("a uid");
        let world = Manifests::default();
        let decision =
            Judge { snapshot: &snapshot, world: &world, endpoint: Endpoint::Validate }.decide_at_once(&review);
        (decision.verdict, decision.allowed)
    };
    assert_eq!(judge("enforce", "Widget"), (Verdict::Error, false));
    assert_eq!(judge("warn", "Widget"), (Verdict::Error, true));
    assert_eq!(judge("enforce", "Gadget"), (Verdict::Error, true), "no instance names it");
}

/// A value, or an object on the way, that is of another type than the path needs.
#[test]
fn a_value_of_another_type_is_a_finding() {
    let rule =
        json!([{"name": "a", "kinds": [{"kind": "ConfigMap"}], "path": "spec.list[*].name", "pattern": "(?s).*"}]);
    let snapshot = house("enforce", Value::Null, rule);
    for (spec, place) in [
        (json!("text"), "spec"),
        (json!([]), "spec"),
        (json!({"list": "text"}), "spec.list"),
        (json!({"list": [1]}), "spec.list[0]"),
        (json!({"list": [{"name": []}]}), "spec.list[0].name"),
        (json!({"list": [{"name": {}}]}), "spec.list[0].name"),
    ] {
        let decision = create(&snapshot, &object("ConfigMap", json!({}), json!({"spec": spec})));
        assert!(!decision.allowed);
        let places: Vec<String> = decision.findings.iter().map(|finding| finding.place.shown()).collect();
        assert_eq!(places, [place], "{spec}: {:?}", said(&decision));
    }
    for spec in [json!(null), json!({}), json!({"list": null}), json!({"list": []}), json!({"list": [{"name": 1}, {}]})]
    {
        assert!(create(&snapshot, &object("ConfigMap", json!({}), json!({"spec": spec}))).allowed, "{spec}");
    }
}

/// A large object before several instances that all look at every item.
#[test]
fn the_work_on_one_object_is_bounded() {
    let rules: Vec<Value> = (0..8)
        .map(|number| {
            json!({"name": format!("r-{number}"), "kinds": [{"kind": "ConfigMap"}], "path": "a[*].b[*]",
            "pattern": "([a-z]*-?)*[A-Z]"})
        })
        .collect();
    let snapshot = house("enforce", Value::Null, json!(rules));
    let item = json!({"b": ["aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa", "b"]});
    let large = object("ConfigMap", json!({}), json!({"a": vec![item; 20_000]}));
    assert!(large.to_string().len() > 900 << 10);
    let start = Instant::now();
    let decision = create(&snapshot, &large);
    let spent = start.elapsed();
    assert!(!decision.allowed && decision.findings.len() == 129, "{}", decision.findings.len());
    assert!(spent < Duration::from_mins(1), "{spent:?}");
    println!("a ConfigMap of {} KiB, 8 instances: {spent:?}", large.to_string().len() >> 10);
}
