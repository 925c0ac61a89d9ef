//! What is set: where mutators act, the patch that they make, and the decision about it.
//!
//! A mutator never refuses, nor makes the API server refuse: it acts where its patch leads to an object that passes
//! validation and that no controller undoes. Controllers compare templates, so an owned object is left alone: a changed
//! ReplicaSet makes its Deployment create ReplicaSets for ever (`K/pkg/controller/deployment/sync.go`).
//!
//! A manifest that is written again, however it is written, leads to the object that is stored: where what was set before
//! makes the two equal, nothing else is set.

mod authors;
mod draft;
mod stored;
mod taken;
mod way;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use self::draft::{Told, Wish};
use self::stored::Stored;
use crate::config::Snapshot;
use crate::decision::{Decision, Judged, Tells, Verdict};
use crate::engine::Setter;
use crate::mode::Mode;
use crate::object::{ContainerList, Object, Place};
use crate::patch::Editor;
use crate::policy::defaults::{Edit, Edits, Target};
use crate::request::{Operation, Request};
use crate::steps::{Allowance, POLICY};

/// A decision on `/mutate`, and the object that it leads to where something is set.
pub struct Mutation {
    /// The decision.
    pub decision: Decision,
    /// The object with the patch applied.
    pub object: Option<Value>,
}

/// Runs every mutator in force.
pub fn mutate(snapshot: &Snapshot, request: &Request<'_>) -> Mutation {
    let mut findings = Told::new();
    // What is set, and what would be in a stronger mode.
    let (mut wanted, mut imagined) = (Vec::new(), Vec::new());
    let target = target(snapshot, request);
    let setters = snapshot.setters(request.governed_by()).iter().filter(|one| one.mode > Mode::Off);
    for (number, setter) in setters.enumerate() {
        let Some(target) = &target else { break };
        match run(setter, target) {
            Some(edits) => {
                let wishes = if setter.mode == Mode::Enforce { &mut wanted } else { &mut imagined };
                let numbered = edits.into_iter().enumerate();
                wishes.extend(numbered.map(|(place, edit)| Wish { order: (number, place), setter, edit }));
            }
            None => findings.push(((number, 0), failed(setter, PANICKED))),
        }
    }
    let before = target.as_ref().filter(|_| !wanted.is_empty() || !imagined.is_empty()).and_then(Target::stored);
    let stored = before.and_then(Stored::of);
    let (editor, done) = draft::carry_out(request, stored.as_ref(), &wanted);
    let (_, thought) = draft::carry_out(request, stored.as_ref(), &imagined);
    findings.extend(done);
    findings.extend(thought);
    findings.sort_by_key(|(order, _)| *order);
    let findings: Vec<Judged> = findings.into_iter().map(|(_, finding)| finding).collect();

    let (object, operations) = editor.map(Editor::into_parts).unzip();
    let operations = operations.unwrap_or_default();
    let verdict = if findings.iter().any(|finding| finding.failed) {
        Verdict::Error
    } else if !operations.is_empty() {
        Verdict::Patch
    } else if findings.is_empty() {
        Verdict::Unchanged
    } else {
        Verdict::WouldPatch
    };
    let decision = Decision {
        verdict,
        allowed: true,
        findings,
        patch: operations,
        left_out: Vec::new(),
        trouble: None,
        redacts: snapshot.redacts(),
        configuration: snapshot.digest().clone(),
    };
    Mutation { decision, object }
}

/// What may be patched of the request's object; `None` for nothing.
fn target<'r, 'a>(snapshot: &Snapshot, request: &'r Request<'a>) -> Option<Target<'r, 'a>> {
    let object = request.object.as_ref()?;
    let workload = snapshot.workloads().find(&request.kind.group, &request.kind.kind);
    let is_pod = request.pods().first().is_some_and(|pod| !pod.is_template());
    if request.operation == Operation::Update && is_pod && request.subresource == "ephemeralcontainers" {
        let before = request.before(snapshot.workloads()).ok()??;
        let known: HashSet<String> = before.containers().map(|container| container.name().to_owned()).collect();
        // Regular and init containers cannot change here: none of them is new.
        let is_only_ephemeral =
            request.containers().all(|one| one.list() == ContainerList::Ephemeral || known.contains(one.name()));
        return is_only_ephemeral.then(|| Target::new_containers(request, known));
    }
    if !request.subresource.is_empty() || request.is_owned_template() || request.is_mirror_pod() {
        return None;
    }
    match request.operation {
        Operation::Create => Some(Target::whole(request)),
        Operation::Update if workload.is_some_and(|row| !row.is_pod() && !row.is_immutable) => {
            let before = request.before(snapshot.workloads()).ok()??;
            let old = before.object.as_ref().map(Object::templates);
            let is_changed = !object.templates().is_empty() && old != Some(object.templates());
            is_changed.then(|| Target::update(request, before))
        }
        _ => None,
    }
}

/// What a mutator asks for; `None` when it panicked, or needed more steps than a policy has.
fn run(setter: &Setter, target: &Target<'_, '_>) -> Option<Vec<Edit>> {
    let mut edits = Edits::default();
    let run = || {
        setter.mutator.set(target, &mut edits);
        for update in target.updates() {
            setter.mutator.take_back(update, &mut edits);
            setter.mutator.keep(update, &mut edits);
        }
    };
    let allowance = Allowance::new(POLICY);
    catch_unwind(AssertUnwindSafe(run)).ok()?;
    // It has seen a part of the object only.
    (!allowance.is_exhausted()).then(|| edits.into_edits())
}

/// Why a mutator that panicked set nothing.
const PANICKED: &str = "could not be applied: the policy failed on this object; please report it";

fn failed(setter: &Setter, message: &str) -> Judged {
    Judged { failed: true, ..told(setter, Place::object(), message.to_owned()) }
}

/// What stands before a change that is not made.
fn would(setter: &Setter) -> &'static str {
    if setter.mode == Mode::Enforce { "" } else { "would " }
}

/// A change as it is told.
fn told(setter: &Setter, place: Place, message: String) -> Judged {
    let configured = (setter.configured > setter.mode).then_some(setter.configured);
    Judged {
        meta: setter.meta,
        place,
        message,
        mode: setter.mode,
        configured,
        inherited: false,
        failed: false,
        tells: Tells::Default,
        count: 1,
        said: std::sync::OnceLock::new(),
    }
}
