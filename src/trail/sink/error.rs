//! Failure of a delivery.

use std::error::Error;
use std::time::Duration;

/// Failure of a delivery: what was not taken comes again.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct SinkError {
    /// Pause that the sink asks for.
    pub retry_after: Option<Duration>,
    /// Records that the sink refuses for good; `None` if all may be taken later.
    pub refused: Option<Refused>,
    /// The error, without a secret.
    pub source: Box<dyn Error + Send + Sync>,
}

impl SinkError {
    /// A failure after which the batch may be taken as it is.
    pub fn of(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retry_after: None, refused: None, source: source.into() }
    }

    /// A failure that comes again as long as these records do.
    pub fn refusing(refused: Refused, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { refused: Some(refused), ..Self::of(source) }
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
    pub(super) fn one(seq: u64, is_certain: bool) -> Self {
        Self { records: vec![seq], next: seq + 1, is_certain }
    }
}
