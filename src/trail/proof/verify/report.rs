//! Results of a verification.

use std::collections::BTreeMap;
use std::fmt;

/// A trail in which nothing is amiss.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each stream by its id.
    pub streams: BTreeMap<String, Stream>,
    /// Facts that cannot be proven, beside the streams' ends.
    pub unproven: Vec<String>,
}

/// Result for one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The first sequence number that is there.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The hash of the last record.
    pub head: String,
    /// The time of the last record.
    pub time: String,
    /// Number of records that the last checkpoint covers that one of the keys signed.
    pub signed: Option<u64>,
    /// Set when the last record is a `stop`. Without it, records may be missing from the end.
    pub is_stopped: bool,
    /// Number of restarts after an end without a `stop`.
    pub restarts: u64,
    /// The first record after the last of these, and the checkpoint that came before it.
    pub restarted: Option<(u64, Option<u64>)>,
    /// Records that retention removed although some sink needed them, as far as it is still said.
    pub lost: u64,
    /// Records that retention removed before their time, for want of room, as far as it is still said.
    pub early: u64,
    /// Records that came once more than they should, as what a sink was brought may.
    pub repeated: u64,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Source and line, from 1; `None` for a missing record.
    pub place: Option<(String, u64)>,
    /// The record, where that can be told.
    pub record: Option<(String, u64)>,
    /// The fault.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((source, line)) = &self.place {
            write!(out, "{source}: line {line}: ")?;
        }
        if let Some((stream, seq)) = &self.record {
            write!(out, "record {}:{seq}: ", stream.escape_debug())?;
        }
        write!(out, "{}", self.message)
    }
}

impl Report {
    /// Returns true if every stream has a clean end and nothing is unproven.
    pub fn is_proven(&self) -> bool {
        self.unproven.is_empty() && self.streams.values().all(|stream| stream.is_stopped)
    }
}
