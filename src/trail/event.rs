//! The audit event, and the records that frame a stream.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::config::{Problem, Weaker};
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
    namespace: &'a str,
    name: &'a str,
    object_uid: Cow<'a, str>,
    user: UserView<'a>,
    dry_run: bool,
    decision: &'static str,
    allowed: bool,
    #[serde(serialize_with = "findings")]
    findings: &'a [Judged],
    exception: Option<()>,
    patch: Vec<&'a str>,
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
    name: &'a str,
    uid: &'a str,
    groups: Vec<&'a str>,
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
    message: &'a str,
    inherited: bool,
}

impl<'a> Event<'a> {
    /// The event of a decision.
    pub fn new(
        request: &'a Request<'a>,
        endpoint: Endpoint,
        caller: Caller,
        cluster: &'a str,
        decision: &'a Decision,
        micros: u64,
    ) -> Self {
        let sent = request.sent.or(match request.operation {
            Operation::Delete => request.old,
            _ => request.options,
        });
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
            namespace: cut(&request.namespace),
            name: cut(request.display_name()),
            object_uid: object_uid(request),
            user: user(&request.user),
            dry_run: request.dry_run,
            decision: decision.verdict.as_str(),
            allowed: decision.allowed,
            findings: &decision.findings,
            exception: None,
            patch: decision.patch.iter().map(|operation| operation.path().as_str()).collect(),
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
        /// A signed note of how far the stream and its sisters have come ([`super::checkpoint`]).
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// How far the stream and its sisters have come.
    #[serde(rename = "checkpoint")]
    Checkpoint {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// A signed note ([`super::checkpoint`]).
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
        /// Every policy that got weaker.
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
        /// What is wrong, one error each.
        #[serde(serialize_with = "problems")]
        errors: &'a [Problem],
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

fn user<'a>(user: &'a User<'a>) -> UserView<'a> {
    let groups = user.groups.as_deref().unwrap_or_default();
    UserView {
        name: cut(user.name()),
        uid: user.uid.as_deref().map_or("", cut),
        groups: groups.iter().take(GROUPS).map(|group| cut(group)).collect(),
        groups_omitted: groups.len().saturating_sub(GROUPS),
    }
}

/// The text, no longer than an event or a log line holds.
pub fn cut(text: &str) -> &str {
    text.char_indices().nth(TEXT).map_or(text, |(end, _)| &text[..end])
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn findings<S: Serializer>(findings: &[Judged], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(findings.len()))?;
    for finding in findings {
        list.serialize_element(&FindingView {
            policy: finding.meta.id,
            severity: finding.meta.severity,
            mode: finding.mode,
            configured: finding.configured,
            path: finding.place.shown(),
            message: &finding.message,
            inherited: finding.inherited,
        })?;
    }
    list.end()
}

fn problems<S: Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

fn micros<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printed(*time))
}

/// RFC 3339 with microseconds, UTC.
pub(super) fn printed(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_to_string(&time)
}
