//! Updates that `updates: strict` spares: they change nothing that is judged, and without them a violating object could never go.
//!
//! Deletion in the foreground, and every finalizer, ends with an update: the garbage collector removes its finalizer or an
//! ownerReference, the namespace controller ends a Namespace, any other controller removes its finalizer from an object that is being
//! deleted, and the controller of Jobs removes its finalizer from a Pod that has ended. What such an update may change is compared
//! here; its findings are inherited as without `strict`.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::object::unchanged::{is_being_deleted, is_same_but, value_in};
use crate::request::{Operation, Request};

/// The controller of Jobs, which takes its finalizer off Pods that have ended.
const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";
/// Fields of the metadata by which an object is kept from ending.
const HOLDS: [&str; 2] = ["finalizers", "ownerReferences"];
/// Fields of the metadata that every write changes.
const BOOKKEEPING: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

/// True if strict policies judge an update as others do.
pub(super) fn spares(request: &Request<'_>) -> bool {
    let Some((sent, old)) = request.sent.zip(request.old) else { return false };
    // Finalizers of the namespace itself are in its spec, and the controller tells of its progress in its status.
    let top: &[&str] = if request.is_about_namespace() { &["spec", "status"] } else { &[] };
    let held = |object, name| value_in(object, &["metadata", name]);
    let is_released = || HOLDS.iter().all(|name| is_shorter(held(sent, name), held(old, name)));
    let is_counted = request.user.name() == JOB_CONTROLLER;
    request.operation == Operation::Update
        && (request.is_by_cleaner() || (is_counted || is_being_deleted(old)) && is_released())
        && is_same_but(sent, old, top, &[HOLDS.as_slice(), &BOOKKEEPING].concat())
}

/// True if every item of a list was in the old one.
fn is_shorter(new: Option<&RawValue>, old: Option<&RawValue>) -> bool {
    items(new).zip(items(old)).is_some_and(|(new, old)| new.is_subset(&old))
}

/// The items of a list; `None` if it is something else.
fn items(list: Option<&RawValue>) -> Option<HashSet<&str>> {
    let Some(list) = list else { return Some(HashSet::new()) };
    let items: Option<Vec<&RawValue>> = serde_json::from_str(list.get()).ok()?;
    Some(items.into_iter().flatten().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests;
