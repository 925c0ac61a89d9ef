//! The scope that governs a request: that of its namespace, raised by the entries of `namespaces` whose labels the namespace carries.
//!
//! A Namespace is governed by its own labels. An update of it is governed by those that it had too, so that what a label raises
//! judges the update that takes the label away.

use std::borrow::Cow;
use std::time::Instant;

use super::labels::LabelState;
use crate::engine;
use crate::facts::{Facts, World};
use crate::mode::Mode;
use crate::object::{Object, Shape};
use crate::policy::Kinds;
use crate::request::{Operation, Request};
use crate::snapshot::{Scope, Snapshot};

/// The scope that governs a request on `/mutate`, asking `world` for the labels of its namespace until `deadline`. Without them nothing
/// is raised.
pub async fn defaulting<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    world: &dyn World,
    deadline: Instant,
) -> Cow<'s, Scope> {
    let facts = Facts::new(world);
    let mut scope = at_once(snapshot, request, &facts, sets);
    if matches!(scope, Err(LabelState::Pending)) && engine::ask(&facts, deadline).await {
        scope = at_once(snapshot, request, &facts, sets);
    }
    scope.unwrap_or_else(|_| base(snapshot, request))
}

/// The same with the facts at hand.
pub fn defaulting_at_once<'s>(snapshot: &'s Snapshot, request: &Request<'_>, world: &dyn World) -> Cow<'s, Scope> {
    at_once(snapshot, request, &Facts::new(world), sets).unwrap_or_else(|_| base(snapshot, request))
}

/// The strongest mode of any policy that is in force for a request, or may be, with the facts at hand.
pub(super) fn strongest(snapshot: &Snapshot, request: &Request<'_>, facts: &Facts<'_>) -> Mode {
    let (covers, namespace) = (covers(snapshot, request), Some(request.governed_by()));
    match at_once(snapshot, request, facts, |scope| scope.strongest_on(None, &covers) > Mode::Off) {
        Ok(scope) => scope.strongest_on(namespace, &covers),
        Err(LabelState::LeftOut) => base(snapshot, request).strongest_on(namespace, &covers),
        Err(_) => base(snapshot, request).strongest_on(namespace, &covers).max(raised(snapshot, request)),
    }
}

/// The scope that governs a request, with the facts at hand. Nobody is asked for labels unless they select a scope that `matters`.
pub(super) fn at_once<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    matters: impl Fn(&Scope) -> bool,
) -> Result<Cow<'s, Scope>, LabelState> {
    let namespace = request.governed_by();
    let mut scopes = (0..snapshot.raising().len()).filter_map(|entry| snapshot.raised_by(entry));
    // A Namespace whose name is generated has none yet.
    let lives_in_none = namespace.is_empty() && !request.is_about_namespace();
    if lives_in_none || !scopes.any(matters) {
        return Ok(base(snapshot, request));
    }
    if request.is_about_namespace() {
        let is_sent = matches!(request.operation, Operation::Create | Operation::Update);
        if is_sent && request.object.is_none() {
            return Err(LabelState::Failed("they cannot be read".to_owned()));
        }
        let old = request.old.and_then(|old| Object::read(old, Shape::Metadata).ok());
        let objects = [request.object.as_ref(), old.as_ref()];
        let has = |object: &Object<'_>, label: &crate::snapshot::RaisingLabel| {
            label.is_in(|key| object.metadata().label(key))
        };
        return Ok(snapshot.raised(namespace, |label| objects.into_iter().flatten().any(|object| has(object, label))));
    }
    let found = LabelState::read(facts.namespace(namespace, snapshot.raising_keys()))?;
    Ok(snapshot.raised(namespace, |label| label.is_in(|key| found.label(key))))
}

/// The strongest mode that labels could give any policy on such requests.
pub(super) fn raised(snapshot: &Snapshot, request: &Request<'_>) -> Mode {
    let covers = covers(snapshot, request);
    let modes = (0..snapshot.raising().len())
        .map(|entry| snapshot.strongest_raised_on(entry, Some(request.governed_by()), &covers));
    modes.max().unwrap_or(Mode::Off)
}

/// Picks the objects that a request is about.
pub(super) fn covers<'r>(snapshot: &Snapshot, request: &'r Request<'_>) -> impl Fn(Kinds<'_>) -> bool + 'r {
    let (group, kind) = (&request.kind.group, &request.kind.kind);
    let holds_pods = kind.is_empty() || snapshot.workloads().find(group, kind).is_some();
    move |kinds: Kinds<'_>| kinds.cover(request) && (holds_pods || kinds != Kinds::Pods)
}

fn sets(scope: &Scope) -> bool {
    scope.strongest_default() > Mode::Off
}

fn base<'s>(snapshot: &'s Snapshot, request: &Request<'_>) -> Cow<'s, Scope> {
    snapshot.raised(request.governed_by(), |_| false)
}
