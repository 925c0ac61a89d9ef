//! Reasons why a collector does not take records.

use super::super::address::AddressError;
use super::super::http::{HttpError, RecordTooLarge, Refusal};
use super::super::unusable_setting::UnusableSetting;

/// Reason why a collector cannot be asked to take records, or its answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A setting can never work.
    #[error(transparent)]
    Setting(#[from] UnusableSetting),
    /// The file of the endpoint does not hold an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The endpoint has no path.
    #[error("endpoint: must be a URL with a host, to which the path /v1/logs can be added")]
    Endpoint,
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The response has another form.
    #[error("the response is not an OTLP/protobuf answer: is this the endpoint of a collector?")]
    Answer(#[source] prost::DecodeError),
}

/// A line was altered in the spool.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("record {stream}:{seq} is not text")]
    NotText { stream: String, seq: u64 },
    #[error("record {stream}:{seq} is not a record of a trail")]
    NotRecord { stream: String, seq: u64 },
}

/// A collector rejected records.
#[derive(Debug, thiserror::Error)]
#[error("record {stream}:{seq} {} rejected: {why}", were(*others))]
pub(super) struct RejectedRecords {
    pub(super) stream: String,
    /// The first of them.
    pub(super) seq: u64,
    /// Number of the others.
    pub(super) others: usize,
    pub(super) why: Rejection,
}

/// Reason why a record was rejected.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Rejection {
    #[error(transparent)]
    TooLarge(RecordTooLarge),
    #[error(transparent)]
    Refusal(Refusal),
    /// The collector's message, without a secret.
    #[error("{0}")]
    Said(String),
}

impl Default for Rejection {
    fn default() -> Self {
        Self::Said(String::new())
    }
}

fn were(others: usize) -> String {
    if others == 0 { "was".to_owned() } else { format!("and {others} more were") }
}
