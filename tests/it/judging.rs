//! Judging objects through the library, as `check` and the server do.

use jiff::Timestamp;
use portcullis::cluster::Manifests;
use portcullis::config;
use portcullis::decision::{Decision, decide_at_once};
use portcullis::document;
use portcullis::facts::World;
use portcullis::mutation::{Mutation, mutate};
use portcullis::object::resource::Resource as Row;
use portcullis::object::{Object, Unreadable};
use portcullis::request::{Kind, Operation, Request, Resource, Source, User};
use portcullis::review::{self, Review};
use portcullis::snapshot::Snapshot;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fixtures;

/// First lines of every configuration.
pub(crate) const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";

/// The configuration of these lines.
pub(crate) fn configured(lines: &str) -> Snapshot {
    config::compile("test", &format!("{HEAD}{lines}"), None).expect("compiles").snapshot
}

/// The configuration that enforces one policy.
pub(crate) fn only(policy: &str) -> Snapshot {
    configured(&format!("policies: {{{policy}: {}}}\n", fixtures::enforced(policy)))
}

/// The documents of a YAML text, as JSON.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let nodes = document::read(text).expect("readable");
    nodes.iter().map(|node| serde_json::to_value(node).expect("JSON")).collect()
}

/// The world that these manifests describe, in the namespace `default`.
pub(crate) fn world(text: &str) -> Manifests {
    let mut world = Manifests::default();
    for node in document::read(text).expect("readable") {
        world.add(&node, "default");
    }
    world
}

/// The decision about the creation of an object in the namespace `default`.
pub(crate) fn create(
    snapshot: &Snapshot,
    object: &Value,
    world: &dyn World,
    source: Source,
) -> Result<Decision, Unreadable> {
    with_creation(snapshot, object, source, |request| decide_at_once(snapshot, request, world))
}

/// The same about its creation by somebody.
pub(crate) fn create_by(
    user: &User<'_>,
    snapshot: &Snapshot,
    object: &Value,
    world: &dyn World,
    source: Source,
) -> Result<Decision, Unreadable> {
    let sent = Sent { written: &object.to_string(), row: None, user };
    with_creation_of(snapshot, object, &sent, source, |request| decide_at_once(snapshot, request, world))
}

/// Hands `each` the request to create an object in the namespace `default`.
pub(crate) fn with_creation<T>(
    snapshot: &Snapshot,
    object: &Value,
    source: Source,
    each: impl FnOnce(&Request<'_>) -> T,
) -> Result<T, Unreadable> {
    let sent = Sent { written: &object.to_string(), row: None, user: &User::default() };
    with_creation_of(snapshot, object, &sent, source, each)
}

/// The decision about the creation of an object that was written out already.
pub(crate) fn create_written(
    snapshot: &Snapshot,
    object: &Value,
    written: &str,
    world: &dyn World,
    source: Source,
) -> Result<Decision, Unreadable> {
    let sent = Sent { written, row: None, user: &User::default() };
    with_creation_of(snapshot, object, &sent, source, |request| decide_at_once(snapshot, request, world))
}

/// The decision about the first operation of a row on an object, by somebody: its creation, or a CONNECT with these options.
pub(crate) fn ask_on(
    user: &User<'_>,
    snapshot: &Snapshot,
    object: &Value,
    world: &dyn World,
    source: Source,
    row: &Row,
) -> Result<Decision, Unreadable> {
    let decide = |request: &Request<'_>| decide_at_once(snapshot, request, world);
    let sent = Sent { written: &object.to_string(), row: Some(row), user };
    with_creation_of(snapshot, object, &sent, source, decide)
}

/// An object as it is sent: written out, by the first operation of a row, by somebody.
struct Sent<'s> {
    written: &'s str,
    row: Option<&'s Row>,
    user: &'s User<'s>,
}

fn with_creation_of<T>(
    snapshot: &Snapshot,
    object: &Value,
    sent: &Sent<'_>,
    source: Source,
    each: impl FnOnce(&Request<'_>) -> T,
) -> Result<T, Unreadable> {
    let Sent { written, row, user } = *sent;
    let resource = row.and_then(|row| row.resource.split('/').next()).unwrap_or_default();
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let api_version = text("apiVersion");
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let raw: &RawValue = serde_json::from_str(written).expect("JSON");
    let kind = text("kind");
    Ok(each(&Request {
        uid: String::new().into(),
        operation: row.map_or(Operation::Create, |row| row.operations[0]),
        kind: Kind { group: group.to_owned().into(), version: version.to_owned().into(), kind: kind.clone().into() },
        resource: Resource { resource: resource.to_owned().into(), ..Resource::default() },
        subresource: row.map_or("", Row::subresource).to_owned().into(),
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned().into(),
        namespace: "default".to_owned().into(),
        user: user.clone(),
        dry_run: false,
        received: Timestamp::UNIX_EPOCH,
        source,
        object: Some(Object::read(raw, snapshot.workloads().shape(group, &kind))?),
        sent: Some(raw),
        old: None,
        options: None,
    }))
}

/// The decision about a review, as the server makes it.
pub(crate) fn answer(snapshot: &Snapshot, review: &Value, world: &dyn World) -> Decision {
    with_review(snapshot, review, |request| decide_at_once(snapshot, request, world))
}

/// The mutation of the object of a review.
pub(crate) fn set_in_review(snapshot: &Snapshot, review: &Value) -> Mutation {
    with_review(snapshot, review, |request| mutate(snapshot, request))
}

/// The mutation of an object that is created in the namespace `default`.
pub(crate) fn set(snapshot: &Snapshot, object: &Value) -> Mutation {
    with_creation(snapshot, object, Source::ApiServer, |request| mutate(snapshot, request)).expect("readable")
}

/// A patch as it is sent.
pub(crate) fn patch(mutation: &Mutation) -> Value {
    serde_json::to_value(&mutation.decision.patch).expect("JSON")
}

/// Hands `each` the request of a review.
pub(crate) fn with_review<T>(snapshot: &Snapshot, review: &Value, each: impl FnOnce(&Request<'_>) -> T) -> T {
    let bytes = review.to_string();
    let review: Review<'_> =
        review::decode(bytes.as_bytes(), snapshot.workloads(), Timestamp::UNIX_EPOCH).expect("has a uid");
    assert_eq!(review.unreadable, None);
    each(&review.request)
}

/// `metadata.annotations[KEY]` is `metadata`, `annotations`, `[KEY]`: a key may hold dots.
pub(crate) fn steps(field: &str) -> Vec<&str> {
    let (front, keys) = field.split_once('[').map_or((field, ""), |(front, _)| (front, &field[front.len()..]));
    let mut found: Vec<&str> = front.split('.').filter(|step| !step.is_empty()).collect();
    if let Some(end) = keys.find(']') {
        found.push(&keys[..=end]);
        found.extend(steps(&keys[end + 1..]));
    }
    found
}
