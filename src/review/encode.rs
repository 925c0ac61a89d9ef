//! Encodes a [`Decision`] as an AdmissionReview response.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::Review;
use super::decode::V1BETA1;
use crate::bound::{Limit, Room, cut, prefix};
use crate::decision::{Decision, Endpoint, Exemption, FindingKind, FindingText, ModedFinding, Trouble};
use crate::escape::escaped;
use crate::mode::Mode;

/// Characters of one warning; the API server cuts at 256.
const WARNING: usize = 256;
/// Warnings in one answer.
pub const WARNINGS: usize = 12;
/// Characters of all warnings together; the API server drops what goes past 4,096.
const WARNINGS_TOTAL: usize = 3_800;
/// Suffix of the warning about a finding that the old object had too.
const INHERITED: &str = " (as before this change)";
/// Suffix of the warning about a finding that an owner of the object has, which existed before.
const OF_OWNER: &str = " (as in its owner, which existed before)";
/// Findings that a refusal spells out.
const FINDINGS: usize = 64;
/// JSON bytes of a refusal's lines, and again of its causes; those reserved for each line, and the most for one line.
const REFUSAL: usize = 24 << 10;
const LINE: usize = 256;
const LONGEST_LINE: usize = 1_024;
/// JSON bytes of one cause's field, and those reserved for each.
const LONGEST_FIELD: usize = 512;
const FIELD: usize = 96;
/// Bytes of a response besides its uid, texts and patch.
const FRAME: usize = 2 << 10;
/// JSON bytes of the message about a request that could not be judged.
const TROUBLE: usize = 2 << 10;
/// Bytes of one audit annotation.
const ANNOTATION: usize = 1_024;
/// `retryAfterSeconds` for a caller that is refused because of overload.
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

/// Audit annotations. On `/mutate` their key holds a part of the uid, because a webhook may be called twice.
#[derive(Serialize)]
#[serde(untagged)]
enum Annotations<'a> {
    Validate {
        configuration: &'a str,
        decision: &'a str,
        #[serde(skip_serializing_if = "String::is_empty")]
        policies: String,
        /// Of access to what runs: the uid of the review, by which the record is found.
        #[serde(skip_serializing_if = "str::is_empty")]
        uid: &'a str,
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

/// Encodes the response to a review. `id` is the decision's id in the trail, if it has one.
pub fn encode(review: &Review<'_>, endpoint: Endpoint, decision: &Decision, id: Option<&str>) -> Vec<u8> {
    Draft::of(decision).encode(review, endpoint, decision, id)
}

/// The parts of a response that do not depend on the decision's id in the trail. With them the size of the response is
/// known before the decision is recorded.
pub struct Draft {
    status: Option<Status>,
    /// Base64 of the JSON Patch.
    patch: Option<String>,
}

impl Draft {
    /// The draft of the response for a decision.
    pub fn of(decision: &Decision) -> Self {
        let patch = (!decision.patch.is_empty()).then(|| serde_json::to_vec(&decision.patch).unwrap_or_default());
        Self {
            status: (!decision.allowed).then(|| status(decision)),
            patch: patch.map(|patch| BASE64_STANDARD.encode(patch)),
        }
    }

    /// Estimated size of the response in bytes.
    pub fn size(&self, review: &Review<'_>, decision: &Decision) -> usize {
        let texts = match &self.status {
            None => (decision.findings.len() + decision.offenders.len()).min(WARNINGS) * WARNING,
            // As a message, and as its causes.
            Some(status) => status.message.len() * 5 / 2,
        };
        FRAME + review.request.uid.len() + texts + self.patch.as_ref().map_or(0, String::len)
    }

    /// Encodes the response; `decision` is the one that this draft was made of.
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

fn annotations<'a>(review: &'a Review<'_>, endpoint: Endpoint, decision: &'a Decision) -> Option<Annotations<'a>> {
    match endpoint {
        Endpoint::Validate => Some(Annotations::Validate {
            configuration: &decision.configuration,
            decision: decision.verdict.as_str(),
            policies: policies(decision),
            uid: if review.request.is_access() || decision.is_of_administrator {
                prefix(&review.request.uid, Limit::JsonBytes(ANNOTATION))
            } else {
                ""
            },
        }),
        Endpoint::Mutate if decision.patch.is_empty() => None,
        Endpoint::Mutate => {
            let uid: String = review.request.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
            Some(Annotations::Mutate(BTreeMap::from([(format!("decision-{uid}"), policies(decision))])))
        }
    }
}

/// The message of a refusal: for each finding a line with policy, field, requirement and remedy.
pub fn refusal(decision: &Decision) -> String {
    if let Some((_, message)) = &decision.trouble {
        return cut(escaped(message), Limit::JsonBytes(TROUBLE)).into_owned();
    }
    let refusing: Vec<&ModedFinding> = decision.findings.iter().filter(|finding| finding.refuses()).collect();
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

/// The warnings about a request that is admitted, within the limits of the API server.
pub fn warnings(decision: &Decision, id: Option<&str>) -> Vec<String> {
    let trouble = decision.trouble.as_ref().filter(|_| decision.allowed);
    let trouble = trouble.map(|(_, message)| bounded(&format!("not judged: {message}"), ""));
    let warned = decision.findings.iter().filter(|finding| {
        // A default that is set is visible in the object: no warning.
        let is_set = finding.kind == FindingKind::Default && finding.mode == Mode::Enforce && !finding.failed;
        let is_done = finding.refuses() || is_set;
        finding.mode >= Mode::Warn && !is_done
    });
    let warned: Vec<&ModedFinding> = warned.collect();
    let count = warned.len() + usize::from(trouble.is_some()) + decision.offenders.len();
    // Lazy: only warnings that fit are formatted.
    let offenders = decision.offenders.iter().map(|warning| bounded(warning, ""));
    let warned = warned.into_iter().map(|finding| {
        let suffix = match finding {
            ModedFinding { is_of_owner: true, .. } => OF_OWNER,
            ModedFinding { inherited: true, .. } => INHERITED,
            _ => "",
        };
        bounded(&(exemption(finding) + &line(decision, finding)), suffix)
    });
    let all = trouble.into_iter().chain(warned).chain(offenders);

    let mut kept = Vec::new();
    let mut total = 0;
    for (position, warning) in all.enumerate() {
        total += warning.chars().count();
        let is_last = position + 1 == count;
        let room = if is_last { WARNINGS } else { WARNINGS - 1 };
        // Room for the closing line is kept free.
        let space = if is_last { WARNINGS_TOTAL } else { WARNINGS_TOTAL - WARNING };
        if position >= room || total > space {
            let id = id.map(|id| format!(": decision {id}")).unwrap_or_default();
            kept.push(bounded(&format!("and {} more{id}", count - position), ""));
            break;
        }
        kept.push(warning);
    }
    kept
}

fn line(decision: &Decision, finding: &ModedFinding) -> String {
    let FindingText { place, message } = decision.text_of(finding);
    let (place, message) = (escaped(place), escaped(message));
    if finding.kind != FindingKind::Flaw {
        return format!("{}: {message}", finding.meta.id);
    }
    format!("{}: {place} {message}{}", finding.meta.id, remedy(finding))
}

/// The exception that keeps a finding from refusing, and what it leaves to the Pods, or the group that broke the glass; empty
/// where there is none.
fn exemption(finding: &ModedFinding) -> String {
    let (exception, undecided) = match &finding.exemption {
        None => return String::new(),
        Some(Exemption::BreakGlass(glass)) => {
            return format!("exempt by break-glass (group \"{}\"): ", glass.group);
        }
        Some(Exemption::Exception { exception, undecided }) => (exception, undecided),
    };
    let ids: Vec<&str> = undecided.iter().map(|meta| meta.id).collect();
    let pods = if ids.is_empty() { String::new() } else { format!(" if its Pods keep to {}", ids.join(", ")) };
    format!("exempt by {exception}{pods}: ")
}

/// The remedy, in parentheses; empty where there is none.
fn remedy(finding: &ModedFinding) -> String {
    finding.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default()
}

/// One warning, escaped and cut to the API server's limit. The suffix is never cut.
fn bounded(warning: &str, suffix: &str) -> String {
    cut(escaped(warning), Limit::Characters(WARNING - suffix.len())).into_owned() + suffix
}

fn status(decision: &Decision) -> Status {
    let code = decision.code();
    let reason = match code {
        400 => "BadRequest",
        403 => "Forbidden",
        429 => "TooManyRequests",
        _ => "ServiceUnavailable",
    };
    let told: Vec<&ModedFinding> = decision.findings.iter().filter(|one| one.refuses()).take(FINDINGS).collect();
    let (mut fields, mut messages) = (Room::new(REFUSAL / 2, told.len(), FIELD), Room::new(REFUSAL, told.len(), LINE));
    let cause = |finding: &ModedFinding| {
        let FindingText { place, message } = decision.text_of(finding);
        let message = format!("{}: {}{}", finding.meta.id, escaped(message), remedy(finding));
        // A finding about the whole object names no field.
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
