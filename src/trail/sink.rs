//! Sinks: where couriers take the trail. Each keeps the lines as they are.

mod file;
mod kafka;
mod postgres;
mod stdout;
pub(super) mod tls;

use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::Deserialize;

use super::class::Class;

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
    /// Each record: its sequence number, and its line without the newline.
    pub fn records(&self) -> impl Iterator<Item = (u64, &'b [u8])> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        (self.first..).zip(lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)))
    }
}

/// What became of a delivery: nothing to say, or why it failed.
pub type Delivery<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 's>>;

/// Takes records, in order, for as long as it likes: what it does not take is brought again.
pub trait Sink: Send {
    /// Takes a batch: whole and for good, or it fails. The same batch, or one that begins like it, may come again.
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s>;
}

/// What is written of a sink.
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
}

impl Settings {
    /// Makes the sink ready.
    ///
    /// # Errors
    /// What is wrong with its settings, or with what it found at the other end, where no record could ever be taken.
    #[expect(clippy::unused_async, reason = "most sinks connect")]
    pub async fn open(&self) -> Result<Box<dyn Sink>, String> {
        Ok(match self {
            Self::Stdout(settings) => Box::new(stdout::Stdout::open(settings)),
            Self::File(settings) => Box::new(file::Rotated::open(settings)?),
            Self::Postgres(settings) => {
                Box::new(postgres::Postgres::open(settings).map_err(|error| error.to_string())?)
            }
            Self::Kafka(settings) => Box::new(kafka::Kafka::open(settings)?),
        })
    }
}
