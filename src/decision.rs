//! Findings × modes × what was there before → [`Decision`], the only source for the response, the audit event, the
//! metrics and the log line.

mod inherited;
mod labels;
mod said;
pub mod selection;
#[cfg(test)]
mod tests;
mod unread;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde::Serialize;

use crate::config::Snapshot;
use crate::engine::{self, Failure, Outcome};
use crate::facts::{Facts, World};
use crate::mode::Mode;
use crate::object::Place;
use crate::patch;
use crate::policy::{Finding, Meta};
use crate::request::{Operation, Request, Source};

use self::labels::{InForce, Reading};

pub use said::Said;

/// What was decided, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It could not be judged.
    Error,
    /// Refused.
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted; there were findings, all below `warn`.
    WouldDeny,
    /// Admitted without a finding.
    Allow,
    /// On `/mutate`: something was set.
    Patch,
    /// On `/mutate`: something would be set, in a stronger mode.
    WouldPatch,
    /// On `/mutate`: nothing to set.
    Unchanged,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Deny,
        Self::Warn,
        Self::WouldDeny,
        Self::Allow,
        Self::Patch,
        Self::WouldPatch,
        Self::Unchanged,
    ];

    /// The word in events, metrics and annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::WouldDeny => "would-deny",
            Self::Allow => "allow",
            Self::Patch => "patch",
            Self::WouldPatch => "would-patch",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The endpoint that a review was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/validate`
    Validate,
    /// `/mutate`
    Mutate,
}

impl Endpoint {
    /// The word in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// A finding with what it does here. Its place and its message quote what somebody wrote: what is told of them is
/// [`Decision::said`].
#[derive(Debug, Clone)]
pub struct Judged {
    /// The policy's documentation.
    pub meta: &'static Meta,
    /// Where.
    pub place: Place,
    /// What must be.
    pub message: String,
    /// How far it acts.
    pub mode: Mode,
    /// How far it was configured to act, where a ceiling lowered it.
    pub configured: Option<Mode>,
    /// Whether the object had it before the change.
    pub inherited: bool,
    /// Whether the policy came to no conclusion.
    pub failed: bool,
    /// What it tells of.
    pub tells: Tells,
    /// How many places it stands for.
    pub count: usize,
    /// What is said of it, once somebody asked.
    pub(crate) said: OnceLock<Said>,
}

/// What a finding tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Something that must be otherwise.
    Flaw,
    /// Something that is set, or would be.
    Default,
    /// A default of before that is removed, or would be.
    Removal,
}

impl Judged {
    /// Whether this finding refuses the request.
    pub fn refuses(&self) -> bool {
        self.mode == Mode::Enforce && !self.inherited && self.tells == Tells::Flaw
    }
}

/// Why a request could not be judged at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// What came could not be read.
    Unreadable,
    /// Too much at once: come again.
    Busy,
    /// The server could not do its part.
    Failed,
}

/// What was decided about a request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// In one word.
    pub verdict: Verdict,
    /// Whether the request passes.
    pub allowed: bool,
    /// Every finding, in the order of the catalogue.
    pub findings: Vec<Judged>,
    /// On `/mutate`, what is set.
    pub patch: Vec<patch::Operation>,
    /// Policies that could not judge, because the files at hand say nothing of what they ask for.
    pub left_out: Vec<&'static Meta>,
    /// Why it could not be judged at all, and a sentence about it.
    pub trouble: Option<(Trouble, String)>,
    /// Whether secrets are taken out of what is said of it.
    pub redacts: bool,
    /// Digest of the configuration in force (SHA-256, hexadecimal).
    pub configuration: Arc<str>,
}

impl Decision {
    /// The decision about a request that could not be judged. It does what the strongest policy in force would have
    /// done; on `/mutate` nothing is ever refused.
    pub fn troubled(snapshot: &Snapshot, endpoint: Endpoint, mode: Mode, trouble: Trouble, message: String) -> Self {
        Self {
            verdict: Verdict::Error,
            allowed: endpoint == Endpoint::Mutate || mode < Mode::Enforce,
            findings: Vec::new(),
            patch: Vec::new(),
            left_out: Vec::new(),
            trouble: Some((trouble, message)),
            redacts: snapshot.redacts(),
            configuration: snapshot.digest().clone(),
        }
    }

    /// HTTP status of the refusal in `status.code`: 403 for findings, 400 for what cannot be read, 429 when shedding,
    /// 503 for the server's own trouble.
    pub fn code(&self) -> u16 {
        match &self.trouble {
            Some((Trouble::Unreadable, _)) => 400,
            Some((Trouble::Busy, _)) => 429,
            None if self.findings.iter().any(|finding| finding.refuses() && !finding.failed) => 403,
            Some((Trouble::Failed, _)) | None => 503,
        }
    }
}

/// Judges a request that was sent to `/validate`.
pub async fn decide(snapshot: &Snapshot, request: &Request<'_>, world: &dyn World, deadline: Instant) -> Decision {
    let facts = Facts::new(world);
    let in_force = InForce::ask(snapshot, request, &facts, deadline).await;
    let outcomes = engine::judge(&in_force.policies, request, &facts, deadline).await;
    conclude(snapshot, request, &facts, &in_force.labels, &outcomes)
}

/// Judges a request with what is known at once: for files, where everything is.
pub fn decide_at_once(snapshot: &Snapshot, request: &Request<'_>, world: &dyn World) -> Decision {
    let facts = Facts::new(world);
    let in_force = InForce::at_once(snapshot, request, &facts);
    let outcomes = engine::judge_at_once(&in_force.policies, request, &facts);
    conclude(snapshot, request, &facts, &in_force.labels, &outcomes)
}

/// The server's own trouble does what the strongest policy in force there would do. Where no policy judges the kind,
/// nothing is refused.
pub fn mode_of_trouble(snapshot: &Snapshot, request: &Request<'_>) -> Mode {
    let is_judged = !request.is_out_of_scope()
        && request.operation != Operation::Delete
        && (request.kind.kind.is_empty()
            || snapshot.workloads().find(&request.kind.group, &request.kind.kind).is_some());
    let mode = snapshot.strongest(request.governed_by());
    if is_judged { mode.min(cap(request)) } else { Mode::Off }
}

fn conclude(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    labels: &Reading,
    outcomes: &[Outcome<'_>],
) -> Decision {
    let mut by_outcome: Vec<Vec<Judged>> = outcomes.iter().map(|outcome| judged(request, outcome)).collect();
    if request.operation == Operation::Update && by_outcome.iter().any(|findings| !findings.is_empty()) {
        inherited::mark(snapshot, request, facts, outcomes, &mut by_outcome);
    }
    let mut findings = labels::merge(outcomes, by_outcome);
    unread::add(snapshot, request, outcomes, &mut findings);
    findings.extend(labels.failure(snapshot, request));
    let refused = findings.iter().any(Judged::refuses);
    let verdict = if findings.iter().any(|finding| finding.failed) {
        Verdict::Error
    } else if refused {
        Verdict::Deny
    } else if findings.iter().any(|finding| finding.mode >= Mode::Warn) {
        Verdict::Warn
    } else if findings.is_empty() {
        Verdict::Allow
    } else {
        Verdict::WouldDeny
    };
    let left_out = outcomes.iter().filter(|outcome| outcome.left_out).map(|outcome| outcome.policy.meta);
    let left_out = left_out.chain(labels.left_out()).collect();
    Decision {
        verdict,
        allowed: !refused,
        findings,
        patch: Vec::new(),
        left_out,
        trouble: None,
        redacts: snapshot.redacts(),
        configuration: snapshot.digest().clone(),
    }
}

fn judged(request: &Request<'_>, outcome: &Outcome<'_>) -> Vec<Judged> {
    let policy = outcome.policy;
    let cap = cap(request);
    let configured = (policy.configured > policy.mode).then_some(policy.configured);
    let judged = |finding: &Finding, failed| {
        let cap = if rests_on_later(request, finding) { Mode::Warn } else { cap };
        let (place, message) = (finding.place.clone(), finding.message.clone());
        Judged {
            meta: policy.meta,
            place,
            message,
            mode: policy.mode.min(cap),
            configured,
            inherited: false,
            failed,
            tells: Tells::Flaw,
            count: finding.count,
            said: OnceLock::new(),
        }
    };
    match &outcome.result {
        Ok(findings) => findings.iter().map(|finding| judged(finding, false)).collect(),
        Err(failure) => {
            let message = match failure {
                Failure::Panicked => "could not be judged: the policy failed on this object; please report it",
                Failure::Exhausted => "could not be judged: the object holds more than the policy may look at",
                Failure::TimedOut => "could not be judged: the cluster did not answer in time; try again",
            };
            // What did not come in time is a fact about another object.
            let rests_on_cluster = *failure == Failure::TimedOut;
            let finding = Finding { place: Place::object(), message: message.to_owned(), rests_on_cluster, count: 1 };
            vec![judged(&finding, true)]
        }
    }
}

/// Appliers differ in order, and one of them dry-runs a whole set first: what another object could still put right
/// refuses Pods only. A manifest is judged with its whole set.
fn rests_on_later(request: &Request<'_>, finding: &Finding) -> bool {
    finding.rests_on_cluster
        && request.source == Source::ApiServer
        && request.pods().iter().all(crate::object::Pod::is_template)
}

/// How far anything may act on this request.
fn cap(request: &Request<'_>) -> Mode {
    if is_never_refused(request) { Mode::Warn } else { Mode::Enforce }
}

/// What is at most warned of, whatever the mode.
fn is_never_refused(request: &Request<'_>) -> bool {
    request.operation == Operation::Delete
        || request.kind.group.is_empty() && request.kind.kind == "ServiceAccount"
        || request.user.name() == "system:apiserver"
        || request.is_mirror_pod()
        || request.is_owned_template()
}
