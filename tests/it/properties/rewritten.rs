//! A manifest that is written again, however it is written, leads to the template that is stored, for every mutator.
//! Ways to write are modelled as the API server and kubectl carry them out; `kubernetes::rewritten` asks the real ones.

use portcullis::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::patches::{pod, without_nulls};
use crate::judging::{configured, set, set_in_review};

/// Merge strategy for the lists of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lists {
    /// By their keys, as in Kubernetes' own kinds.
    Keyed,
    /// As wholes, as in most custom resources.
    Atomic,
    /// Containers and volumes by name, everything in them as wholes: a custom resource with fewer markers.
    Shallow,
}

/// Method of writing a manifest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// `kubectl replace`.
    Replace,
    /// `kubectl apply`, client-side or server-side where lists are atomic.
    Apply,
    /// `kubectl apply --server-side` where lists have keys.
    ServerSide,
    /// A JSON merge patch with the manifest.
    Merge,
    /// A JSON merge patch with its containers alone.
    MergeContainers,
    /// A JSON merge patch with its volumes alone.
    MergeVolumes,
}

const WAYS: [Way; 6] = [Way::Replace, Way::Apply, Way::ServerSide, Way::Merge, Way::MergeContainers, Way::MergeVolumes];
/// Those by which a manifest is written whole.
const WHOLE: [Way; 3] = [Way::Replace, Way::Apply, Way::ServerSide];

/// The key by which the items of a list are told apart.
fn key_of(list: &str, lists: Lists) -> Option<&'static str> {
    match (list, lists) {
        ("containers" | "initContainers" | "volumes", Lists::Keyed | Lists::Shallow) => Some("name"),
        ("volumeMounts", Lists::Keyed) => Some("mountPath"),
        ("volumeDevices", Lists::Keyed) => Some("devicePath"),
        _ => None,
    }
}

/// Three-way merge: what `last` had and `now` has not goes, what `now` has is there.
fn apply(last: &Value, now: &Value, stored: &Value, lists: Lists, order: Order) -> Value {
    let (Value::Object(last), Value::Object(now), Value::Object(stored)) = (last, now, stored) else {
        return now.clone();
    };
    let mut merged: Map<String, Value> =
        stored.iter().filter(|(name, _)| !last.contains_key(*name) || now.contains_key(*name)).map(own).collect();
    for (name, value) in now {
        let live = stored.get(name).unwrap_or(&Value::Null);
        let before = last.get(name).unwrap_or(&Value::Null);
        let value = match (value, key_of(name, lists)) {
            (Value::Array(items), Some(key)) => apply_list(before, items, live, key, lists, order),
            _ => apply(before, value, live, lists, order),
        };
        merged.insert(name.clone(), value);
    }
    // A keyed list that the manifest no longer has keeps what nobody wrote.
    for (name, before) in last.iter().filter(|(name, _)| !now.contains_key(*name)) {
        if let (Some(key), Some(live @ Value::Array(_))) = (key_of(name, lists), stored.get(name)) {
            let kept = apply_list(before, &[], live, key, lists, order);
            if kept.as_array().is_some_and(|items| !items.is_empty()) {
                merged.insert(name.clone(), kept);
            }
        }
    }
    merged.into()
}

fn own((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Who decides the order of a merged list.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    /// `mergeSortedSlice` in `k8s.io/apimachinery/pkg/util/strategicpatch/patch.go`.
    Strategic,
    /// `visitListItems` in `sigs.k8s.io/structured-merge-diff/typed/merge.go`.
    Structured,
}

fn apply_list(last: &Value, now: &[Value], stored: &Value, key: &str, lists: Lists, order: Order) -> Value {
    let none = Vec::new();
    let (last, stored) = (last.as_array().unwrap_or(&none), stored.as_array().unwrap_or(&none));
    let find = |items: &[Value], item: &Value| items.iter().position(|other| other[key] == item[key]);
    let merged: Vec<Value> = now
        .iter()
        .map(|item| {
            let of = |items: &[Value]| find(items, item).map_or(Value::Null, |place| items[place].clone());
            apply(&of(last), item, &of(stored), lists, order)
        })
        .collect();
    let is_gone = |item: &Value| find(last, item).is_some() && find(now, item).is_none();
    let live: Vec<&Value> = stored.iter().filter(|item| !is_gone(item)).collect();
    let mut left = live.iter().filter(|item| order == Order::Structured || find(now, item).is_none()).peekable();
    let mut right = merged.iter().peekable();
    let mut all = Vec::new();
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return all.into(),
            (Some(one), None) => {
                if find(now, one).is_none() {
                    all.push((**one).clone());
                }
                left.next();
            }
            (None, Some(other)) => {
                all.push((*other).clone());
                right.next();
            }
            (Some(one), Some(other)) if order == Order::Strategic => {
                let places = (find(stored, one), find(stored, other));
                if matches!(places, (Some(one), Some(other)) if one < other) {
                    all.push((**one).clone());
                    left.next();
                } else {
                    all.push((*other).clone());
                    right.next();
                }
            }
            (Some(one), Some(other)) => {
                if one[key] == other[key] {
                    all.push((*other).clone());
                    left.next();
                    right.next();
                } else if find(now, one).is_none() {
                    all.push((**one).clone());
                    left.next();
                } else if find(stored, other).is_none() {
                    all.push((*other).clone());
                    right.next();
                } else {
                    left.next();
                }
            }
        }
    }
}

/// RFC 7386.
fn merge(patch: &Value, stored: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = stored.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        let value = merge(value, merged.get(name).unwrap_or(&Value::Null));
        merged.insert(name.clone(), value);
    }
    merged.into()
}

/// The object that a write makes of what is stored, before any webhook sees it.
fn written(way: Way, lists: Lists, last: &Value, now: &Value, stored: &Value) -> Value {
    let alone = |list: &str| {
        let value = &now["spec"]["template"]["spec"][list];
        let spec = if value.is_null() { json!({}) } else { json!({list: value}) };
        merge(&json!({"spec": {"template": {"spec": spec}}}), stored)
    };
    match way {
        Way::Replace => now.clone(),
        Way::Apply => apply(last, now, stored, lists, Order::Strategic),
        Way::ServerSide => apply(last, now, stored, lists, Order::Structured),
        Way::Merge => merge(now, stored),
        Way::MergeContainers => alone("containers"),
        Way::MergeVolumes => alone("volumes"),
    }
}

fn manifest(lists: Lists, pod: &Value) -> Value {
    let (version, kind) = match lists {
        Lists::Keyed => ("apps/v1", "Deployment"),
        Lists::Atomic | Lists::Shallow => ("example.org/v1", "Fleet"),
    };
    let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
    without_nulls(
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": {"template": template}}),
    )
}

/// The object that is stored once `object` was written over `stored`.
fn stored_after(snapshot: &Snapshot, object: &Value, stored: &Value) -> Value {
    let (group, version) = object["apiVersion"].as_str().expect("a version").split_once('/').expect("a group");
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "namespace": "default", "name": "web",
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "userInfo": {"username": "alice"}, "object": object, "oldObject": stored,
    }});
    set_in_review(snapshot, &review).object.unwrap_or_else(|| object.clone())
}

/// A change of a manifest.
fn changed(pod: &mut Value, step: usize, change: u8, number: usize) {
    let Some(containers) = pod["spec"]["containers"].as_array_mut() else { return };
    let place = number % containers.len();
    let new = json!({"name": format!("new-{step}"), "image": "web"});
    match change {
        0 => containers[place]["image"] = format!("web:{number}").into(),
        1 => containers[place]["name"] = format!("renamed-{step}").into(),
        2 => containers.insert(place, new),
        3 if containers.len() > 1 => drop(containers.remove(place)),
        4 => {
            let path = ["/data", "/tmp", "/var/run", "/tmp/"][number % 4];
            containers[place]["volumeMounts"] = json!([{"name": "more", "mountPath": path}]);
            pod["spec"]["volumes"] = json!([{"name": "more", "emptyDir": {}}]);
        }
        5 => pod["spec"]["volumes"] = Value::Null,
        6 => containers[place]["securityContext"] = Value::Null,
        _ => containers.push(new),
    }
}

/// Two volumes of ours that nobody mounts, as earlier versions left them.
fn with_left_overs(stored: &mut Value, places: (usize, usize)) {
    let volumes = &mut stored["spec"]["template"]["spec"]["volumes"];
    let mut all = volumes.as_array().cloned().unwrap_or_default();
    for (number, place) in [(107, places.0), (112, places.1)] {
        all.insert(place % (all.len() + 1), json!({"name": format!("portcullis-writable-{number}"), "emptyDir": {}}));
    }
    *volumes = all.into();
}

const KIND: &str = "workloads: [{group: example.org, kind: Fleet, path: /spec/template}]\n";
const ROOM: &str = "default-read-only-root: {mode: enforce, settings: {paths: [/tmp, /var/run]}}";

fn lists() -> impl Strategy<Value = Lists> {
    prop::sample::select(vec![Lists::Keyed, Lists::Atomic, Lists::Shallow])
}

#[track_caller]
fn every_way_leads_to_what_is_stored(
    snapshot: &Snapshot,
    lists: Lists,
    manifest: &Value,
    stored: &Value,
) -> Result<(), TestCaseError> {
    for way in WAYS {
        let object = written(way, lists, manifest, manifest, stored);
        let again = stored_after(snapshot, &object, stored);
        let (was, is) = (&stored["spec"]["template"], &again["spec"]["template"]);
        prop_assert_eq!(is, was, "{:?} of {} over {}", way, manifest["spec"]["template"], was);
    }
    Ok(())
}

proptest! {
    /// A program or a configuration that sets less may have stored it.
    #[test]
    fn what_is_written_again_leads_to_what_is_stored(
        pod in pod(), lists in lists(), chosen in 1u8..64, places in any::<(usize, usize)>(), is_old in any::<bool>(),
    ) {
        let ids = ["default-seccomp-profile", "default-no-privilege-escalation", "default-no-token-automount",
            "default-run-as-non-root", "default-drop-capabilities"];
        let some = (0..5).filter(|bit| chosen & (1 << bit) != 0).map(|bit| format!("{}: {{mode: enforce}}", ids[bit]));
        let some: Vec<String> = some.chain((chosen & 32 != 0).then(|| ROOM.to_owned())).collect();
        let fewer = configured(&format!("{KIND}policies: {{{}}}\n", some.join(", ")));
        let all = configured(&format!("{KIND}defaults: all\npolicies: {{{ROOM}}}\n"));
        let manifest = manifest(lists, &pod);
        let mut stored = set(&fewer, &manifest).object.unwrap_or_else(|| manifest.clone());
        if is_old && chosen & 32 != 0 {
            with_left_overs(&mut stored, places);
        }
        every_way_leads_to_what_is_stored(&all, lists, &manifest, &stored)?;
    }

    #[test]
    fn after_each_change_what_is_written_again_leads_to_what_is_stored(
        pod in pod(), lists in lists(),
        changes in prop::collection::vec((0u8..8, 0usize..8, prop::sample::select(WHOLE.to_vec())), 1..5),
    ) {
        let all = configured(&format!("{KIND}defaults: all\npolicies: {{{ROOM}}}\n"));
        let mut pod = pod;
        let mut last = manifest(lists, &pod);
        let mut stored = set(&all, &last).object.unwrap_or_else(|| last.clone());
        for (step, (change, number, way)) in changes.into_iter().enumerate() {
            changed(&mut pod, step, change, number);
            let now = manifest(lists, &pod);
            let object = written(way, lists, &last, &now, &stored);
            stored = stored_after(&all, &object, &stored);
            every_way_leads_to_what_is_stored(&all, lists, &now, &stored)?;
            last = now;
            let volumes = stored["spec"]["template"]["spec"]["volumes"].as_array().map_or(0, Vec::len);
            prop_assert!(volumes < 40, "{volumes} volumes in {}", stored);
        }
    }
}
