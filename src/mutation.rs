//! What is set: where mutators act, the patch that they make, and the decision about it.
//!
//! A mutator never refuses, nor makes the API server refuse: it acts where its patch leads to an object that passes
//! validation and that no controller undoes. Controllers compare templates, so an owned object is left alone: a changed
//! ReplicaSet makes its Deployment create ReplicaSets for ever (`K/pkg/controller/deployment/sync.go`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::config::Snapshot;
use crate::decision::{Decision, Judged, Verdict};
use crate::engine::Setter;
use crate::mode::Mode;
use crate::object::{ContainerList, Object, Place};
use crate::patch::{Edit, Editor};
use crate::policy::defaults::{Edits, Target};
use crate::request::{Operation, Request};

/// A decision on `/mutate`, and the object that it leads to where something is set.
pub struct Mutation {
    /// The decision.
    pub decision: Decision,
    /// The object with the patch applied.
    pub object: Option<Value>,
}

/// Runs every mutator in force.
pub fn mutate(snapshot: &Snapshot, request: &Request<'_>) -> Mutation {
    let mut findings = Vec::new();
    // What is set, and what would be in a stronger mode.
    let (mut editor, mut imagined) = (None, None);
    let target = target(snapshot, request);
    for (setter, target) in target.iter().flat_map(|target| {
        snapshot.setters(request.governed_by()).iter().filter(|one| one.mode > Mode::Off).map(move |one| (one, target))
    }) {
        let Some(edits) = run(setter, target) else {
            findings.push(failed(setter));
            continue;
        };
        for (place, edit) in edits {
            let editor = if setter.mode == Mode::Enforce { &mut editor } else { &mut imagined };
            if request.sent.is_some_and(|raw| apply(editor, raw.get(), setter.meta.id, &edit)) {
                findings.push(described(setter, place, &edit));
            }
        }
    }
    let operations = editor.as_ref().map(|editor| editor.operations().to_vec()).unwrap_or_default();
    let verdict = if findings.iter().any(|finding| finding.failed) {
        Verdict::Error
    } else if !operations.is_empty() {
        Verdict::Patch
    } else if findings.is_empty() {
        Verdict::Unchanged
    } else {
        Verdict::WouldPatch
    };
    let object = editor.filter(|editor| !editor.operations().is_empty()).map(Editor::into_object);
    let decision = Decision {
        verdict,
        allowed: true,
        findings,
        patch: operations,
        left_out: Vec::new(),
        trouble: None,
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
        let known = before.containers().map(|container| container.name().to_owned()).collect();
        // Regular and init containers cannot change here: none of them is new.
        let is_only_ephemeral = request.containers().all(|one| {
            one.list() == ContainerList::Ephemeral || before.containers().any(|old| old.name() == one.name())
        });
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
            (!object.templates().is_empty() && old != Some(object.templates())).then(|| Target::whole(request))
        }
        _ => None,
    }
}

/// What a mutator asks for; `None` when it panicked.
fn run(setter: &Setter, target: &Target<'_, '_>) -> Option<Vec<(Place, Edit)>> {
    let mut edits = Edits::default();
    catch_unwind(AssertUnwindSafe(|| setter.mutator.set(target, &mut edits))).ok()?;
    Some(edits.into_edits())
}

fn apply(editor: &mut Option<Editor>, raw: &str, policy: &'static str, edit: &Edit) -> bool {
    if editor.is_none() {
        *editor = Editor::new(raw);
    }
    editor.as_mut().is_some_and(|editor| editor.apply(policy, edit))
}

fn described(setter: &Setter, place: Place, edit: &Edit) -> Judged {
    let would = if setter.mode == Mode::Enforce { "" } else { "would " };
    let message = match edit {
        Edit::Set(path, value) => format!("{would}set {path} to {value}"),
        Edit::Append(path, value) => format!("{would}add {value} to {path}"),
    };
    judged(setter, place, message, false)
}

fn failed(setter: &Setter) -> Judged {
    let message = "could not be applied: the policy failed on this object; please report it";
    judged(setter, Place::object(), message.to_owned(), true)
}

fn judged(setter: &Setter, place: Place, message: String, failed: bool) -> Judged {
    let configured = (setter.configured > setter.mode).then_some(setter.configured);
    Judged {
        meta: setter.meta,
        place,
        message,
        mode: setter.mode,
        configured,
        inherited: false,
        failed,
        sets: true,
        count: 1,
    }
}
