//! Combines findings, modes and the old object into a [`Decision`], the only source for the response, the audit event, the
//! metrics and the log line.

mod break_glass;
mod cap;
mod exempt;
mod existing;
mod finding_text;
mod governing;
mod granted;
mod inherited;
mod judged;
mod labels;
mod noticed;
mod owner;
pub mod selection;
mod strict;
#[cfg(test)]
mod tests;
mod trace;
mod unread;
mod volumes;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde::Serialize;

use crate::engine::{self, Outcome};
use crate::exception::{Containers, Subject};
use crate::facts::{Facts, World};
use crate::mode::Mode;
use crate::object::Place;
use crate::patch;
use crate::policy::{About, Meta};
use crate::request::{Operation, Request};
use crate::snapshot::{LABELS, RAISES, Snapshot};

use self::cap::cap;
use self::judged::judged;
use self::labels::{InForce, LabelState};

pub use break_glass::BreakGlass;
pub use exempt::Exemption;
pub use finding_text::FindingText;
pub use governing::{defaulting, defaulting_at_once};
pub use noticed::Noticed;
pub use trace::Trace;

/// The verdict on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The request could not be judged.
    Error,
    /// Refused.
    Deny,
    /// Admitted, and refused but for an exception.
    Exempt,
    /// Admitted with a warning.
    Warn,
    /// Admitted; there were findings, all below `warn`.
    WouldDeny,
    /// Admitted without a finding.
    Allow,
    /// On `/mutate`: the object is patched.
    Patch,
    /// On `/mutate`: a stronger mode would patch the object.
    WouldPatch,
    /// On `/mutate`: there is nothing to set.
    Unchanged,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 9] = [
        Self::Error,
        Self::Deny,
        Self::Exempt,
        Self::Warn,
        Self::WouldDeny,
        Self::Allow,
        Self::Patch,
        Self::WouldPatch,
        Self::Unchanged,
    ];

    /// The verdict as events, metrics and annotations spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Deny => "deny",
            Self::Exempt => "exempt",
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
    /// The endpoint as events and metrics spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// A finding with its mode for this request. Path and message quote user input: output uses [`Decision::text_of`], which is
/// redacted.
#[derive(Debug, Clone)]
pub struct ModedFinding {
    /// The policy's documentation.
    pub meta: &'static Meta,
    /// Path of the field that the finding is about.
    pub place: Place,
    /// Requirement that was not met, as `must …`.
    pub message: String,
    /// Mode in force, after ceiling and other limits.
    pub mode: Mode,
    /// Configured mode, if a ceiling lowered it.
    pub configured: Option<Mode>,
    /// True if the old object had the finding too, or an owner that is old enough has it.
    pub inherited: bool,
    /// Text that is the same for a Pod and for its template, where their messages differ.
    pub alike: Option<String>,
    /// True if it is inherited from an owner.
    pub is_of_owner: bool,
    /// True if the policy failed and this finding stands for its failure.
    pub failed: bool,
    /// The exception, or the use of break-glass, that keeps it from refusing.
    pub exemption: Option<Exemption>,
    /// What an exception has to name to cover the finding. Set only if [`Snapshot::traces`] is true.
    pub trace: Option<Box<Trace>>,
    /// Kind of the finding.
    pub kind: FindingKind,
    /// Number of findings that it stands for.
    pub count: usize,
    /// Redacted text, computed on first use.
    pub(crate) text: OnceLock<FindingText>,
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// A requirement that is not met.
    Flaw,
    /// A default that is set, or would be in a stronger mode.
    Default,
    /// An earlier default that is removed, or would be in a stronger mode.
    Removal,
}

impl ModedFinding {
    /// Text that two findings of a policy have in common that are the same, one of a Pod and one of its template.
    pub(crate) fn alike(&self) -> &str {
        self.alike.as_deref().unwrap_or(&self.message)
    }

    /// True if this finding refuses the request.
    pub fn refuses(&self) -> bool {
        self.mode == Mode::Enforce && !self.inherited && self.kind == FindingKind::Flaw && self.exemption.is_none()
    }

    /// The remedy, which follows the message wherever a person reads it. The message names the requirement and what is
    /// wrong; a message about a policy that failed holds its own remedy, because the object may be in order.
    pub fn remedy(&self) -> Option<&'static str> {
        let is_of_policy = ![LABELS.id, RAISES.id].contains(&self.meta.id);
        (!self.failed || !is_of_policy).then_some(self.meta.fix)
    }
}

/// The reason why a request could not be judged at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The request could not be read.
    Unreadable,
    /// The server is overloaded; the caller may retry.
    Busy,
    /// The server failed.
    Failed,
}

/// The decision about a request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// True if the request is admitted.
    pub allowed: bool,
    /// Every finding, in the order of the catalogue.
    pub findings: Vec<ModedFinding>,
    /// JSON Patch; empty on `/validate`.
    pub patch: Vec<patch::Operation>,
    /// Policies that could not judge because the input files do not describe the objects that they ask for.
    pub left_out: Vec<&'static Meta>,
    /// The exceptions that were about the judged object, or covered a finding of it.
    pub noticed: Vec<Noticed>,
    /// Warnings about existing Pods that new labels of a namespace would refuse, not yet escaped.
    pub offenders: Vec<String>,
    /// The reason that the object states, where a policy demanded one of it.
    pub reason: Option<String>,
    /// True if a finding is about an administrator: the record is of the class `access`.
    pub is_of_administrator: bool,
    /// Reason why the request could not be judged at all, with a message.
    pub trouble: Option<(Trouble, String)>,
    /// True if secrets in its texts are redacted.
    pub redacts: bool,
    /// Digest of the configuration in force (SHA-256, hexadecimal).
    pub configuration: Arc<str>,
}

impl Decision {
    /// The decision about a request that could not be judged: refused if `mode`, the strongest mode of any policy in force
    /// for it, is enforce. On `/mutate` nothing is ever refused.
    pub fn troubled(snapshot: &Snapshot, endpoint: Endpoint, mode: Mode, trouble: Trouble, message: String) -> Self {
        Self {
            verdict: Verdict::Error,
            allowed: endpoint == Endpoint::Mutate || mode < Mode::Enforce,
            findings: Vec::new(),
            patch: Vec::new(),
            left_out: Vec::new(),
            noticed: Vec::new(),
            offenders: Vec::new(),
            reason: None,
            is_of_administrator: false,
            trouble: Some((trouble, message)),
            redacts: snapshot.redacts(),
            configuration: snapshot.digest().clone(),
        }
    }

    /// The first finding that an exception, or break-glass, keeps from refusing, in the order of the catalogue, and why.
    pub fn exempted(&self) -> Option<(&ModedFinding, &Exemption)> {
        self.findings.iter().find_map(|finding| Some((finding, finding.exemption.as_ref()?)))
    }

    /// Group and reason, if break-glass keeps a finding from refusing.
    pub fn break_glass(&self) -> Option<&BreakGlass> {
        self.findings.iter().find_map(|finding| finding.exemption.as_ref()?.break_glass())
    }

    /// HTTP status of a refusal, for `status.code`: 403 for findings, 400 for a request that cannot be read, 429 when
    /// overloaded, 503 for failures of the server.
    pub fn code(&self) -> u16 {
        match &self.trouble {
            Some((Trouble::Unreadable, _)) => 400,
            Some((Trouble::Busy, _)) => 429,
            None if self.findings.iter().any(|finding| finding.refuses() && !finding.failed) => 403,
            Some((Trouble::Failed, _)) | None => 503,
        }
    }
}

/// Decides a request to `/validate`, asking `world` for facts until `deadline`.
pub async fn decide(snapshot: &Snapshot, request: &Request<'_>, world: &dyn World, deadline: Instant) -> Decision {
    let facts = Facts::new(world);
    let in_force = InForce::ask(snapshot, request, &facts, deadline).await;
    let outcomes = engine::judge(&in_force.policies, request, &facts, deadline).await;
    let mut findings = findings(snapshot, request, &facts, &in_force.labels, &outcomes);
    owner::mark(snapshot, request, &facts, &outcomes, &mut findings, deadline).await;
    break_glass::mark(snapshot, request, &mut findings);
    conclude(snapshot, request, &in_force.labels, &outcomes, findings)
}

/// Decides a request with the facts at hand, as for files, where all are.
pub fn decide_at_once(snapshot: &Snapshot, request: &Request<'_>, world: &dyn World) -> Decision {
    let facts = Facts::new(world);
    let in_force = InForce::at_once(snapshot, request, &facts);
    let outcomes = engine::judge_at_once(&in_force.policies, request, &facts);
    let mut findings = findings(snapshot, request, &facts, &in_force.labels, &outcomes);
    owner::mark_at_once(snapshot, request, &facts, &outcomes, &mut findings);
    break_glass::mark(snapshot, request, &mut findings);
    conclude(snapshot, request, &in_force.labels, &outcomes, findings)
}

/// The mode in which a failure of the server counts: the strongest of any policy in force for the request, or that may be as far as
/// `world` knows the labels of its namespace; off if no policy judges its kind.
pub fn mode_of_trouble(snapshot: &Snapshot, request: &Request<'_>, world: &dyn World) -> Mode {
    governing::strongest(snapshot, request, &Facts::new(world)).min(cap(snapshot, request))
}

/// The findings, with those marked that are inherited or that an exception for the object covers.
fn findings(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    labels: &LabelState,
    outcomes: &[Outcome<'_>],
) -> Vec<ModedFinding> {
    let cap = cap(snapshot, request);
    let mut by_outcome: Vec<Vec<ModedFinding>> = outcomes.iter().map(|outcome| judged(request, cap, outcome)).collect();
    if request.operation == Operation::Update && by_outcome.iter().any(|findings| !findings.is_empty()) {
        inherited::mark(snapshot, request, facts, outcomes, &mut by_outcome);
    }
    let mut findings = labels::merge(outcomes, by_outcome);
    unread::add(snapshot, request, facts, outcomes, &mut findings);
    findings.extend(labels.failure(snapshot, request));
    let (subject, containers) = (Subject::of(request), Containers::of(request));
    exempt::mark(snapshot, &subject, &containers, request, outcomes, findings.iter_mut());
    trace::mark(snapshot, &containers, &mut findings);
    findings
}

fn conclude(
    snapshot: &Snapshot,
    request: &Request<'_>,
    labels: &LabelState,
    outcomes: &[Outcome<'_>],
    findings: Vec<ModedFinding>,
) -> Decision {
    let refused = findings.iter().any(ModedFinding::refuses);
    let verdict = if findings.iter().any(|finding| finding.failed) {
        Verdict::Error
    } else if refused {
        Verdict::Deny
    } else if findings.iter().any(|finding| finding.exemption.is_some()) {
        Verdict::Exempt
    } else if findings.iter().any(|finding| finding.mode >= Mode::Warn) {
        Verdict::Warn
    } else if findings.is_empty() {
        Verdict::Allow
    } else {
        Verdict::WouldDeny
    };
    let left_out = outcomes.iter().filter(|outcome| outcome.left_out).map(|outcome| outcome.policy.meta);
    let left_out = left_out.chain(labels.left_out(snapshot, request)).collect();
    let is_of_administrator = outcomes.iter().any(|outcome| {
        outcome.policy.validator.about() == About::Administrator
            && outcome.result.as_ref().is_ok_and(|found| !found.is_empty())
    });
    Decision {
        verdict,
        allowed: !refused,
        noticed: noticed::notice(snapshot, request, outcomes, &findings),
        offenders: Vec::new(),
        findings,
        patch: Vec::new(),
        left_out,
        reason: outcomes.iter().find_map(|outcome| outcome.reason.clone()),
        is_of_administrator,
        trouble: None,
        redacts: snapshot.redacts(),
        configuration: snapshot.digest().clone(),
    }
}
