//! [`Decision`] → bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::Review;
use super::decode::V1BETA1;
use crate::bound::{Room, cut, fit};
use crate::decision::{Decision, Endpoint, Judged, Said, Tells, Trouble};
use crate::escape::escaped;
use crate::mode::Mode;

/// Characters of one warning; the API server cuts at 256.
const WARNING: usize = 256;
/// Warnings in one answer.
const WARNINGS: usize = 12;
/// Characters of all warnings together; the API server drops what goes past 4,096.
const WARNINGS_TOTAL: usize = 3_800;
/// Follows what the object had before the change.
const INHERITED: &str = " (as before this change)";
/// Findings that a refusal spells out.
const FINDINGS: usize = 64;
/// Bytes of a refusal's lines, as JSON writes them; the same again for its causes. The place that each line has in any
/// case, and the most that it has.
const REFUSAL: usize = 24 << 10;
const LINE: usize = 256;
const LONGEST_LINE: usize = 1_024;
/// Bytes of one cause's field, and the place that each has in any case.
const LONGEST_FIELD: usize = 512;
const FIELD: usize = 96;
/// Bytes of an answer beside its uid, its texts and its patch.
const FRAME: usize = 2 << 10;
/// Bytes of what is said of a request that could not be judged.
const TROUBLE: usize = 2 << 10;
/// Bytes of one audit annotation.
const ANNOTATION: usize = 1_024;
/// How long a caller waits that was turned away for want of room, in seconds.
const RETRY_AFTER: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

/// `AdmissionResponse`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// Base64 of the JSON Patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<Annotations<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Audit annotations: on `/mutate` under a name of the review's own, because a webhook may be asked twice.
#[derive(Serialize)]
#[serde(untagged)]
enum Annotations<'a> {
    Validate {
        configuration: &'a str,
        decision: &'a str,
        #[serde(skip_serializing_if = "String::is_empty")]
        policies: String,
    },
    Mutate(BTreeMap<String, String>),
}

/// `metav1.Status`
#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    field: String,
    message: String,
}

/// The answer to a review. `id` is the decision's id in the trail, if it has one.
pub fn encode(review: &Review<'_>, endpoint: Endpoint, decision: &Decision, id: Option<&str>) -> Vec<u8> {
    Draft::of(decision).encode(review, endpoint, decision, id)
}

/// The parts of an answer that do not depend on the decision's id in the trail: its size is known before the decision is
/// recorded, and nothing is put into words twice.
pub struct Draft {
    status: Option<Status>,
    /// Base64 of the JSON Patch.
    patch: Option<String>,
}

impl Draft {
    /// The draft of the answer that a decision leads to.
    pub fn of(decision: &Decision) -> Self {
        let patch = (!decision.patch.is_empty()).then(|| serde_json::to_vec(&decision.patch).unwrap_or_default());
        Self {
            status: (!decision.allowed).then(|| status(decision)),
            patch: patch.map(|patch| BASE64_STANDARD.encode(patch)),
        }
    }

    /// About the bytes that the answer takes.
    pub fn size(&self, review: &Review<'_>, decision: &Decision) -> usize {
        let texts = match &self.status {
            None => decision.findings.len().min(WARNINGS) * WARNING,
            // As a message, and as its causes.
            Some(status) => status.message.len() * 5 / 2,
        };
        FRAME + review.request.uid.len() + texts + self.patch.as_ref().map_or(0, String::len)
    }

    /// The answer to the review, given the decision that this is the draft of.
    pub fn encode(self, review: &Review<'_>, endpoint: Endpoint, decision: &Decision, id: Option<&str>) -> Vec<u8> {
        let envelope = Envelope {
            api_version: if review.is_v1beta1 { V1BETA1 } else { "admission.k8s.io/v1" },
            kind: "AdmissionReview",
            response: Response {
                uid: &review.request.uid,
                allowed: decision.allowed,
                status: self.status,
                patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
                patch: self.patch,
                audit_annotations: annotations(review, endpoint, decision),
                warnings: warnings(decision, id),
            },
        };
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

fn annotations<'a>(review: &Review<'_>, endpoint: Endpoint, decision: &'a Decision) -> Option<Annotations<'a>> {
    match endpoint {
        Endpoint::Validate => Some(Annotations::Validate {
            configuration: &decision.configuration,
            decision: decision.verdict.as_str(),
            policies: policies(decision),
        }),
        Endpoint::Mutate if decision.patch.is_empty() => None,
        Endpoint::Mutate => {
            let uid: String = review.request.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
            Some(Annotations::Mutate(BTreeMap::from([(format!("decision-{uid}"), policies(decision))])))
        }
    }
}

/// What a refusal says: a line a finding, with policy, field, what must be, and how.
pub fn refusal(decision: &Decision) -> String {
    if let Some((_, message)) = &decision.trouble {
        return fit(escaped(message), TROUBLE).into_owned();
    }
    let refusing: Vec<&Judged> = decision.findings.iter().filter(|finding| finding.refuses()).collect();
    let (told, others) = refusing.split_at(refusing.len().min(FINDINGS));
    let mut room = Room::new(REFUSAL, told.len(), LINE);
    let mut lines: Vec<Cow<'_, str>> =
        told.iter().map(|finding| room.text(line(decision, finding).into(), LONGEST_LINE)).collect();
    let more: usize = others.iter().map(|finding| finding.count).sum();
    if more > 0 {
        lines.push(format!("and {more} more").into());
    }
    lines.join("\n")
}

/// What is said to the user of a request that passes, within what the API server hands on.
pub fn warnings(decision: &Decision, id: Option<&str>) -> Vec<String> {
    let trouble = decision.trouble.as_ref().filter(|_| decision.allowed);
    let trouble = trouble.map(|(_, message)| clean(&format!("not judged: {message}"), ""));
    let warned = decision.findings.iter().filter(|finding| {
        // Nobody needs to hear of a default that is set: it is in the object.
        let is_set = finding.tells == Tells::Default && finding.mode == Mode::Enforce && !finding.failed;
        let is_done = finding.refuses() || is_set;
        finding.mode >= Mode::Warn && !is_done
    });
    let warned: Vec<&Judged> = warned.collect();
    let count = warned.len() + usize::from(trouble.is_some());
    // Only those that find a place are put into words.
    let all = trouble.into_iter().chain(warned.into_iter().map(|finding| {
        let suffix = if finding.inherited { INHERITED } else { "" };
        clean(&line(decision, finding), suffix)
    }));

    let mut kept = Vec::new();
    let mut total = 0;
    for (position, warning) in all.enumerate() {
        total += warning.chars().count();
        let is_last = position + 1 == count;
        let room = if is_last { WARNINGS } else { WARNINGS - 1 };
        // The closing line needs a place of its own.
        let space = if is_last { WARNINGS_TOTAL } else { WARNINGS_TOTAL - WARNING };
        if position >= room || total > space {
            let id = id.map(|id| format!(": decision {id}")).unwrap_or_default();
            kept.push(clean(&format!("and {} more{id}", count - position), ""));
            break;
        }
        kept.push(warning);
    }
    kept
}

fn line(decision: &Decision, finding: &Judged) -> String {
    let Said { place, message } = decision.said(finding);
    let (place, message) = (escaped(place), escaped(message));
    if finding.tells != Tells::Flaw {
        return format!("{}: {message}", finding.meta.id);
    }
    format!("{}: {place} {message} ({})", finding.meta.id, finding.meta.fix)
}

/// One line, what is not plain escaped, cut to what the API server hands on. The suffix is not cut off.
fn clean(warning: &str, suffix: &str) -> String {
    cut(escaped(warning).chars(), WARNING - suffix.len()) + suffix
}

fn status(decision: &Decision) -> Status {
    let code = decision.code();
    let reason = match code {
        400 => "BadRequest",
        403 => "Forbidden",
        429 => "TooManyRequests",
        _ => "ServiceUnavailable",
    };
    let told: Vec<&Judged> = decision.findings.iter().filter(|one| one.refuses()).take(FINDINGS).collect();
    let (mut fields, mut messages) = (Room::new(REFUSAL / 2, told.len(), FIELD), Room::new(REFUSAL, told.len(), LINE));
    let cause = |finding: &Judged| {
        let Said { place, message } = decision.said(finding);
        let message = format!("{}: {} ({})", finding.meta.id, escaped(message), finding.meta.fix);
        // The object itself has no field.
        let field = if finding.place.path.is_root() { Cow::Borrowed("") } else { escaped(place) };
        Cause {
            field: fields.text(field, LONGEST_FIELD).into_owned(),
            message: messages.text(message.into(), LONGEST_LINE).into_owned(),
        }
    };
    let causes: Vec<Cause> = told.into_iter().map(cause).collect();
    let busy = matches!(decision.trouble, Some((Trouble::Busy, _)));
    let details =
        (busy || !causes.is_empty()).then(|| Details { retry_after_seconds: busy.then_some(RETRY_AFTER), causes });
    Status { code, reason, message: refusal(decision), details }
}

/// The ids of the policies that had findings, in the catalogue's order.
fn policies(decision: &Decision) -> String {
    let mut ids: Vec<&str> = decision.findings.iter().map(|finding| finding.meta.id).collect();
    ids.dedup();
    let mut text = String::new();
    for id in ids {
        if text.len() + id.len() + 1 > ANNOTATION {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(id);
    }
    text
}
