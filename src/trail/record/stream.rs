//! The records of a stream itself, which frame its events and tell what became of the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::event::short;
use super::standing::{Standing, standings};
use super::stranger::Stranger;
use super::time::micros;
use crate::bound::Room;
use crate::decision::selection::{Entry, Selection, select};
use crate::snapshot::Weaker;

/// Policies that got weaker which a record tells one by one; the others are counted by policy. Bytes of their texts, the
/// place that each text has in any case, and the most that it has.
const WEAKER: usize = 256;
const WEAKER_BYTES: usize = 56 << 10;
const WEAKER_TEXT: usize = 64;
const LONGEST: usize = 512;
/// Errors, and differences, that a record tells; the others are counted. Bytes of all of them, the place that each has in
/// any case, and the most that it has.
const LINES: usize = 64;
const LINES_BYTES: usize = 64 << 10;
const LINE: usize = 512;
const LONGEST_LINE: usize = 2 << 10;
/// Lines about drift that a record tells in each list, and bytes of all of them.
const DRIFT_LINES: usize = 24;
const DRIFT_BYTES: usize = 12 << 10;

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
        #[serde(serialize_with = "short_text")]
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
        /// A signed note of how far the stream and its siblings have come.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// A statement of the number of records of the stream and its siblings.
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
        /// Number of records that were removed.
        removed: u64,
        /// Number of them that some sink had not taken.
        lost: u64,
        /// Number of them that went before their class's retention, for want of room.
        early: u64,
        /// The reason: `age` or `size`.
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
        /// Number of records that it has had.
        had: u64,
        /// Number of records that the spool had.
        end: u64,
    },
    /// A sink refuses a record of the stream for good: it was set aside, and those after it are delivered.
    #[serde(rename = "set-aside")]
    SetAside {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// The sink's name.
        sink: &'a str,
        /// The record's sequence number in this stream.
        refused: u64,
        /// Its bytes.
        bytes: u64,
        /// The sink's message.
        #[serde(serialize_with = "short_text")]
        why: &'a str,
    },
    /// Decisions that were counted instead of written, since the last such record.
    #[serde(rename = "counters")]
    Counters {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Of how many decisions without a finding one was written.
        sample: u64,
        /// Number of those that were not, by endpoint, operation, kind and namespace.
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
        #[serde(flatten, serialize_with = "weaker_list")]
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
        /// Differences; empty when there are none.
        #[serde(flatten, serialize_with = "lag_list")]
        lag: &'a [String],
        /// Objects that should exist, and do not, or are empty. Left out, as the lists below, when it is empty.
        #[serde(flatten, serialize_with = "gone_list")]
        missing: &'a [String],
        /// Parts that somebody made weaker than derived.
        #[serde(flatten, serialize_with = "drift_list")]
        drift: &'a [String],
        /// Parts that a provider made weaker, which are left alone.
        #[serde(flatten, serialize_with = "provider_list")]
        provider: &'a [String],
        /// Parts that were repaired since the last such record.
        #[serde(flatten, serialize_with = "repaired_list")]
        repaired: &'a [String],
    },
    /// Callers that were turned away since the last such record.
    #[serde(rename = "turned-away")]
    TurnedAway {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Number of requests, by address and reason.
        callers: &'a [Stranger],
        /// Number of requests from further addresses.
        omitted: u64,
    },
    /// The errors in rows of the configuration's `workloads` have changed.
    #[serde(rename = "workloads")]
    Workloads {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the configuration in force.
        configuration: &'a str,
        /// One line each for what the API server does not serve; empty when all is served.
        #[serde(flatten, serialize_with = "missing_list")]
        missing: &'a [String],
    },
    /// The kinds of network policies that are served and cannot be read have changed.
    #[serde(rename = "network-policies")]
    NetworkPolicies {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the configuration in force.
        configuration: &'a str,
        /// One line each for what cannot be read; empty when all can.
        #[serde(flatten, serialize_with = "missing_list")]
        missing: &'a [String],
    },
    /// The exceptions of the configuration in force, once a day.
    #[serde(rename = "exceptions")]
    Exceptions {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the configuration in force.
        configuration: &'a str,
        /// Every exception, those first that somebody should look at.
        #[serde(flatten, serialize_with = "standings")]
        exceptions: &'a [Standing<'a>],
    },
    /// The configuration file had errors when the server started: the last good configuration is in force.
    #[serde(rename = "configuration-fallback")]
    Fallback {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the one in force.
        configuration: &'a str,
        /// The errors, redacted.
        #[serde(flatten, serialize_with = "errors_list")]
        errors: &'a [String],
    },
    /// A changed configuration was refused; the one before stays in force.
    #[serde(rename = "configuration-refused")]
    Refused {
        /// Now.
        #[serde(serialize_with = "micros")]
        time: Timestamp,
        /// Digest of the one in force.
        configuration: &'a str,
        /// The errors, redacted.
        #[serde(flatten, serialize_with = "errors_list")]
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
    /// Number of decisions.
    pub count: u64,
}

impl Record<'_> {
    /// The record as JSON, unchained.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Entry for Weaker {
    fn policy(&self) -> &'static str {
        self.policy
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WeakerList {
    weaker: Vec<Weaker>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    weaker_omitted: BTreeMap<&'static str, usize>,
}

fn weaker_list<S: Serializer>(weaker: &&[Weaker], serializer: S) -> Result<S::Ok, S::Error> {
    let Selection { kept, omitted } = select(*weaker, WEAKER);
    let mut room = Room::new(WEAKER_BYTES, 3 * kept.len(), WEAKER_TEXT);
    let mut text = |text: &str| room.text(Cow::Borrowed(text), LONGEST).into_owned();
    let told = |one: &Weaker| Weaker {
        policy: one.policy,
        namespace: text(&one.namespace),
        change: one.change,
        from: text(&one.from),
        to: text(&one.to),
    };
    WeakerList { weaker: kept.into_iter().map(told).collect(), weaker_omitted: omitted }.serialize(serializer)
}

/// The lines that a record tells, and how many it does not.
fn lines(lines: &[String], most: usize, bytes: usize) -> (Vec<Cow<'_, str>>, usize) {
    let kept = lines.len().min(most);
    let mut room = Room::new(bytes, kept, LINE);
    let told = lines[..kept].iter().map(|line| room.text(Cow::Borrowed(line), LONGEST_LINE)).collect();
    (told, lines.len() - kept)
}

/// Writes the lines that a record tells as `name`, and the number of the others as `omitted` where there are any.
fn counted<S: Serializer>(
    told: &[String],
    name: &'static str,
    omitted: &'static str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (told, others) = lines(told, LINES, LINES_BYTES);
    let mut fields = serializer.serialize_struct(name, 2)?;
    fields.serialize_field(name, &told)?;
    if others > 0 {
        fields.serialize_field(omitted, &others)?;
    }
    fields.end()
}

/// The same for a list about drift, which is left out when it is empty.
fn few<S: Serializer>(
    told: &[String],
    name: &'static str,
    omitted: &'static str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (told, others) = lines(told, DRIFT_LINES, DRIFT_BYTES);
    let mut fields = serializer.serialize_struct(name, 2)?;
    if !told.is_empty() {
        fields.serialize_field(name, &told)?;
    }
    if others > 0 {
        fields.serialize_field(omitted, &others)?;
    }
    fields.end()
}

fn gone_list<S: Serializer>(lines: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    few(lines, "missing", "missingOmitted", serializer)
}

fn drift_list<S: Serializer>(lines: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    few(lines, "drift", "driftOmitted", serializer)
}

fn provider_list<S: Serializer>(lines: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    few(lines, "provider", "providerOmitted", serializer)
}

fn repaired_list<S: Serializer>(lines: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    few(lines, "repaired", "repairedOmitted", serializer)
}

fn lag_list<S: Serializer>(lag: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    counted(lag, "lag", "lagOmitted", serializer)
}

fn missing_list<S: Serializer>(missing: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    counted(missing, "missing", "missingOmitted", serializer)
}

fn errors_list<S: Serializer>(errors: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    counted(errors, "errors", "errorsOmitted", serializer)
}

fn short_text<S: Serializer>(text: &&str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(short(text))
}
