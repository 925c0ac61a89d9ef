//! An update inherits what the old object had, in kinds with templates and in roles too.

use portcullis::decision::Decision;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{house, object, said};
use crate::judging;

fn update(snapshot: &Snapshot, old: &Value, new: &Value) -> Decision {
    let api_version = new["apiVersion"].as_str().expect("a version");
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "object": new, "oldObject": old, "namespace": "default", "name": "web",
        "kind": {"group": group, "version": version, "kind": new["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "userInfo": {"username": "jane"},
    }});
    judging::answer(snapshot, &review, &portcullis::cluster::Manifests::default())
}

fn owner(kinds: Value) -> Value {
    json!([{"name": "owner", "kinds": kinds, "labels": {"team": "[a-z]+"}}])
}

#[test]
fn a_label_that_an_old_object_lacked_holds_up_no_other_change() {
    let kinds = json!([{"kind": "Deployment"}, {"kind": "Role"}, {"kind": "Service"}, {"kind": "Pod"}]);
    let snapshot = house("enforce", owner(kinds), Value::Null);
    let template =
        |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": image}]}}}});
    let pod = |image: &str| json!({"spec": {"containers": [{"name": "a", "image": image}]}});
    let role = |verb: &str| json!({"rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]});
    let service = |port: u16| json!({"spec": {"ports": [{"port": port}]}});
    let made = |kind: &str, labels: Value, more: Value| {
        let mut made = object(kind, json!({"labels": labels}), more);
        if kind == "Role" {
            made["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
        }
        made
    };
    for (kind, before, after) in [
        ("Deployment", template("a"), template("b")),
        ("Role", role("get"), role("list")),
        ("Service", service(80), service(81)),
        ("Pod", pod("a"), pod("b")),
    ] {
        let (none, good, bad) = (json!({}), json!({"team": "shop"}), json!({"team": "SHOP"}));
        let of = |old: &Value, new: &Value, content: &Value| {
            update(&snapshot, &made(kind, old.clone(), before.clone()), &made(kind, new.clone(), content.clone()))
        };
        for content in [&before, &after] {
            let decision = of(&none, &none, content);
            assert!(decision.allowed && decision.findings[0].inherited, "{kind}: {:?}", said(&decision));
            assert!(of(&bad, &bad, content).allowed, "{kind}");
            assert!(of(&none, &good, content).allowed && of(&bad, &good, content).findings.is_empty(), "{kind}");
            // What gets worse, or wrong in another way, is refused: whatever else changes or does not.
            for (old, new) in
                [(&good, &none), (&good, &bad), (&none, &bad), (&bad, &none), (&bad, &json!({"team": "X"}))]
            {
                assert!(!of(old, new, content).allowed, "{kind}: {old} to {new}");
            }
        }
    }
}

#[test]
fn items_of_a_list_are_inherited_as_often_as_the_old_object_had_them() {
    let rule =
        json!([{"name": "ports", "kinds": [{"kind": "Service"}], "path": "spec.ports[*].port", "values": [80, 443]}]);
    let snapshot = house("enforce", Value::Null, rule);
    let service = |ports: &[u16]| {
        let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port})).collect();
        object("Service", json!({}), json!({"spec": {"ports": ports}}))
    };
    for (old, new, is_allowed) in [
        (&[8080][..], &[8080][..], true),
        (&[8080], &[80, 8080], true),
        (&[80, 8080, 9090], &[9090, 443, 8080], true),
        (&[8080], &[8080, 8080], false),
        (&[8080], &[9090], false),
        (&[80], &[8080], false),
    ] {
        assert_eq!(update(&snapshot, &service(old), &service(new)).allowed, is_allowed, "{old:?} to {new:?}");
    }
    // More than are kept: inherited if nothing that is read has changed, and not otherwise.
    let many: Vec<u16> = (10_000..10_200).collect();
    let mut labelled = service(&many);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert!(update(&snapshot, &service(&many), &labelled).allowed);
    let more: Vec<u16> = (10_000..10_201).collect();
    assert!(!update(&snapshot, &service(&many), &service(&more)).allowed);
}

#[test]
fn what_changes_through_a_status_or_a_scale_is_not_asked_about() {
    let snapshot = house("enforce", owner(json!([{"kind": "Deployment"}, {"kind": "Pod"}])), Value::Null);
    for (subresource, kind, is_allowed) in [
        ("status", "Deployment", true),
        ("scale", "Scale", true),
        ("ephemeralcontainers", "Pod", false),
        ("resize", "Pod", false),
        ("unheard-of", "Pod", false),
    ] {
        let old = object("Pod", json!({"labels": {"team": "shop"}}), json!({}));
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "UPDATE", "subResource": subresource, "object": object("Pod", json!({}), json!({})),
            "oldObject": old, "namespace": "default", "name": "web",
            "kind": {"group": if kind == "Deployment" { "apps" } else { "" }, "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "any"},
        }});
        let decision = judging::answer(&snapshot, &review, &portcullis::cluster::Manifests::default());
        assert_eq!(decision.allowed, is_allowed, "{subresource}");
    }
}
