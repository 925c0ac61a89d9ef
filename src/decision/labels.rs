//! What the labels of a request's namespace add to what is configured there: the policies, and what is said of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::{Judged, Tells, cap};
use crate::config::Snapshot;
use crate::engine::{self, Active, Outcome};
use crate::facts::{Facts, Known, Pending};
use crate::labels::META;
use crate::mode::Mode;
use crate::object::Place;
use crate::policy::{Meta, quoted};
use crate::request::{Operation, Request};

/// The policies in force for a request.
pub(super) struct InForce<'s> {
    pub(super) policies: Cow<'s, [Active]>,
    pub(super) labels: Reading,
}

/// What became of the labels.
pub(super) enum Reading {
    /// They were read, or count for nothing here.
    Done,
    /// The files at hand hold no Namespace, and say nothing of the cluster.
    LeftOut,
    /// Nobody has said yet.
    Pending,
    /// Nobody could say; the reason, for people.
    Failed(String),
}

impl<'s> InForce<'s> {
    /// Asks the world for the labels, if need be, until `deadline`.
    pub(super) async fn ask(
        snapshot: &'s Snapshot,
        request: &Request<'_>,
        facts: &Facts<'_>,
        deadline: Instant,
    ) -> Self {
        let in_force = Self::at_once(snapshot, request, facts);
        if matches!(in_force.labels, Reading::Pending) && engine::ask(facts, deadline).await {
            return Self::at_once(snapshot, request, facts);
        }
        in_force
    }

    /// With what is known at once.
    pub(super) fn at_once(snapshot: &'s Snapshot, request: &Request<'_>, facts: &Facts<'_>) -> Self {
        if request.is_out_of_scope() || request.object.is_none() || request.operation == Operation::Delete {
            return Self { policies: Cow::Borrowed(&[]), labels: Reading::Done };
        }
        let namespace = request.governed_by();
        let configured = Cow::Borrowed(snapshot.policies(namespace));
        // The standards are about pods: nothing else waits for labels.
        if namespace.is_empty() || request.pods().is_empty() || snapshot.labels(namespace) == Mode::Off {
            return Self { policies: configured, labels: Reading::Done };
        }
        let known = facts.namespace(namespace);
        // No policy asked this.
        facts.take_left_out();
        let labels = match known {
            Ok(Known::Found(found)) => {
                return Self { policies: snapshot.tightened(namespace, &found.demands()), labels: Reading::Done };
            }
            Ok(Known::LeftOut) => Reading::LeftOut,
            Ok(Known::Unknown(why)) => Reading::Failed(why),
            // Something is about to be stored in it all the same: it may come back, with labels, before that.
            Ok(Known::Absent) => Reading::Failed("there is no such namespace".to_owned()),
            Err(Pending) => Reading::Pending,
        };
        Self { policies: configured, labels }
    }
}

impl Reading {
    /// What stands for the labels among what was left out.
    pub(super) fn left_out(&self) -> Option<&'static Meta> {
        matches!(self, Self::LeftOut).then_some(&META)
    }

    /// Labels that could not be read may have asked for anything: the finding acts as far as they could have.
    pub(super) fn failure(&self, snapshot: &Snapshot, request: &Request<'_>) -> Option<Judged> {
        let why = match self {
            Self::Done | Self::LeftOut => return None,
            Self::Pending => "the cluster did not answer in time",
            Self::Failed(why) => why,
        };
        let namespace = request.governed_by();
        let ceiling = snapshot.labels(namespace);
        Some(Judged {
            meta: &META,
            place: Place::object(),
            message: format!(
                "could not be judged: the labels of namespace {} were not read ({why})",
                quoted(namespace)
            ),
            mode: ceiling.min(cap(request)),
            configured: (ceiling < Mode::Enforce).then_some(Mode::Enforce),
            inherited: false,
            failed: true,
            tells: Tells::Flaw,
            count: 1,
            said: std::sync::OnceLock::new(),
        })
    }
}

/// A finding, and the outcomes that have it.
struct Kept {
    finding: Judged,
    /// The one that it acts for.
    by: usize,
    /// The last one.
    last: usize,
}

/// The findings of all outcomes, in their order. What a policy found twice, as configured and as labels ask, is one, as
/// far as either acts; where that is because of a label, it says so.
pub(super) fn merge(outcomes: &[Outcome<'_>], findings: Vec<Vec<Judged>>) -> Vec<Judged> {
    if outcomes.iter().all(|outcome| outcome.policy.label.is_none()) {
        return findings.into_iter().flatten().collect();
    }
    let mut all: Vec<Kept> = Vec::new();
    // Those of which one may be the same finding.
    let mut alike: HashMap<u64, Vec<usize>> = HashMap::new();
    let hasher = RandomState::new();
    for (position, findings) in findings.into_iter().enumerate() {
        for finding in findings {
            // What one outcome says twice is two.
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

/// How far a finding acts, and would without a ceiling.
fn strength(finding: &Judged) -> (bool, Mode, Mode) {
    (finding.refuses(), finding.mode, finding.configured.unwrap_or(finding.mode))
}
