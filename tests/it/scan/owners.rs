//! An exception for an owner covers the stored Pods that its controller made, and forged chains gain nothing.

use serde_json::{Value, json};

use super::files::{folder, scanned, stored};
use super::{check, without_owner};
use crate::kubernetes::objects::{Flaw, broken_pod, broken_spec, holder, pod, spec};

/// An exception from unpinned images for the Deployment `web` in `shop`.
const CONFIG: &str = "profile: hardened\npolicies: {unisolated-pods: {mode: off}}\nexceptions:\n- {name: for-web, policies: \
                      [unpinned-images, undropped-capabilities], match: {namespace: shop, kind: Deployment, name: web}, expires: \
                      2027-01-31T00:00:00Z, reason: moving, owner: shop}\n";
const AT: [&str; 4] = ["--at", "2027-01-01T00:00:00Z", "--format", "json"];

/// A Deployment `web`, its ReplicaSet and its Pod, each with this spec.
fn chain(top: Value, between: Value, below: Value) -> [Value; 3] {
    let top = stored(holder("Deployment", "web", top), "shop", None);
    let between = stored(holder("ReplicaSet", "web-5d", between), "shop", Some(&top));
    let below = stored(pod("web-5d-a", below), "shop", Some(&between));
    [top, between, below]
}

/// A pod spec with the flaw that `web` has too, and another one.
fn worse_spec() -> Value {
    let mut spec = broken_spec();
    Flaw::of("added-capabilities").make(&mut spec);
    spec
}

/// The decision about the Pod among these objects, and the number of its findings that are excepted; the same from `check` and
/// from `scan`, whatever the order of the files.
#[track_caller]
fn decided(objects: &[Value]) -> (String, usize) {
    let mut results = Vec::new();
    for is_turned in [false, true] {
        let name = |at: usize| format!("{}.json", if is_turned { objects.len() - at } else { at });
        let names: Vec<String> = (0..objects.len()).map(name).collect();
        let files: Vec<(&str, Value)> = names.iter().map(String::as_str).zip(objects.iter().cloned()).collect();
        let folder = folder(CONFIG, &files);
        let rows: Vec<Value> = scanned(&folder, &AT).rows().into_iter().map(without_owner).collect();
        assert_eq!(check(folder.path(), &[&["set", "--config", "c.yaml"], &AT[..]].concat()), rows);
        let row = rows.iter().find(|row| row["kind"] == "Pod").expect("a Pod");
        let findings = row["findings"].as_array().expect("findings").iter();
        let excepted = findings.filter(|one| one["exception"]["name"] == "for-web").count();
        results.push((row["decision"].as_str().expect("a decision").to_owned(), excepted));
    }
    assert_eq!(results[0], results[1], "the order matters");
    results.remove(0)
}

fn exempt() -> (String, usize) {
    ("allow".to_owned(), 1)
}

fn refused() -> (String, usize) {
    ("deny".to_owned(), 0)
}

#[test]
fn a_deployments_exception_covers_its_stored_pods() {
    assert_eq!(decided(&chain(broken_spec(), broken_spec(), broken_spec())), exempt());
    let folder = folder(
        CONFIG,
        &[(
            "a.json",
            json!({"apiVersion": "v1", "kind": "List", "items": chain(broken_spec(), broken_spec(), broken_spec())}),
        )],
    );
    let ran = scanned(&folder, &AT).with_code(0);
    // The template that a controller owns is warned of, as at the webhook.
    let rows = ran.by_name();
    let set = &rows[&("ReplicaSet".to_owned(), "shop".to_owned(), "web-5d".to_owned())]["findings"];
    assert_eq!((&set[0]["mode"], &set[0]["exception"]), (&json!("warn"), &json!(null)), "{set:#}");
    let summary = ran.summary();
    assert_eq!((&summary["exempt"], &summary["refused"], &summary["warned"]), (&json!(2), &json!(0), &json!(1)));
    assert_eq!(summary["exceptions"][0]["objects"], 2);
    // The owners may be described by a dump of the rest of the cluster.
    std::fs::write(folder.path().join("pod.json"), chain(broken_spec(), broken_spec(), broken_spec())[2].to_string())
        .expect("written");
    let arguments = ["pod.json", "--config", "c.yaml", "--cluster-from", "set"];
    crate::scan::scan(folder.path(), &[&arguments, &AT[..]].concat()).with_code(0);
    crate::scan::scan(folder.path(), &[&arguments[..3], &AT[..]].concat()).with_code(1);
}

#[test]
fn forged_chains_in_a_cluster_gain_nothing() {
    let [top, between, below] = chain(broken_spec(), broken_spec(), broken_spec());
    let with = |pod: &Value, others: &[&Value]| {
        let objects: Vec<Value> = std::iter::once(pod).chain(others.iter().copied()).cloned().collect();
        decided(&objects)
    };
    // The flaw that the Deployment has too is covered, the other one refuses.
    assert_eq!(
        decided(&chain(broken_spec(), worse_spec(), worse_spec())),
        ("deny".to_owned(), 1),
        "a forged ReplicaSet"
    );
    assert_eq!(decided(&chain(spec(), broken_spec(), broken_spec())), refused(), "the Deployment is clean");
    let mut other = broken_spec();
    other["containers"][0]["name"] = json!("other");
    assert_eq!(decided(&chain(other, broken_spec(), broken_spec())), refused(), "of another container");

    let map = stored(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}), "shop", None);
    let of_map = stored(holder("ReplicaSet", "web-5d", broken_spec()), "shop", Some(&map));
    assert_eq!(with(&below, &[&of_map, &map, &top]), refused(), "a ReplicaSet of a ConfigMap");
    assert_eq!(with(&stored(broken_pod("a"), "shop", Some(&top)), &[&top]), refused(), "a Pod of a Deployment itself");
    assert_eq!(with(&below, &[&top]), refused(), "no ReplicaSet");
    assert_eq!(with(&below, &[&between]), refused(), "no Deployment");
    let mut later = top.clone();
    later["metadata"]["uid"] = json!("uid-of-a-later-one");
    assert_eq!(with(&below, &[&between, &later]), refused(), "a Deployment of that name that came later");
    assert_eq!(with(&below, &[&between, &top, &later]), refused(), "two Deployments of that name");
    let app = json!({"apiVersion": "a.b/v1", "kind": "App", "metadata": {"name": "a", "uid": "u"}});
    let controlled = stored(holder("Deployment", "web", broken_spec()), "shop", Some(&app));
    assert_eq!(with(&below, &[&between, &controlled]), refused(), "a Deployment that another kind controls");
    let elsewhere = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!("quiet");
        object
    };
    assert_eq!(with(&below, &[&elsewhere(&between), &elsewhere(&top)]), refused(), "owners in another namespace");
    let mut unread = top.clone();
    unread["spec"]["template"]["spec"]["containers"][0]["image"] = json!(7);
    let folder = folder(CONFIG, &[("a.json", below.clone()), ("b.json", between.clone()), ("c.json", unread)]);
    let rows = scanned(&folder, &AT).with_code(2).rows();
    assert_eq!(rows[0]["decision"], "deny", "a template that cannot be read");
}

#[test]
fn stored_pods_inherit_from_a_workload_that_existed_before() {
    let config = "profile: hardened\npolicies: {unisolated-pods: {mode: off}}\nexisting: {admit: true, createdBefore: \
                  2026-11-01T00:00:00Z}\n";
    for (created, template, code) in [
        ("2026-10-31T23:59:59Z", broken_spec(), 0),
        ("2026-11-01T00:00:00Z", broken_spec(), 1),
        ("2026-10-31T23:59:59Z", spec(), 1),
    ] {
        let [mut top, mut between, below] = chain(template, broken_spec(), broken_spec());
        top["metadata"]["creationTimestamp"] = json!(created);
        // The age of what is between says nothing.
        between["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let folder = folder(config, &[("a.json", below)]);
        for (name, object) in [("b.json", between), ("c.json", top)] {
            std::fs::write(folder.path().join(name), object.to_string()).expect("written");
        }
        let arguments = ["set", "--config", "c.yaml", "--cluster-from", "b.json", "--cluster-from", "c.json"];
        let ran = crate::scan::scan(folder.path(), &[&arguments, &AT[..]].concat()).with_code(code);
        let rows = ran.rows();
        let found = &rows[0]["findings"][0];
        assert_eq!(found["policy"], "unpinned-images", "{rows:#?}");
        assert_eq!(rows[0]["decision"], if code == 0 { "allow" } else { "deny" }, "{created}");
    }
}

#[test]
fn manifests_say_nothing_of_what_is_stored() {
    let whole = chain(broken_spec(), broken_spec(), broken_spec());
    assert_eq!(decided(&whole), exempt());
    for at in 0..3 {
        let mut objects = whole.clone();
        objects[at]["metadata"].as_object_mut().expect("metadata").remove("uid");
        assert_eq!(decided(&objects), refused(), "{} has no uid", objects[at]["kind"]);
    }
}

#[test]
fn each_built_in_pair_is_followed() {
    for (kind, below) in [
        ("ReplicaSet", None),
        ("StatefulSet", None),
        ("DaemonSet", None),
        ("ReplicationController", None),
        ("Job", None),
        ("CronJob", Some("Job")),
    ] {
        let top = stored(holder(kind, "web", broken_spec()), "shop", None);
        let between = below.map(|kind| stored(holder(kind, "web-1", broken_spec()), "shop", Some(&top)));
        let pod = stored(broken_pod("web-x"), "shop", Some(between.as_ref().unwrap_or(&top)));
        let objects: Vec<Value> = [pod].into_iter().chain(between).chain([top]).collect();
        let folder = folder(
            &CONFIG.replace("Deployment", kind),
            &[("a.json", json!({"apiVersion": "v1", "kind": "List", "items": objects}))],
        );
        let ran = scanned(&folder, &AT).with_code(0);
        assert_eq!(ran.rows()[0]["findings"][0]["exception"]["name"], "for-web", "{kind}");
    }
}
