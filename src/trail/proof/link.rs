//! The fields of a line that bind it into its stream.

use jiff::Timestamp;
use serde::Deserialize;

/// The fields of a line that bind it into its stream.
#[derive(Deserialize)]
pub(in crate::trail) struct Link {
    pub(in crate::trail) stream: String,
    pub(in crate::trail) seq: u64,
    pub(in crate::trail) prev: String,
    pub(super) time: Option<String>,
    record: Option<String>,
    pub(super) note: Option<String>,
    pub(super) first: Option<u64>,
    pub(super) lost: Option<u64>,
    pub(super) early: Option<u64>,
}

impl Link {
    /// Time of the record.
    pub(in crate::trail) fn time(&self) -> Option<Timestamp> {
        self.time.as_deref()?.parse().ok()
    }

    pub(super) fn is(&self, record: &str) -> bool {
        self.record.as_deref() == Some(record)
    }
}
