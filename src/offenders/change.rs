//! The labels of a namespace, as they are and as an update makes them.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::ActivePolicy;
use crate::facts::Namespace;
use crate::mode::Mode;
use crate::object::{Object, Shape, is_label};
use crate::pod_security::demands;
use crate::request::{Operation, Request};
use crate::snapshot::Snapshot;

/// A change of the labels of a namespace, after which policies refuse that did not before.
#[derive(Debug, Clone)]
pub struct Change {
    pub(super) namespace: String,
    pub(super) before: Arc<Namespace>,
    pub(super) after: Arc<Namespace>,
    /// Arrival of the request.
    pub(super) received: Timestamp,
}

impl Change {
    /// The change that a request makes, if it is an update of a Namespace with such a change.
    pub fn of(snapshot: &Snapshot, request: &Request<'_>) -> Option<Self> {
        let is_of_whole = request.is_about_namespace() && request.subresource.is_empty();
        if request.operation != Operation::Update || !is_of_whole || !is_label(&request.name) {
            return None;
        }
        let old = Object::read(request.old?, Shape::Metadata).ok()?;
        let labels =
            |object: &Object<'_>| Arc::new(Namespace::labelled(object.metadata().labels(), snapshot.raising_keys()));
        let (before, after) = (labels(&old), labels(request.object.as_ref()?));
        let namespace = request.name.to_string();
        let had = refusing(snapshot, &namespace, &before);
        let [[old_level, ..], [new_level, ..]] =
            [&before, &after].map(|labels| demands(|key| labels.pod_security(key)));
        // A lower level has some policies in the place of those of a higher one.
        let is_lowered = new_level.level < old_level.level && new_level.version == old_level.version;
        let is_known = |policy: &ActivePolicy| {
            is_lowered && policy.label.is_some()
                || had.iter().any(|other| Arc::ptr_eq(&policy.validator, &other.validator))
        };
        let refuses_more = before != after && !refusing(snapshot, &namespace, &after).iter().all(is_known);
        refuses_more.then_some(Self { namespace, before, after, received: request.received })
    }

    /// Name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// The policies that refuse in a namespace with these labels.
fn refusing(snapshot: &Snapshot, namespace: &str, labels: &Namespace) -> Vec<ActivePolicy> {
    let scope = snapshot.raised(namespace, |label| label.is_in(|key| labels.label(key)));
    let policies = snapshot.tightened_in(scope, &demands(|key| labels.pod_security(key)));
    policies.iter().filter(|policy| policy.mode == Mode::Enforce).cloned().collect()
}
