//! Sinks: where couriers take the trail. Each keeps the lines as they are.

mod address;
mod file;
mod http;
mod kafka;
mod otlp;
mod postgres;
mod s3;
mod stdout;
mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::record::Class;

/// Consecutive records of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'b> {
    /// The stream's id.
    pub stream: &'b str,
    /// Its class.
    pub class: Class,
    /// Sequence number of the first record.
    pub first: u64,
    /// The lines, each with its newline.
    pub bytes: &'b [u8],
}

impl<'b> Batch<'b> {
    /// Sequence number of the last record.
    pub fn last(&self) -> u64 {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
        self.first + lines.saturating_sub(1)
    }

    /// The first records, that together have no more than so many bytes, one at least; and those after them.
    fn split(self, most: usize) -> (Self, Self) {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let (count, end) = fitting(lines.map(<[u8]>::len), most);
        let (bytes, later) = self.bytes.split_at(end);
        (Self { bytes, ..self }, Self { first: self.first + count as u64, bytes: later, ..self })
    }

    /// So many of its first records, and those after them.
    fn take(self, count: usize) -> (Self, Self) {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n').take(count);
        let (bytes, later) = self.bytes.split_at(lines.map(<[u8]>::len).sum());
        let first = self.first + bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
        (Self { bytes, ..self }, Self { first, bytes: later, ..self })
    }

    /// The records from one on.
    pub(super) fn from(self, seq: u64) -> Self {
        let before = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n').take(before);
        let bytes = &self.bytes[lines.map(<[u8]>::len).sum()..];
        Self { first: self.first.max(seq), bytes, ..self }
    }

    /// Each record: its sequence number, and its line without the newline.
    pub fn records(&self) -> impl Iterator<Item = (u64, &'b [u8])> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        (self.first..).zip(lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)))
    }
}

/// Number of records of these sizes, one at least, that fit into so many bytes, and their bytes.
fn fitting(sizes: impl Iterator<Item = usize>, most: usize) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for size in sizes {
        if count > 0 && bytes + size > most {
            break;
        }
        count += 1;
        bytes += size;
    }
    (count, bytes)
}

/// Outcome of a delivery.
pub type Delivery<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 's>>;

/// Takes records, in order, for as long as it likes: what it does not take is brought again.
pub trait Sink: Send {
    /// Takes a batch: whole and for good, or it fails. The same batch, or one that begins like it, may come again.
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s>;

    /// Limits of a batch.
    fn limits(&self) -> BatchLimits {
        BatchLimits::default()
    }

    /// After a failure: how long it asks to be left alone.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }

    /// After a failure: what it refuses of the batch, whatever comes; nothing where all of it may be taken later.
    fn refused(&self) -> Option<Refused> {
        None
    }
}

/// Records of a batch that a sink refuses for good.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// The records; none while they are still looked for, in smaller pieces.
    pub records: Vec<u64>,
    /// All others before this one were taken.
    pub next: u64,
    /// Set when it is these records that are refused; else the other end may refuse everything.
    pub is_certain: bool,
}

impl Refused {
    /// One record, all before which were taken.
    fn one(seq: u64, is_certain: bool) -> Self {
        Self { records: vec![seq], next: seq + 1, is_certain }
    }
}

/// Limits of a batch. The records of a batch follow each other in one segment of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes; the record that reaches them is the last.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Maximum time to wait for a fuller batch.
    pub wait: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { bytes: 1 << 20, records: 1_000, wait: Duration::ZERO }
    }
}

/// Reads the settings of a sink of one type.
fn of<T: DeserializeOwned>(value: Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Wrong { path: path.collect(), message: without_values(&error.inner().to_string()) }
    })
}

/// Serde's message, without the value that it found.
fn without_values(message: &str) -> String {
    let is_about_a_value = message.starts_with("invalid ") || message.starts_with("unknown variant");
    let Some((_, expected)) = message.rsplit_once(", expected ").filter(|_| is_about_a_value) else {
        return message.to_owned();
    };
    let expected = match expected {
        "a boolean" => "true or false",
        "a map" => "a mapping",
        "a sequence" => "a list",
        "path string" => "the name of a file",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        other => other,
    };
    format!("must be {expected}")
}

/// Settings of a sink.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Settings {
    /// Standard output.
    Stdout(stdout::Settings),
    /// A file, and those before it.
    File(file::Settings),
    /// A table of PostgreSQL.
    Postgres(postgres::Settings),
    /// Kafka.
    Kafka(kafka::Settings),
    /// A bucket of S3, or of what speaks like it.
    S3(s3::Settings),
    /// A collector of OpenTelemetry logs.
    Otlp(otlp::Settings),
    /// A receiver of signed batches over HTTP.
    Webhook(webhook::Settings),
}

/// An error in the settings of a sink: its path, and the requirement that is not met. It never repeats a value: that
/// may be a secret that somebody wrote in the place of its file.
pub(crate) struct Wrong {
    /// The keys that lead there.
    pub(crate) path: Vec<String>,
    /// Requirement that is not met.
    pub(crate) message: String,
}

impl Wrong {
    /// Reads a sink's message; where it begins with a key, that is the path.
    fn of(message: String) -> Self {
        let is_key = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match message.split_once(": ").filter(|(key, _)| is_key(key)) {
            Some((key, rest)) => Self { path: vec![key.to_owned()], message: rest.to_owned() },
            None => Self { path: Vec::new(), message },
        }
    }
}

impl Settings {
    /// Reads what is written of a sink, and refuses what can never work.
    ///
    /// # Errors
    /// [`Wrong`].
    pub(crate) fn read(value: Value) -> Result<Self, Wrong> {
        let settings = Self::written(value)?;
        let checked = match &settings {
            Self::Stdout(_) | Self::File(_) => Ok(()),
            Self::Postgres(settings) => postgres::check(settings),
            Self::Kafka(settings) => settings.check(),
            Self::S3(settings) => settings.check(),
            Self::Otlp(settings) => settings.check(),
            Self::Webhook(settings) => settings.check(),
        };
        checked.map(|()| settings).map_err(Wrong::of)
    }

    fn written(mut value: Value) -> Result<Self, Wrong> {
        let kind = value.as_object_mut().and_then(|fields| fields.remove("type"));
        match kind.as_ref().map(|kind| kind.as_str().unwrap_or_default()) {
            Some("stdout") => of(value).map(Self::Stdout),
            Some("file") => of(value).map(Self::File),
            Some("postgres") => of(value).map(Self::Postgres),
            Some("kafka") => of(value).map(Self::Kafka),
            Some("s3") => of(value).map(Self::S3),
            Some("otlp") => of(value).map(Self::Otlp),
            Some("webhook") => of(value).map(Self::Webhook),
            other => Err(Wrong {
                path: other.map(|_| "type".to_owned()).into_iter().collect(),
                message: match other {
                    Some(_) => "must be one of stdout, file, postgres, kafka, s3, otlp, webhook".to_owned(),
                    None => "missing field `type`".to_owned(),
                },
            }),
        }
    }

    /// Makes the sink ready, for the records of that cluster.
    ///
    /// # Errors
    /// An error in its settings, or at the other end, by which no record could ever be taken.
    pub async fn open(&self, cluster: &str) -> Result<Box<dyn Sink>, String> {
        Ok(match self {
            Self::Stdout(settings) => Box::new(stdout::Stdout::open(settings)),
            Self::File(settings) => Box::new(file::Rotated::open(settings)?),
            Self::Postgres(settings) => {
                Box::new(postgres::Postgres::open(settings).map_err(|error| error.to_string())?)
            }
            Self::Kafka(settings) => Box::new(kafka::Kafka::open(settings)?),
            Self::S3(settings) => Box::new(s3::S3::open(settings).await?),
            Self::Otlp(settings) => Box::new(otlp::Otlp::open(settings, cluster)?),
            Self::Webhook(settings) => Box::new(webhook::Webhook::open(settings)?),
        })
    }
}
