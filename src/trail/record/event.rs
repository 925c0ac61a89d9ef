//! The audit event.
//!
//! Whoever may create a pod decides how much there is to say of it. So an event is bounded in bytes, as JSON writes them:
//! what is cut from a text is marked, what is left out of a list is counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::access::Access;
use super::redact::Redaction;
use super::time::micros;
use crate::bound::{Limit, Room, prefix};
use crate::decision::selection::{Selection, select};
use crate::decision::{Decision, Endpoint, Exemption, FindingText, ModedFinding};
use crate::digest::sha256;
use crate::mode::Mode;
use crate::object::{Object, Shape};
use crate::request::{Kind, Operation, Request, User};

/// Bytes of one record, at most, whatever the object: its line in the trail, the chain's fields and the newline among
/// them. The bounds below add up to 127 KiB, the ids of all policies in both counts of omitted entries included. Kafka
/// takes messages of 1,048,588 bytes unless told otherwise, many receivers 1 MiB, and some queues 256 KiB.
pub const RECORD: usize = 128 << 10;
/// Characters of one text in an event.
const TEXT: usize = 1_024;
/// Bytes of a name, a uid and the like, of which an event holds less than sixteen.
const SHORT: usize = 2 << 10;
/// Groups of a user that an event holds; bytes of all of them, and the place that each has in any case.
const GROUPS: usize = 64;
const GROUPS_BYTES: usize = 16 << 10;
const GROUP: usize = 128;
/// Findings that an event holds, and operations of a patch.
const ENTRIES: usize = 64;
/// Bytes of the paths and messages of all findings, and the place that each text has in any case.
const FINDINGS_BYTES: usize = 32 << 10;
const FINDING: usize = 192;
/// Bytes of the reason that a policy demanded.
const REASON: usize = 1 << 10;
/// Bytes of the name of an exception; each finding may hold one.
const EXCEPTION: usize = 64;
/// Bytes of the paths of a patch, and the place that each has in any case.
const PATCH_BYTES: usize = 12 << 10;
const PATH: usize = 128;
/// Bytes of one path and of one message, at most.
const LONGEST_PATH: usize = 512;
const LONGEST_MESSAGE: usize = 1_024;

/// Identification of a review's caller. Any pod that reaches the port could forge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Caller {
    /// By its client certificate.
    Certificate,
    /// By a secret in the path.
    Path,
    /// Not at all.
    Unknown,
}

/// A decision, as it is remembered. The fields that chain it (`stream`, `seq`, `prev`, `hash`) are added when it is
/// written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    #[serde(serialize_with = "micros")]
    time: Timestamp,
    cluster: &'a str,
    endpoint: Endpoint,
    caller: Caller,
    #[serde(skip_serializing_if = "str::is_empty")]
    caller_name: Cow<'a, str>,
    uid: &'a str,
    operation: Operation,
    resource: Resource<'a>,
    kind: KindView<'a>,
    namespace: Cow<'a, str>,
    name: Cow<'a, str>,
    object_uid: Cow<'a, str>,
    user: UserView<'a>,
    dry_run: bool,
    decision: &'static str,
    allowed: bool,
    findings: Vec<FindingView<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    findings_omitted: BTreeMap<&'static str, usize>,
    exception: Option<ExceptionView<'a>>,
    /// The reason that a policy demanded, as the object states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    patch: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    patch_omitted: BTreeMap<&'static str, usize>,
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Access>,
    configuration: &'a str,
    version: &'static str,
    micros: u64,
}

#[derive(Serialize)]
struct Resource<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
}

#[derive(Serialize)]
struct KindView<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserView<'a> {
    name: Cow<'a, str>,
    uid: Cow<'a, str>,
    groups: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_zero")]
    groups_omitted: usize,
}

#[derive(Serialize)]
struct FindingView<'a> {
    policy: &'static str,
    severity: crate::policy::Severity,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<Mode>,
    path: Cow<'a, str>,
    message: Cow<'a, str>,
    inherited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<ExceptionView<'a>>,
}

/// The exception, or the use of break-glass, that keeps a finding from refusing.
#[derive(Serialize)]
struct ExceptionView<'a> {
    name: &'a str,
    source: &'static str,
    policy: &'static str,
    /// Of break-glass, once a record.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    glass: Option<GlassView<'a>>,
}

/// The use of break-glass.
#[derive(Serialize)]
struct GlassView<'a> {
    group: Cow<'a, str>,
    reason: Cow<'a, str>,
}

impl<'a> ExceptionView<'a> {
    fn of(finding: &ModedFinding, exemption: &'a Exemption) -> Self {
        let source = exemption.source().as_str();
        let name = exemption.exception().map_or(source, |exception| &exception.name);
        Self { name: prefix(name, Limit::JsonBytes(EXCEPTION)), source, policy: finding.meta.id, glass: None }
    }

    /// The same with the group and the reason of break-glass.
    fn whole(finding: &ModedFinding, exemption: &'a Exemption, redaction: &Redaction) -> Self {
        let glass = exemption.break_glass().map(|glass| GlassView {
            group: within(redaction.identity(cut(&glass.group))),
            reason: within(redaction.text(cut(&glass.reason))),
        });
        Self { glass, ..Self::of(finding, exemption) }
    }
}

/// Fields that are the same for every event of a server.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Redaction of texts and names.
    pub redaction: &'a Redaction,
}

impl<'a> Event<'a> {
    /// The event of a decision.
    pub fn new(
        request: &'a Request<'a>,
        endpoint: Endpoint,
        caller: Caller,
        Origin { cluster, redaction }: Origin<'a>,
        decision: &'a Decision,
        micros: u64,
    ) -> Self {
        let sent = request.sent.or(match request.operation {
            Operation::Delete => request.old,
            _ => request.options,
        });
        let names = if redaction.makes_pseudonyms() { names(request) } else { Vec::new() };
        let (findings, findings_omitted) = findings(decision, &names, redaction);
        let (patch, patch_omitted) = patch(decision);
        Self {
            time: request.received,
            cluster: short(cluster),
            endpoint,
            caller,
            caller_name: Cow::Borrowed(""),
            uid: short(&request.uid),
            operation: request.operation,
            resource: Resource {
                group: short(&request.resource.group),
                version: short(&request.resource.version),
                resource: short(&request.resource.resource),
                subresource: short(&request.subresource),
            },
            kind: kind(&request.kind),
            namespace: within(redaction.name(cut(&request.namespace))),
            name: within(redaction.name(cut(request.display_name()))),
            object_uid: object_uid(request),
            user: user(&request.user, redaction),
            dry_run: request.dry_run,
            decision: decision.verdict.as_str(),
            allowed: decision.allowed,
            findings,
            findings_omitted,
            exception: decision
                .exempted()
                .map(|(finding, exemption)| ExceptionView::whole(finding, exemption, redaction)),
            reason: decision.reason.as_deref().map(|reason| {
                let reason = redaction.text(cut(reason));
                prefix(&reason, Limit::JsonBytes(REASON)).to_owned()
            }),
            patch,
            patch_omitted,
            // Who reads the trail could try passwords until the digest is right.
            object: sent.filter(|_| !request.is_of_secret()).map(|raw| sha256(raw.get().as_bytes())),
            access: (endpoint == Endpoint::Validate).then(|| Access::of(request, redaction)).flatten(),
            configuration: &decision.configuration,
            version: env!("CARGO_PKG_VERSION"),
            micros,
        }
    }

    /// The same, naming which certificate or token the caller showed. The name in a certificate is an identity like others;
    /// the fingerprint of a token is ours.
    #[must_use]
    pub fn called_by(mut self, name: &'a str, redaction: &'a Redaction) -> Self {
        self.caller_name = match self.caller {
            Caller::Certificate if redaction.makes_pseudonyms() => within(redaction.identity(cut(name))),
            Caller::Certificate => Cow::Owned(short(&redaction.text(cut(name))).to_owned()),
            Caller::Path | Caller::Unknown => Cow::Borrowed(short(name)),
        };
        self
    }

    /// The event as JSON, unchained.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        // Strings and numbers into memory: nothing in it can fail.
        let _ = serde_json::to_writer(&mut bytes, self);
        bytes
    }
}

/// The uid of the object, or of the one before: a DELETE carries no other.
fn object_uid<'a>(request: &'a Request<'a>) -> Cow<'a, str> {
    if let Some(object) = &request.object {
        return Cow::Borrowed(short(object.metadata().uid()));
    }
    let old = request.old.and_then(|old| Object::read(old, Shape::Metadata).ok());
    Cow::Owned(old.map_or_else(String::new, |old| short(old.metadata().uid()).to_owned()))
}

fn kind<'a>(kind: &'a Kind<'_>) -> KindView<'a> {
    KindView { group: short(&kind.group), version: short(&kind.version), kind: short(&kind.kind) }
}

fn user<'a>(user: &'a User<'a>, redaction: &Redaction) -> UserView<'a> {
    let groups = user.groups.as_deref().unwrap_or_default();
    let mut room = Room::new(GROUPS_BYTES, groups.len().min(GROUPS), GROUP);
    let mut shown = |group: &'a str| room.text(redaction.identity(cut(group)), SHORT);
    UserView {
        name: within(redaction.identity(cut(user.name()))),
        uid: within(redaction.identity(cut(user.uid.as_deref().unwrap_or_default()))),
        groups: groups.iter().take(GROUPS).map(|group| shown(group)).collect(),
        groups_omitted: groups.len().saturating_sub(GROUPS),
    }
}

/// The text, no longer than an event or a log line holds.
pub fn cut(text: &str) -> &str {
    prefix(text, Limit::Characters(TEXT))
}

/// The text, no longer than an event holds, also as JSON writes it.
pub(super) fn short(text: &str) -> &str {
    prefix(cut(text), Limit::JsonBytes(SHORT))
}

/// A name, or what stands for it.
fn within(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(short(name)),
        Cow::Owned(name) => Cow::Owned(short(&name).to_owned()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The identities of a request, of which messages may speak.
fn names<'a>(request: &'a Request<'a>) -> Vec<&'a str> {
    let user = &request.user;
    let groups = user.groups.as_deref().unwrap_or_default().iter().take(GROUPS).map(|group| cut(group));
    let others = [&*request.namespace, request.display_name(), user.name(), user.uid.as_deref().unwrap_or_default()];
    others.into_iter().map(cut).chain(groups).collect()
}

/// The findings that an event tells, and how many it does not.
fn findings<'a>(
    decision: &'a Decision,
    names: &[&str],
    redaction: &Redaction,
) -> (Vec<FindingView<'a>>, BTreeMap<&'static str, usize>) {
    let Selection { kept, omitted } = select(&decision.findings, ENTRIES);
    let mut room = Room::new(FINDINGS_BYTES, 2 * kept.len(), FINDING);
    let view = |finding: &'a ModedFinding| {
        let FindingText { place, message } = decision.text_of(finding);
        FindingView {
            policy: finding.meta.id,
            severity: finding.meta.severity,
            mode: finding.mode,
            configured: finding.configured,
            path: room.text(redaction.quoting(place, names), LONGEST_PATH),
            message: room.text(redaction.quoting(message, names), LONGEST_MESSAGE),
            inherited: finding.inherited,
            exception: finding.exemption.as_ref().map(|exemption| ExceptionView::of(finding, exemption)),
        }
    };
    (kept.into_iter().map(view).collect(), omitted)
}

/// The paths of a patch that an event tells, and how many it does not.
fn patch(decision: &Decision) -> (Vec<Cow<'_, str>>, BTreeMap<&'static str, usize>) {
    let Selection { kept, omitted } = select(&decision.patch, ENTRIES);
    let mut room = Room::new(PATCH_BYTES, kept.len(), PATH);
    let paths =
        kept.into_iter().map(|operation| room.text(decision.clean(operation.path().as_str()).into(), LONGEST_PATH));
    (paths.collect(), omitted)
}
