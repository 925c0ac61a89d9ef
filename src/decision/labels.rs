//! The policies that the labels of a request's namespace add to the configured ones, and their findings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::{FindingKind, ModedFinding, cap, governing};
use crate::engine::{self, ActivePolicy, Outcome};
use crate::facts::{Facts, Lookup, Namespace, Pending};
use crate::mode::Mode;
use crate::object::Place;
use crate::pod_security::demands;
use crate::policy::{Kinds, Meta, quoted};
use crate::request::{Operation, Request};
use crate::snapshot::{LABELS, RAISES, Scope, Snapshot};

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
        let covers = governing::covers(snapshot, request);
        let raises = |scope: &Scope| scope.strongest_on(None, &covers) > Mode::Off;
        let scope = match governing::at_once(snapshot, request, facts, raises) {
            Ok(scope) => scope,
            Err(labels) => return Self { policies: Cow::Borrowed(snapshot.policies(namespace)), labels },
        };
        // The standards apply to pods only; other objects do not wait for labels.
        if namespace.is_empty() || !is_about_pods(request) || scope.labels == Mode::Off {
            return Self { policies: snapshot.tightened_in(scope, &[]), labels: LabelState::Done };
        }
        match LabelState::read(facts.namespace(namespace, snapshot.raising_keys())) {
            Ok(found) => Self {
                policies: snapshot.tightened_in(scope, &demands(|key| found.pod_security(key))),
                labels: LabelState::Done,
            },
            Err(labels) => Self { policies: snapshot.tightened_in(scope, &[]), labels },
        }
    }
}

/// True if it is about Pods or pod templates.
fn is_about_pods(request: &Request<'_>) -> bool {
    Kinds::Pods.cover(request) && !request.pods().is_empty()
}

impl LabelState {
    /// The Namespace that was asked for, or the reason why it is not known.
    pub(super) fn read(lookup: Result<Lookup<Arc<Namespace>>, Pending>) -> Result<Arc<Namespace>, Self> {
        match lookup {
            Ok(Lookup::Found(found)) => Ok(found),
            Ok(Lookup::LeftOut) => Err(Self::LeftOut),
            Ok(Lookup::Unavailable(why)) => Err(Self::Failed(why)),
            // The namespace may be created again, with labels, before the object is stored.
            Ok(Lookup::Absent) => Err(Self::Failed("there is no such namespace".to_owned())),
            Err(Pending) => Err(Self::Pending),
        }
    }

    /// The labels' entry in [`super::Decision::left_out`].
    pub(super) fn left_out(&self, snapshot: &Snapshot, request: &Request<'_>) -> Option<&'static Meta> {
        matches!(self, Self::LeftOut).then(|| Self::most(snapshot, request).0)
    }

    /// The strongest mode that labels may ask for, and what stands for such labels: Pod Security labels up to the ceiling, or the entries of
    /// `namespaces` that match by labels.
    fn most(snapshot: &Snapshot, request: &Request<'_>) -> (&'static Meta, Mode) {
        let ceiling = if is_about_pods(request) { snapshot.labels(request.governed_by()) } else { Mode::Off };
        let raised = governing::raised(snapshot, request);
        if raised > ceiling { (&RAISES, raised) } else { (&LABELS, ceiling) }
    }

    /// The finding for labels that could not be read. Its mode is the strongest that they may ask for.
    pub(super) fn failure(&self, snapshot: &Snapshot, request: &Request<'_>) -> Option<ModedFinding> {
        let why = match self {
            Self::Done | Self::LeftOut => return None,
            Self::Pending => "the cluster did not answer in time",
            Self::Failed(why) => why,
        };
        let namespace = request.governed_by();
        let (meta, most) = Self::most(snapshot, request);
        Some(ModedFinding {
            meta,
            place: Place::object(),
            message: format!(
                "could not be judged: the labels of namespace {} were not read ({why})",
                quoted(namespace)
            ),
            mode: most.min(cap(snapshot, request)),
            configured: (most < Mode::Enforce && meta.id == LABELS.id).then_some(Mode::Enforce),
            inherited: false,
            is_of_owner: false,
            failed: true,
            alike: None,
            exemption: None,
            trace: None,
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
