//! An object with its findings, as `check` and `scan` print it.

use std::borrow::Cow;

use jsonptr::{PointerBuf, Token};
use serde::Serialize;
use serde_json::value::RawValue;

use super::unjudged::{self, is_own};
use crate::decision::{Decision, Exemption, FindingText, ModedFinding};
use crate::document::{Node, Position};
use crate::escape::escaped_json;
use crate::mode::Mode;
use crate::policy::Severity;
use crate::redaction::clean;
use crate::scan::{Bench, Identity, Judgement, Origin, Written};
use crate::snapshot::Snapshot;

/// An object with its findings. File, line and column are those of a file; an object of a cluster has none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u64>,
    pub(super) api_version: Cow<'a, str>,
    pub(super) kind: Cow<'a, str>,
    pub(super) namespace: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) decision: &'static str,
    pub(super) findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
pub(super) struct Found<'d> {
    pub(super) policy: &'static str,
    pub(super) severity: Severity,
    pub(super) mode: Mode,
    pub(super) path: &'d str,
    /// JSON pointer of the deepest existing part of the path.
    pub(super) pointer: String,
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
    pub(super) message: &'d str,
    /// The exception that keeps it from refusing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exception: Option<Excepted<'d>>,
}

#[derive(Serialize)]
pub(super) struct Excepted<'d> {
    pub(super) name: &'d str,
    pub(super) expires: String,
}

/// An object that was judged.
pub(super) struct Examined {
    pub(super) judgement: Judgement,
    /// The rows of `workloads` that are missing for its templates.
    pub(super) missing: Vec<Option<String>>,
    pub(super) outcome: Outcome,
}

impl Examined {
    /// Judges an object.
    pub(super) fn of(bench: &Bench<'_>, object: &Node, identity: &Identity, origin: Origin) -> Self {
        let judgement = bench.judge(object, identity, origin);
        let missing = missing_rows(object, identity, bench.snapshot);
        let outcome = Outcome::of(judgement.decision.as_ref(), !judgement.errors.is_empty(), !missing.is_empty());
        Self { judgement, missing, outcome }
    }

    /// Judges an object that an API server has listed; `None` if it is nested too deeply.
    ///
    /// Most objects are judged as they came. One with a field of the wrong type is judged without that, and one of another
    /// project's kinds is searched for templates that nobody judges.
    pub(super) fn listed(bench: &Bench<'_>, object: &RawValue, identity: &Identity) -> Option<Self> {
        if is_own(identity.group_version().0)
            && let Ok(decision) = bench.decide(Written::Json(object), identity, Origin::Stored)
        {
            return Some(Self::decided(decision));
        }
        let node = serde_json::from_str::<Node>(object.get()).ok()?;
        Some(Self::of(bench, &node, identity, Origin::Stored))
    }

    /// An object of which every field could be read, and every template is judged.
    fn decided(decision: Decision) -> Self {
        let outcome = Outcome::of(Some(&decision), false, false);
        Self { judgement: Judgement { decision: Some(decision), errors: Vec::new() }, missing: Vec::new(), outcome }
    }

    /// The row of an object; `file` is the name of the file that it is in, whose positions it has.
    pub(super) fn row<'a>(
        &'a self,
        file: Option<&'a str>,
        object: &Node,
        identity: &'a Identity,
        redacts: bool,
    ) -> Row<'a> {
        let has_lines = file.is_some();
        let of_decision = |decision: &'a Decision| {
            decision.findings.iter().map(move |finding| found(object, has_lines, decision, finding)).collect()
        };
        Row {
            file,
            line: has_lines.then_some(object.position.line),
            api_version: clean(&identity.api_version, redacts),
            kind: clean(&identity.kind, redacts),
            namespace: clean(&identity.namespace, redacts),
            name: clean(&identity.name, redacts),
            decision: self.outcome.as_str(),
            findings: self.judgement.decision.as_ref().map(of_decision).unwrap_or_default(),
        }
    }
}

/// A finding, with its place in an object; `has_lines` if the positions in that are a file's.
fn found<'d>(object: &Node, has_lines: bool, decision: &Decision, finding: &'d ModedFinding) -> Found<'d> {
    let FindingText { place, message } = decision.text_of(finding);
    let pointer = finding.place.path.pointer();
    let (pointer, Position { line, column }) = object.follow(&pointer);
    let tokens = pointer.tokens().map(|token| Token::new(clean(&token.decoded(), decision.redacts).into_owned()));
    Found {
        policy: finding.meta.id,
        severity: finding.meta.severity,
        mode: finding.mode,
        path: place,
        pointer: PointerBuf::from_tokens(tokens).as_str().to_owned(),
        line: has_lines.then_some(line),
        column: has_lines.then_some(column),
        message,
        exception: finding
            .exemption
            .as_ref()
            .and_then(Exemption::exception)
            .map(|exception| Excepted { name: &exception.name, expires: exception.expires.to_string() }),
    }
}

/// A line of JSON.
pub(super) fn json(row: &impl Serialize) -> Result<String, String> {
    let json = serde_json::to_string(row).map_err(|error| error.to_string())?;
    Ok(escaped_json(&json).into_owned() + "\n")
}

/// The result for one object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Allow,
    /// An exception is why it would be admitted. Rows print it as `allow`, and the exception at its findings.
    Exempt,
    Deny,
    /// A field has the wrong type; nothing else would refuse the object.
    Error,
    /// It holds pod templates that no row of `workloads` covers; nothing else would refuse it.
    NotJudged,
}

impl Outcome {
    fn of(decision: Option<&Decision>, is_wrong: bool, is_missed: bool) -> Self {
        match decision {
            Some(decision) if !decision.allowed => Self::Deny,
            _ if is_wrong => Self::Error,
            _ if is_missed => Self::NotJudged,
            Some(decision) if decision.exempted().is_some() => Self::Exempt,
            _ => Self::Allow,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow | Self::Exempt => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::NotJudged => "not-judged",
        }
    }
}

/// The rows of `workloads` that are missing for the templates of an object; see [`unjudged::rows`].
fn missing_rows(object: &Node, identity: &Identity, snapshot: &Snapshot) -> Vec<Option<String>> {
    let (group, _) = identity.group_version();
    if is_own(group) {
        return Vec::new();
    }
    unjudged::rows(object, group, &identity.kind, snapshot.workloads().find(group, &identity.kind))
}

pub(super) fn not_judged(identity: &Identity, row: Option<&str>) -> String {
    let (group, _) = identity.group_version();
    let advice = row.map_or_else(String::new, |row| format!("; to judge it, add to workloads: {row}"));
    let what = "holds pod templates that no row of workloads leads to: not judged";
    format!("note: {} ({group}) {what}{advice}", identity.kind)
}
