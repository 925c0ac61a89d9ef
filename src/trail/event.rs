//! The audit event, and the records that frame a stream.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};

use super::redact::Redaction;
use crate::config::Weaker;
use crate::decision::{Decision, Endpoint, Judged};
use crate::digest::sha256;
use crate::mode::Mode;
use crate::object::Object;
use crate::request::{Kind, Operation, Request, User};

/// Groups of a user that an event holds.
const GROUPS: usize = 64;
/// Characters of one text in an event.
const TEXT: usize = 1_024;

/// How the caller of a review was known. Any pod that reaches the port could forge one.
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
    exception: Option<()>,
    patch: Vec<Cow<'a, str>>,
    object: Option<String>,
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
    path: String,
    message: Cow<'a, str>,
    inherited: bool,
}

/// What is the same for every event of a server.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// What becomes of texts and names before they are remembered.
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
        Self {
            time: request.received,
            cluster,
            endpoint,
            caller,
            uid: cut(&request.uid),
            operation: request.operation,
            resource: Resource {
                group: cut(&request.resource.group),
                version: cut(&request.resource.version),
                resource: cut(&request.resource.resource),
                subresource: cut(&request.subresource),
            },
            kind: kind(&request.kind),
            namespace: redaction.identity(cut(&request.namespace)),
            name: redaction.identity(cut(request.display_name())),
            object_uid: object_uid(request),
            user: user(&request.user, redaction),
            dry_run: request.dry_run,
            decision: decision.verdict.as_str(),
            allowed: decision.allowed,
            findings: decision.findings.iter().map(|finding| view(finding, &names, redaction)).collect(),
            exception: None,
            patch: decision.patch.iter().map(|operation| redaction.text(operation.path().as_str())).collect(),
            object: sent.map(|raw| sha256(raw.get().as_bytes())),
            configuration: &decision.configuration,
            version: env!("CARGO_PKG_VERSION"),
            micros,
        }
    }

    /// The event as JSON, unchained.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        // Strings and numbers into memory: nothing in it can fail.
        let _ = serde_json::to_writer(&mut bytes, self);
        bytes
    }
}

/// A record of the stream itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "record")]
pub enum Record<'a> {
    /// A stream begins, or a restart continues it.
    #[serde(rename = "start")]
    Start {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Name of the cluster.
        cluster: &'a str,
        /// Digest of the configuration in force.
        configuration: &'a str,
        /// Version of this program.
        version: &'static str,
        /// Bytes of a torn last line that were cut off.
        torn: u64,
    },
    /// The clean end.
    #[serde(rename = "stop")]
    Stop {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// A signed note of how far the stream and its sisters have come.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// How far the stream and its sisters have come.
    #[serde(rename = "checkpoint")]
    Checkpoint {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// A signed note.
        note: &'a str,
    },
    /// Records were removed from the front of the stream.
    #[serde(rename = "retention")]
    Retention {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// The first record that is still here.
        first: u64,
        /// How many records were removed.
        removed: u64,
        /// How many of them some sink had not taken.
        lost: u64,
        /// Why: `age` or `size`.
        reason: &'static str,
    },
    /// A sink has had more records of the stream than the spool had when it was opened.
    #[serde(rename = "sink-ahead")]
    SinkAhead {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// The sink's name.
        sink: &'a str,
        /// How many it has had.
        had: u64,
        /// How many there were.
        end: u64,
    },
    /// Decisions that were counted instead of written, since the last such record.
    #[serde(rename = "counters")]
    Counters {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Of how many decisions without a finding one was written.
        sample: u64,
        /// How many were not, by endpoint, operation, kind and namespace.
        omitted: &'a [Omitted],
    },
    /// Another configuration is in force.
    #[serde(rename = "configuration")]
    Configuration {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the one before.
        old: &'a str,
        /// Digest of the new one.
        configuration: &'a str,
        /// Every policy that got weaker, redacted.
        weaker: &'a [Weaker],
    },
    /// The installed webhook configurations began or ceased to lag behind the configuration.
    #[serde(rename = "webhooks")]
    Webhooks {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the configuration in force.
        configuration: &'a str,
        /// What lags; empty when nothing does.
        lag: &'a [String],
    },
    /// A changed configuration was refused; the one before stays in force.
    #[serde(rename = "configuration-refused")]
    Refused {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the one in force.
        configuration: &'a str,
        /// What is wrong, one error each, redacted.
        errors: &'a [String],
    },
}

/// Decisions of one sort that were counted instead of written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Omitted {
    /// `validate` or `mutate`.
    pub endpoint: &'static str,
    /// `CREATE` and so on.
    pub operation: &'static str,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// How many.
    pub count: u64,
}

impl Record<'_> {
    /// The record as JSON, unchained.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The uid of the object, or of the one before: a DELETE carries no other.
fn object_uid<'a>(request: &'a Request<'a>) -> Cow<'a, str> {
    if let Some(object) = &request.object {
        return Cow::Borrowed(cut(object.metadata().uid()));
    }
    let old = request.old.and_then(|old| Object::read(old, None).ok());
    Cow::Owned(old.map_or_else(String::new, |old| cut(old.metadata().uid()).to_owned()))
}

fn kind<'a>(kind: &'a Kind<'_>) -> KindView<'a> {
    KindView { group: cut(&kind.group), version: cut(&kind.version), kind: cut(&kind.kind) }
}

fn user<'a>(user: &'a User<'a>, redaction: &Redaction) -> UserView<'a> {
    let groups = user.groups.as_deref().unwrap_or_default();
    UserView {
        name: redaction.identity(cut(user.name())),
        uid: redaction.identity(user.uid.as_deref().map_or("", cut)),
        groups: groups.iter().take(GROUPS).map(|group| redaction.identity(cut(group))).collect(),
        groups_omitted: groups.len().saturating_sub(GROUPS),
    }
}

/// The text, no longer than an event or a log line holds.
pub fn cut(text: &str) -> &str {
    // No character is shorter than a byte.
    if text.len() <= TEXT {
        return text;
    }
    text.char_indices().nth(TEXT).map_or(text, |(end, _)| &text[..end])
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The identities of a request, of which messages may speak.
fn names<'a>(request: &'a Request<'a>) -> Vec<&'a str> {
    let user = &request.user;
    let groups = user.groups.iter().flatten().take(GROUPS).map(|group| cut(group));
    let others = [&*request.namespace, request.display_name(), user.name(), user.uid.as_deref().unwrap_or_default()];
    others.into_iter().map(cut).chain(groups).collect()
}

fn view<'a>(finding: &'a Judged, names: &[&str], redaction: &Redaction) -> FindingView<'a> {
    FindingView {
        policy: finding.meta.id,
        severity: finding.meta.severity,
        mode: finding.mode,
        configured: finding.configured,
        path: redaction.quoting(&finding.place.shown(), names).into_owned(),
        message: redaction.quoting(&finding.message, names),
        inherited: finding.inherited,
    }
}

fn micros<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printed(*time))
}

/// RFC 3339 with microseconds, UTC.
pub(super) fn printed(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_to_string(&time)
}
