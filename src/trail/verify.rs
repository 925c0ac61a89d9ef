//! Whether a trail is what was written.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde::Deserialize;

use super::chain::{self, Chain};
use crate::digest::sha256;

/// The longest line that is read, in bytes.
const LINE: usize = 16 << 20;

/// The fields of a line that bind it into its stream.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) stream: String,
    pub(super) seq: u64,
    prev: String,
    record: Option<String>,
}

/// A trail that is whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each stream by its id.
    pub streams: BTreeMap<String, Stream>,
}

/// What was found of one stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// Records, the framing ones included.
    pub records: u64,
    /// The last sequence number.
    pub last: u64,
    /// The hash of the last record.
    pub head: String,
    /// Whether the last record is a `stop`. Without it, records may be missing from the end.
    pub is_stopped: bool,
}

/// The first record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tampered {
    /// The line, from 1.
    pub line: u64,
    /// The record, where the line still says which.
    pub record: Option<(String, u64)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Tampered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}", self.line)?;
        if let Some((stream, seq)) = &self.record {
            write!(out, " (record {}:{seq})", stream.escape_debug())?;
        }
        write!(out, ": {}", self.message)
    }
}

/// Reads a trail to its end, or to the first record that was changed, removed, inserted or moved.
///
/// # Errors
/// When it cannot be read.
pub fn verify(mut input: impl BufRead) -> io::Result<Result<Report, Tampered>> {
    let mut report = Report::default();
    let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = io::Read::take(&mut input, LINE as u64).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if let Err((record, message)) = next(&bytes, &mut chains, &mut report) {
            return Ok(Err(Tampered { line, record, message }));
        }
    }
    Ok(Ok(report))
}

type Fault = (Option<(String, u64)>, String);

fn next(bytes: &[u8], chains: &mut BTreeMap<String, Chain>, report: &mut Report) -> Result<(), Fault> {
    let fault = |message: &str| (None, message.to_owned());
    let Some(line) = bytes.strip_suffix(b"\n") else {
        return Err(fault("is not whole: the last line was cut off"));
    };
    let (covered, hash) = chain::open(line).ok_or_else(|| fault("is no record of a trail"))?;
    let link: Link = serde_json::from_slice(line).map_err(|_| fault("is no record of a trail"))?;
    let fault = |message: String| (Some((link.stream.clone(), link.seq)), message);
    if sha256(covered) != hash {
        return Err(fault("was changed: its hash does not fit its bytes".to_owned()));
    }
    let expected = match chains.get(&link.stream) {
        Some(chain) => chain.clone(),
        None if link.record.as_deref() == Some("start") => Chain::new(link.stream.clone()),
        None => {
            return Err(fault("begins a stream without a start record: the records before it were removed".to_owned()));
        }
    };
    if link.seq < expected.next {
        return Err(fault(format!("was repeated or moved: record {} was due", expected.next)));
    }
    if link.seq > expected.next {
        let missing = link.seq - expected.next;
        return Err(fault(format!(
            "comes too early: {missing} record(s) from {} on were removed or moved",
            expected.next
        )));
    }
    if link.prev != expected.prev {
        return Err(fault("does not follow the record before it: one of the two was replaced".to_owned()));
    }
    let stream = report.streams.entry(link.stream.clone()).or_insert_with(|| Stream {
        records: 0,
        last: 0,
        head: String::new(),
        is_stopped: false,
    });
    stream.records += 1;
    stream.last = link.seq;
    hash.clone_into(&mut stream.head);
    stream.is_stopped = link.record.as_deref() == Some("stop");
    chains.insert(link.stream.clone(), Chain::after(link.stream, link.seq, hash.to_owned()));
    Ok(())
}
