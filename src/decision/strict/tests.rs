//! Updates that strict policies spare, and those that come near.

use serde_json::{Value, json};

use super::{JOB_CONTROLLER, spares};
use crate::object::Workloads;
use crate::request::CLEANERS;
use crate::review;

fn is_spared(user: &str, kind: &str, old: &Value, new: &Value) -> bool {
    let text = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "name": "old", "userInfo": {"username": user},
        "kind": {"group": "", "version": "v1", "kind": kind}, "resource": {"resource": "any"},
        "object": new, "oldObject": old,
    }})
    .to_string();
    let review = review::decode(text.as_bytes(), Workloads::built_in(), jiff::Timestamp::UNIX_EPOCH);
    spares(&review.expect("has a uid").request)
}

fn held() -> Value {
    json!({"kind": "Service", "metadata": {
        "name": "old", "resourceVersion": "1", "labels": {"app": "web"}, "finalizers": ["example.com/a", "example.com/b"],
        "ownerReferences": [{"uid": "1"}, {"uid": "2"}],
    }, "spec": {"type": "NodePort"}})
}

fn ending() -> Value {
    with(held(), "/metadata", "deletionTimestamp", json!("2027-01-01T00:00:00Z"))
}

fn with(mut object: Value, pointer: &str, key: &str, value: Value) -> Value {
    object.pointer_mut(pointer).expect(pointer)[key] = value;
    object
}

/// With fewer finalizers and owners, and what every write changes.
fn freed(object: Value) -> Value {
    let object = with(object, "/metadata", "finalizers", json!(["example.com/b"]));
    let object = with(object, "/metadata", "ownerReferences", json!([{"uid": "2"}]));
    with(with(object, "/metadata", "resourceVersion", json!("2")), "/metadata", "managedFields", json!([{}]))
}

#[test]
fn an_object_that_is_being_deleted_may_lose_what_holds_it() {
    assert!(is_spared("jane", "Service", &ending(), &freed(ending())));
    assert!(is_spared("jane", "Service", &ending(), &with(ending(), "/metadata", "finalizers", Value::Null)));
    assert!(is_spared("jane", "Service", &ending(), &ending()), "nothing changes");
    assert!(!is_spared("jane", "Service", &held(), &freed(held())), "it is not being deleted");
    let never = with(held(), "/metadata", "deletionTimestamp", Value::Null);
    assert!(!is_spared("jane", "Service", &never, &freed(ending())), "a new timestamp says nothing");
    assert!(!is_spared("jane", "Service", &never, &freed(never.clone())), "a timestamp that is null does not count");
    for (pointer, key, value) in [
        ("/metadata", "finalizers", json!(["example.com/b", "example.com/c"])),
        ("/metadata", "finalizers", json!("example.com/b")),
        ("/metadata", "ownerReferences", json!([{"uid": "3"}])),
        ("/metadata", "labels", json!({})),
        ("/metadata", "annotations", json!({"a": "b"})),
        ("/spec", "type", json!("LoadBalancer")),
        ("", "status", json!({})),
    ] {
        let changed = with(freed(ending()), pointer, key, value.clone());
        assert!(!is_spared("jane", "Service", &ending(), &changed), "{pointer} {key} {value}");
    }
}

#[test]
fn the_controllers_that_end_objects_may_change_what_holds_them() {
    let orphan = with(held(), "/metadata", "ownerReferences", json!([]));
    let unblocked = with(held(), "/metadata", "ownerReferences", json!([{"uid": "1", "blockOwnerDeletion": false}]));
    for user in CLEANERS {
        assert!(
            is_spared(user, "Service", &held(), &orphan) && is_spared(user, "Service", &held(), &unblocked),
            "{user}"
        );
        let changed = with(orphan.clone(), "/metadata", "labels", json!({}));
        assert!(!is_spared(user, "Service", &held(), &changed), "{user}");
    }
    for user in ["jane", "system:serviceaccount:default:generic-garbage-collector"] {
        assert!(!is_spared(user, "Service", &held(), &orphan), "{user}");
    }
}

#[test]
fn the_controller_of_jobs_takes_its_finalizer_off_and_changes_nothing_else() {
    let counted = with(held(), "/metadata", "finalizers", json!(["example.com/b"]));
    assert!(is_spared(JOB_CONTROLLER, "Service", &held(), &counted));
    for changed in [
        with(held(), "/metadata", "finalizers", json!(["example.com/a", "example.com/b", "example.com/c"])),
        with(counted.clone(), "/metadata", "labels", json!({})),
        with(counted, "/spec", "type", json!("LoadBalancer")),
    ] {
        assert!(!is_spared(JOB_CONTROLLER, "Service", &held(), &changed), "{changed}");
    }
}

#[test]
fn a_namespace_ends_by_its_spec_and_status() {
    let namespace = |finalizers: &[&str], phase: &str| {
        json!({"kind": "Namespace", "metadata": {"name": "old", "deletionTimestamp": "2027-01-01T00:00:00Z"},
            "spec": {"finalizers": finalizers}, "status": {"phase": phase}})
    };
    let (old, new) = (namespace(&["kubernetes"], "Active"), namespace(&[], "Terminating"));
    assert!(is_spared(CLEANERS[1], "Namespace", &old, &new) && is_spared("jane", "Namespace", &old, &new));
    assert!(!is_spared("jane", "Pod", &old, &new), "a spec of another kind is judged");
}

#[test]
fn what_cannot_be_compared_is_not_spared() {
    for (old, new) in [(json!({}), ending()), (ending(), json!({})), (Value::Null, ending()), (json!([]), json!([]))] {
        assert!(!is_spared(CLEANERS[0], "Service", &old, &new), "{old} {new}");
    }
}
