//! Updates that `updates: strict` spares: they change nothing that is judged, and without them a violating object could never go.
//!
//! Deletion in the foreground, and every finalizer, ends with an update: the garbage collector removes its finalizer or an
//! ownerReference, the namespace controller ends a Namespace, any other controller removes its finalizer from an object that is being
//! deleted, and the controller of Jobs removes its finalizer from a Pod that has ended. What such an update may change is compared here; its findings are inherited as without `strict`.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use crate::request::{Operation, Request};

/// The controller of Jobs, which takes its finalizer off Pods that have ended.
const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";
/// Fields of the metadata by which an object is kept from ending.
const HOLDS: [&str; 2] = ["finalizers", "ownerReferences"];
/// Fields of the metadata that every write changes.
const BOOKKEEPING: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// True if strict policies judge an update as others do.
pub(super) fn spares(request: &Request<'_>) -> bool {
    let Some((sent, old)) = request.sent.zip(request.old) else { return false };
    let (Some(new), Some(old)) = (fields(sent), fields(old)) else { return false };
    let (Some(new_metadata), Some(old_metadata)) = (metadata(&new), metadata(&old)) else { return false };
    // Finalizers of the namespace itself are in its spec, and the controller tells of its progress in its status.
    let beside: &[&str] = if request.is_about_namespace() { &["metadata", "spec", "status"] } else { &["metadata"] };
    let is_released = HOLDS.iter().all(|name| is_shorter(new_metadata.get(*name), old_metadata.get(*name)));
    let is_ending = old_metadata.get("deletionTimestamp").is_some_and(|when| when.get() != "null");
    let is_counted = request.user.name() == JOB_CONTROLLER;
    request.operation == Operation::Update
        && (request.is_by_cleaner() || is_released && (is_ending || is_counted))
        && are_same(&new, &old, beside)
        && are_same(&new_metadata, &old_metadata, &[HOLDS.as_slice(), &BOOKKEEPING].concat())
}

/// The fields of an object; `None` if it is not one.
fn fields(object: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(object.get()).ok()
}

fn metadata<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    self::fields(fields.get("metadata").copied()?)
}

/// True if both have the same fields, byte for byte, `but` for some.
fn are_same(new: &Fields<'_>, old: &Fields<'_>, but: &[&str]) -> bool {
    fn others<'f>(fields: &'f Fields<'_>, but: &'f [&str]) -> impl Iterator<Item = (&'f str, &'f str)> {
        let named = fields.iter().map(|(name, value)| (name.as_str(), value.get()));
        named.filter(move |(name, _)| !but.contains(name))
    }
    others(new, but).eq(others(old, but))
}

/// True if every item of a list was in the old one.
fn is_shorter(new: Option<&&RawValue>, old: Option<&&RawValue>) -> bool {
    items(new).zip(items(old)).is_some_and(|(new, old)| new.is_subset(&old))
}

/// The items of a list; `None` if it is something else.
fn items<'a>(list: Option<&&'a RawValue>) -> Option<HashSet<&'a str>> {
    let Some(list) = list else { return Some(HashSet::new()) };
    let items: Option<Vec<&RawValue>> = serde_json::from_str(list.get()).ok()?;
    Some(items.into_iter().flatten().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests;
