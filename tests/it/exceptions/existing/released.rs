//! A template that a controller owns is never refused; one that loses its controller is judged, so that it does not become an
//! old workload of its own with findings that nobody judged.

use portcullis::decision::Decision;
use portcullis::snapshot::Snapshot;
use serde_json::Value;

use super::super::owners::{Stored, decided, owned, owner, privileged};
use super::super::{NOW, configured, container, review_of};
use super::{OLD, admitting, at, deployment, inherited, refused, result, set, snapshot};

/// Users that may take a controller away.
const USERS: [&str; 2] = ["jane", "system:serviceaccount:kube-system:generic-garbage-collector"];

/// The same object without owners.
fn loose(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().expect("metadata").remove("ownerReferences");
    object
}

fn update(snapshot: &Snapshot, user: &str, old: &Value, new: &Value, stored: &[&Value]) -> Decision {
    decided(snapshot, &review_of("UPDATE", user, new, Some(old)), &Stored::of(stored))
}

#[test]
fn a_template_that_loses_a_controller_keeps_only_what_its_old_owner_has() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let snapshot = snapshot();
    let old = deployment(&bad);
    let of_old = set(&bad, &old);
    let clean = deployment(&good);
    let new = at(NOW, deployment(&bad));
    let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "uid": "u"}});
    let of_map = set(&bad, &map);
    let deployment_of_map = owned(old.clone(), &map);
    for user in USERS {
        for (why, object, stored, expected) in [
            ("of an old Deployment that has the finding", &of_old, &old, inherited()),
            ("patched, of a Deployment without it", &of_old, &clean, refused()),
            ("of a new Deployment", &of_old, &new, refused()),
            ("of a ConfigMap", &of_map, &map, refused()),
            ("a Deployment of a ConfigMap", &deployment_of_map, &map, refused()),
        ] {
            let decision = update(&snapshot, user, object, &loose(object), &[stored]);
            assert_eq!(result(&decision), expected, "{why}, by {user}");
        }
        assert_eq!(result(&update(&snapshot, user, &of_old, &loose(&of_old), &[])), refused(), "its owner is gone");
    }
}

#[test]
fn other_updates_inherit_as_they_did() {
    let bad = [privileged("web", "nginx")];
    let old = deployment(&bad);
    let of_old = set(&bad, &old);
    let alone = at(OLD, owner("apps/v1", "ReplicaSet", "alone", &bad, None));
    let without = configured("policies: {privileged-containers: {mode: enforce}}\n");
    let world = Stored::default();
    for user in USERS {
        let on = admitting(&["privileged-containers"], "");
        assert_eq!(result(&update(&without, user, &of_old, &loose(&of_old), &[])), inherited(), "existing is off");
        for (why, before, after) in [
            ("it had no controller", &alone, &alone),
            ("it gains one", &alone, &owned(alone.clone(), &old)),
            ("it keeps its own", &of_old, &of_old),
        ] {
            let decision = decided(&on, &review_of("UPDATE", user, after, Some(before)), &world);
            assert_eq!(result(&decision), inherited(), "{why}");
            assert_eq!(world.asked(), [""; 0], "{why}");
        }
        let clean = set(&[container("web", "nginx")], &old);
        assert!(update(&on, user, &clean, &loose(&clean), &[]).allowed, "nothing is wrong with it");
    }
}

#[test]
fn a_template_that_a_controller_owns_is_judged_when_it_changes() {
    let (good, bad) = ([container("web", "nginx")], [privileged("web", "nginx")]);
    let old = deployment(&good);
    let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "uid": "u"}});
    let without = configured("policies: {privileged-containers: {mode: enforce}}\n");
    for (why, before, after) in [
        ("of a ConfigMap", owned(deployment(&good), &map), owned(deployment(&bad), &map)),
        ("it gains the controller as it changes", old.clone(), owned(deployment(&bad), &map)),
        ("of a Deployment", set(&good, &old), set(&bad, &old)),
    ] {
        for user in USERS {
            assert_eq!(
                result(&update(&snapshot(), user, &before, &after, &[&map, &old])),
                refused(),
                "{why}, by {user}"
            );
            assert!(update(&without, user, &before, &after, &[&map, &old]).allowed, "{why}: existing is off");
            assert!(update(&snapshot(), user, &after, &before, &[&map, &old]).allowed, "{why}: it is put right");
        }
        // Nothing but its template counts.
        let mut labelled = after.clone();
        labelled["metadata"]["labels"] = serde_json::json!({"a": "b"});
        assert!(update(&snapshot(), "jane", &after, &labelled, &[&map, &old]).allowed, "{why}: relabelled");
    }
}
