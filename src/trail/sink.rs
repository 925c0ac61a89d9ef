//! Sinks: where couriers take the trail. Each keeps the lines as they are.

mod address;
mod error;
mod file;
mod http;
mod kafka;
mod open_error;
mod otlp;
mod postgres;
mod s3;
mod settings;
mod stdout;
mod unusable_setting;
mod url;
mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::record::Class;

pub use error::{Refused, SinkError};
pub use open_error::OpenError;
pub use settings::Settings;

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
pub type Delivery<'s> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 's>>;

/// Takes records, in order, for as long as it likes: what it does not take is brought again.
pub trait Sink: Send {
    /// Takes a batch: whole and for good, or it fails. The same batch, or one that begins like it, may come again.
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s>;

    /// Limits of a batch.
    fn limits(&self) -> BatchLimits {
        BatchLimits::default()
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
