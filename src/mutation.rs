//! Runs mutators on the objects where they may act, and turns their edits into a patch and a decision.
//!
//! A mutator never refuses, nor makes the API server refuse: it acts where its patch leads to an object that passes
//! validation and that no controller undoes. Controllers compare templates, so an owned object is left alone: a changed
//! ReplicaSet makes its Deployment create ReplicaSets for ever (`K/pkg/controller/deployment/sync.go`).
//!
//! Applying a manifest again leads to the stored object: if the defaults that were set before make the two equal, nothing
//! else is set.

mod keyed_path;
mod owners;
mod plan;
mod reverts;
mod stored;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use self::plan::{OrderedFindings, PlannedEdit};
use self::stored::Stored;
use crate::decision::{BreakGlass, Decision, FindingKind, ModedFinding, Verdict};
use crate::engine::ActiveMutator;
use crate::mode::Mode;
use crate::object::{ContainerList, Object, Place};
use crate::patch::Editor;
use crate::policy::defaults::{Edit, Edits, Target};
use crate::request::{Operation, Request};
use crate::snapshot::Snapshot;
use crate::steps::{Allowance, POLICY};

/// A decision on `/mutate`, and the patched object.
pub struct Mutation {
    /// The decision.
    pub decision: Decision,
    /// The object with the patch applied; `None` without a patch.
    pub object: Option<Value>,
}

/// Runs every mutator in force for the namespace's name that acts on such requests.
pub fn mutate(snapshot: &Snapshot, request: &Request<'_>) -> Mutation {
    mutate_in(snapshot, snapshot.mutators(request.governed_by()), request)
}

/// Runs each of these mutators that acts on such requests.
pub fn mutate_in(snapshot: &Snapshot, mutators: &[ActiveMutator], request: &Request<'_>) -> Mutation {
    let mut findings = OrderedFindings::new();
    // Edits of mutators in mode enforce, and those that weaker modes only report.
    let (mut wanted, mut imagined) = (Vec::new(), Vec::new());
    let target = target(snapshot, request);
    let is_asked =
        |one: &&ActiveMutator| one.mode > Mode::Off && one.meta.kinds.iter().any(|kinds| kinds.cover(request));
    let mutators = mutators.iter().filter(is_asked);
    for (number, active) in mutators.enumerate() {
        let Some(target) = &target else { break };
        match run(active, target) {
            Some(edits) => {
                let plan = if active.mode == Mode::Enforce { &mut wanted } else { &mut imagined };
                let numbered = edits.into_iter().enumerate();
                plan.extend(numbered.map(|(place, edit)| PlannedEdit { order: (number, place), active, edit }));
            }
            None => findings.push(((number, 0), failed(active, PANICKED))),
        }
    }
    let before = target.as_ref().filter(|_| !wanted.is_empty() || !imagined.is_empty()).and_then(Target::stored);
    let stored = before.and_then(Stored::of);
    let (editor, done) = plan::apply(request, stored.as_ref(), &wanted);
    let (_, thought) = plan::apply(request, stored.as_ref(), &imagined);
    findings.extend(done);
    findings.extend(thought);
    findings.sort_by_key(|(order, _)| *order);
    let findings: Vec<ModedFinding> = findings.into_iter().map(|(_, finding)| finding).collect();

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
        offenders: Vec::new(),
        noticed: Vec::new(),
        reason: None,
        is_of_administrator: false,
        trouble: None,
        redacts: snapshot.redacts(),
        configuration: snapshot.digest().clone(),
    };
    Mutation { decision, object }
}

/// The part of the request's object that may be patched; `None` if nothing may be.
fn target<'r, 'a>(snapshot: &Snapshot, request: &'r Request<'a>) -> Option<Target<'r, 'a>> {
    let object = request.object.as_ref()?;
    // It is stored as it was sent.
    if BreakGlass::of(snapshot, request).is_some() {
        return None;
    }
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

/// The edits of one mutator; `None` if it panicked, or needed more steps than a policy has.
fn run(active: &ActiveMutator, target: &Target<'_, '_>) -> Option<Vec<Edit>> {
    let mut edits = Edits::default();
    let run = || {
        active.mutator.set(target, &mut edits);
        for update in target.updates() {
            active.mutator.take_back(update, &mut edits);
            active.mutator.keep(update, &mut edits);
        }
    };
    let allowance = Allowance::new(POLICY);
    catch_unwind(AssertUnwindSafe(run)).ok()?;
    // After exhausting its steps it has seen only a part of the object.
    (!allowance.is_exhausted()).then(|| edits.into_edits())
}

/// Message about a mutator that panicked.
const PANICKED: &str = "could not be applied: the policy failed on this object; please report it";

fn failed(active: &ActiveMutator, message: &str) -> ModedFinding {
    ModedFinding { failed: true, ..finding_about(active, Place::object(), message.to_owned()) }
}

/// Prefix of the message about a change: `would ` if the mode does not make it.
fn would(active: &ActiveMutator) -> &'static str {
    if active.mode == Mode::Enforce { "" } else { "would " }
}

/// The finding about a change.
fn finding_about(active: &ActiveMutator, place: Place, message: String) -> ModedFinding {
    let configured = (active.configured > active.mode).then_some(active.configured);
    ModedFinding {
        meta: active.meta,
        place,
        message,
        mode: active.mode,
        configured,
        inherited: false,
        is_of_owner: false,
        failed: false,
        alike: None,
        exemption: None,
        trace: None,
        kind: FindingKind::Default,
        count: 1,
        text: std::sync::OnceLock::new(),
    }
}
