//! The policies that the labels of a request's namespace add to the configured ones, and their findings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::{FindingKind, ModedFinding, cap};
use crate::engine::{self, ActivePolicy, Outcome};
use crate::facts::{Facts, Lookup, Pending};
use crate::mode::Mode;
use crate::object::Place;
use crate::pod_security::demands;
use crate::policy::{Kinds, Meta, quoted};
use crate::request::{Operation, Request};
use crate::snapshot::LABELS;
use crate::snapshot::Snapshot;

/// The policies in force for a request.
pub(super) struct InForce<'s> {
    pub(super) policies: Cow<'s, [ActivePolicy]>,
    pub(super) labels: LabelState,
}

/// The result of reading the labels.
pub(super) enum LabelState {
    /// They were read, or do not apply to the request.
    Done,
    /// The input files hold no Namespace, and do not describe the cluster.
    LeftOut,
    /// Not known yet.
    Pending,
    /// They could not be read; holds the reason.
    Failed(String),
}

impl<'s> InForce<'s> {
    /// Reads the labels, asking the world for them until `deadline` if they are not at hand.
    pub(super) async fn ask(
        snapshot: &'s Snapshot,
        request: &Request<'_>,
        facts: &Facts<'_>,
        deadline: Instant,
    ) -> Self {
        let in_force = Self::at_once(snapshot, request, facts);
        if matches!(in_force.labels, LabelState::Pending) && engine::ask(facts, deadline).await {
            return Self::at_once(snapshot, request, facts);
        }
        in_force
    }

    /// Reads the labels if they are at hand.
    pub(super) fn at_once(snapshot: &'s Snapshot, request: &Request<'_>, facts: &Facts<'_>) -> Self {
        let sends_object = matches!(request.operation, Operation::Create | Operation::Update);
        if sends_object && request.object.is_none() {
            return Self { policies: Cow::Borrowed(&[]), labels: LabelState::Done };
        }
        let namespace = request.governed_by();
        let configured = Cow::Borrowed(snapshot.policies(namespace));
        // The standards apply to pods only; other objects do not wait for labels.
        let is_about_pods = Kinds::Pods.cover(request) && !request.pods().is_empty();
        if namespace.is_empty() || !is_about_pods || snapshot.labels(namespace) == Mode::Off {
            return Self { policies: configured, labels: LabelState::Done };
        }
        let labels = match facts.namespace(namespace) {
            Ok(Lookup::Found(found)) => {
                return Self {
                    policies: snapshot.tightened(namespace, &demands(|key| found.label(key))),
                    labels: LabelState::Done,
                };
            }
            Ok(Lookup::LeftOut) => LabelState::LeftOut,
            Ok(Lookup::Unavailable(why)) => LabelState::Failed(why),
            // The namespace may be created again, with labels, before the object is stored.
            Ok(Lookup::Absent) => LabelState::Failed("there is no such namespace".to_owned()),
            Err(Pending) => LabelState::Pending,
        };
        Self { policies: configured, labels }
    }
}

impl LabelState {
    /// The labels' entry in [`super::Decision::left_out`].
    pub(super) fn left_out(&self) -> Option<&'static Meta> {
        matches!(self, Self::LeftOut).then_some(&LABELS)
    }

    /// The finding for labels that could not be read. They may ask for anything up to the ceiling, which is its mode.
    pub(super) fn failure(&self, snapshot: &Snapshot, request: &Request<'_>) -> Option<ModedFinding> {
        let why = match self {
            Self::Done | Self::LeftOut => return None,
            Self::Pending => "the cluster did not answer in time",
            Self::Failed(why) => why,
        };
        let namespace = request.governed_by();
        let ceiling = snapshot.labels(namespace);
        Some(ModedFinding {
            meta: &LABELS,
            place: Place::object(),
            message: format!(
                "could not be judged: the labels of namespace {} were not read ({why})",
                quoted(namespace)
            ),
            mode: ceiling.min(cap(snapshot, request)),
            configured: (ceiling < Mode::Enforce).then_some(Mode::Enforce),
            inherited: false,
            is_of_owner: false,
            failed: true,
            alike: None,
            exemption: None,
            kind: FindingKind::Flaw,
            count: 1,
            text: std::sync::OnceLock::new(),
        })
    }
}

/// A finding, and the outcomes that report it.
struct Kept {
    finding: ModedFinding,
    /// Index of the outcome whose mode it has.
    by: usize,
    /// Index of the last outcome that reported it.
    last: usize,
}

/// Merges the findings of all outcomes, in order. A finding that a policy reports twice, as configured and as labels ask,
/// is kept once, in the stronger mode; its message names the label if that mode comes from one.
pub(super) fn merge(outcomes: &[Outcome<'_>], findings: Vec<Vec<ModedFinding>>) -> Vec<ModedFinding> {
    if outcomes.iter().all(|outcome| outcome.policy.label.is_none()) {
        return findings.into_iter().flatten().collect();
    }
    let mut all: Vec<Kept> = Vec::new();
    // Indices of kept findings by hash, to find an equal one.
    let mut alike: HashMap<u64, Vec<usize>> = HashMap::new();
    let hasher = RandomState::new();
    for (position, findings) in findings.into_iter().enumerate() {
        for finding in findings {
            // Equal findings of one outcome are two.
            let is_same = |kept: &Kept| {
                kept.last != position
                    && std::ptr::eq(kept.finding.meta, finding.meta)
                    && kept.finding.message == finding.message
                    && kept.finding.place == finding.place
            };
            let alike = alike.entry(hasher.hash_one((finding.meta.id, &finding.message, &finding.place))).or_default();
            let same = alike.iter().copied().find(|index| is_same(&all[*index]));
            match same.map(|index| &mut all[index]) {
                Some(kept) if strength(&finding) > strength(&kept.finding) => {
                    *kept = Kept { finding, by: position, last: position };
                }
                Some(kept) => kept.last = position,
                None => {
                    alike.push(all.len());
                    all.push(Kept { finding, by: position, last: position });
                }
            }
        }
    }
    let said = all.into_iter().map(|Kept { mut finding, by, .. }| {
        if let Some(demand) = outcomes[by].policy.label {
            finding.message += &format!(", as the namespace's labels ask ({demand})");
        }
        finding
    });
    said.collect()
}

/// Sort key: refuses, mode, mode without a ceiling.
fn strength(finding: &ModedFinding) -> (bool, Mode, Mode) {
    (finding.refuses(), finding.mode, finding.configured.unwrap_or(finding.mode))
}
