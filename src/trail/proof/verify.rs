//! Verification of a trail: the first altered record, and a list of what cannot be proven.

mod checkpoint_fault;
mod report;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use super::chain::{self, Chain};
use super::checkpoint::{self, Head};
use super::key::Verifier;
use super::link::Link;
use crate::digest::{sha256, unhex};
use checkpoint_fault::CheckpointFault;

pub use report::{Fault, Report, Stream};

/// The longest line that is read, in bytes.
const LINE: usize = 16 << 20;
/// Bytes of a hash that are kept of each record, for what sibling streams say of it later.
const KEPT: usize = 16;

/// Reads a trail, in as many parts as it has.
#[derive(Default)]
pub struct Verification {
    keys: Vec<Verifier>,
    streams: BTreeMap<String, Seen>,
    /// Claims of checkpoints about sibling streams, each with the checkpoint's record.
    claims: Vec<(Head, String, u64)>,
    /// The first record of each stream that whoever keeps the trail did not remove.
    forgotten: BTreeMap<String, u64>,
    /// Records that the owner dropped from the middle of a stream.
    gaps: Vec<String>,
    /// Set while records are read that were written while the rest was read.
    is_catching_up: bool,
    /// Set when the input is a sink's copy, delivered at least once.
    is_copy: bool,
}

/// State of a stream that is verified.
struct Seen {
    chain: Chain,
    stream: Stream,
    /// The beginning of each record's hash, from the first on.
    hashes: Vec<[u8; KEPT]>,
    /// The first record that is still there, as the stream itself says.
    kept_from: u64,
    /// The same, as far as a signed checkpoint covers it.
    kept_signed: u64,
    /// The last checkpoint; where there are keys, that one of them signed.
    checked: Option<u64>,
}

/// Reads one trail to its end. Nothing is known of what should be there beside it.
///
/// # Errors
/// When it cannot be read.
pub fn verify(input: impl BufRead) -> io::Result<Result<Report, Fault>> {
    let mut verification = Verification::default();
    Ok(match verification.read("-", input, &mut 0)? {
        Ok(()) => verification.finish(false),
        Err(fault) => Err(fault),
    })
}

type Broken = (Option<(String, u64)>, String);

impl Verification {
    /// One that trusts checkpoints signed by one of `keys`.
    pub fn with_keys(keys: Vec<Verifier>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Treats the input as a sink's copy: a record may come again, as it was.
    pub fn copied(&mut self) {
        self.is_copy = true;
    }

    /// Reads on with records that were written while the rest was read. If checkpoints name records that were not read,
    /// those may have come later still.
    pub fn catch_up(&mut self) {
        self.is_catching_up = true;
    }

    /// Reads the next part, to its end or the first record that was changed, removed, inserted or moved. `line` is the
    /// number of the last line of it that was read before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, source: &str, mut input: impl BufRead, line: &mut u64) -> io::Result<Result<(), Fault>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if io::Read::take(&mut input, LINE as u64).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(Ok(()));
            }
            *line += 1;
            if let Err((record, message)) = self.next(&bytes) {
                return Ok(Err(Fault { place: Some((source.to_owned(), *line)), record, message }));
            }
        }
    }

    /// Takes the next record, read elsewhere: a line without its newline.
    ///
    /// # Errors
    /// [`Fault`] when it is not the one that was written there.
    pub fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        let line = [line, b"\n"].concat();
        self.next(&line).map_err(|(record, message)| Fault { place: None, record, message })
    }

    /// Whoever keeps the trail says that records of a stream before `next` were removed in order. Nothing proves it.
    pub fn forgotten(&mut self, stream: String, next: u64) {
        self.forgotten.insert(stream, next);
    }

    /// Returns true if everything was read that checkpoints name. Streams that are delivered one by one may lag.
    pub fn is_settled(&self) -> bool {
        let is_read = |head: &Head| {
            let seen = self.streams.get(&head.stream).is_some_and(|seen| head.size <= seen.chain.next);
            seen || self.is_forgotten(&head.stream, head.size)
        };
        self.claims.iter().all(|(head, ..)| is_read(head))
    }

    fn is_forgotten(&self, stream: &str, size: u64) -> bool {
        size <= self.forgotten.get(stream).copied().unwrap_or_default()
    }

    /// Says what was found. `is_whole`: all streams should be here, from the beginning that retention left them.
    ///
    /// # Errors
    /// [`Fault`] for what is not there although the rest says that it was.
    pub fn finish(self, is_whole: bool) -> Result<Report, Fault> {
        let mut report = Report { unproven: self.gaps.clone(), ..Report::default() };
        for (id, seen) in &self.streams {
            if seen.stream.first > seen.kept_from {
                let (from, to) = (seen.kept_from, seen.stream.first - 1);
                let message = format!("records {from} to {to} are missing from the front of stream {id}");
                if self.is_forgotten(id, seen.stream.first) {
                    report.unproven.push(format!("{message}: the database says that its owner dropped them"));
                    continue;
                }
                if is_whole {
                    let message = format!("{message}, and no retention record says that they were removed");
                    return Err(Fault { place: None, record: Some((id.clone(), from)), message });
                }
                report.unproven.push(message);
            } else if seen.stream.first > seen.kept_signed && !self.keys.is_empty() {
                let first = seen.stream.first;
                report.unproven.push(format!(
                    "stream {id} begins with record {first}: nobody signed that retention removed those before it"
                ));
            }
        }
        for stream in self.forgotten.keys().filter(|stream| !self.streams.contains_key(*stream)) {
            report.unproven.push(format!("stream {stream} is not here: the database says that its owner dropped it"));
        }
        for (head, by, at) in &self.claims {
            let Some((message, is_certain)) = self.contradiction(head, by, *at) else { continue };
            if is_whole || is_certain {
                let record = Some((head.stream.clone(), head.size.saturating_sub(1)));
                return Err(Fault { place: None, record, message });
            }
            if !report.unproven.contains(&message) {
                report.unproven.push(message);
            }
        }
        for (id, seen) in self.streams {
            let stream = seen.stream;
            let covered = stream.signed.unwrap_or_default();
            if !stream.is_stopped {
                report.unproven.push(match stream.signed {
                    Some(_) => format!("stream {id} has no stop record: whatever came after record {covered} may have been removed or replaced"),
                    None => format!("stream {id} has no stop record: records may be missing from its end"),
                });
            }
            if !self.keys.is_empty() && stream.signed.is_none() {
                report.unproven.push(format!("stream {id} has no checkpoint that one of the keys signed"));
            } else if !self.keys.is_empty() && stream.is_stopped && stream.signed != Some(stream.last) {
                report.unproven.push(format!("stream {id} ends with a stop record that nobody signed"));
            }
            report.streams.insert(id, stream);
        }
        Ok(report)
    }

    /// A false claim of a checkpoint about a sibling stream, and true if a record itself contradicts it.
    fn contradiction(&self, head: &Head, by: &str, at: u64) -> Option<(String, bool)> {
        let Head { stream, size, hash } = head;
        let last = size.checked_sub(1)?;
        let Some(seen) = self.streams.get(stream) else {
            if self.is_forgotten(stream, *size) {
                return None;
            }
            let message =
                format!("stream {stream} is not here; the checkpoint {by}:{at} says that it had {size} records");
            return Some((message, false));
        };
        if last < seen.stream.first {
            return None;
        }
        let Some(found) = seen.hashes.get(usize::try_from(last - seen.stream.first).unwrap_or(usize::MAX)) else {
            let message = format!(
                "records {} to {last} are missing from the end of stream {stream}: the checkpoint {by}:{at} says that they were there",
                seen.stream.last + 1
            );
            return Some((message, false));
        };
        let message = || format!("was replaced: the checkpoint {by}:{at} says that its hash was {hash}");
        (*found != kept(hash)).then(|| (message(), true))
    }

    fn next(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let broken = |message: &str| (None, message.to_owned());
        let Some(line) = bytes.strip_suffix(b"\n") else {
            return Err(broken("is not whole: the last line was cut off"));
        };
        let (covered, hash) = chain::open(line).ok_or_else(|| broken("is not a record of a trail"))?;
        let link: Link = serde_json::from_slice(line).map_err(|_| broken("is not a record of a trail"))?;
        let known = self.streams.get(&link.stream);
        let is_new = known.is_none();
        if sha256(covered) != hash {
            // What it says of itself may be what was changed.
            let record = known.filter(|seen| seen.chain.next == link.seq).map(|_| (link.stream, link.seq));
            return Err((record, "was changed: its hash does not fit its bytes".to_owned()));
        }
        let broken = |message: String| (Some((link.stream.clone(), link.seq)), message);
        if is_new && link.seq == 0 && !link.is("start") {
            return Err(broken("begins a stream without a start record: it was inserted or replaced".to_owned()));
        }
        let seen = self.streams.entry(link.stream.clone()).or_insert_with(|| Seen::from(&link));
        let expected = &seen.chain;
        if link.seq < expected.next {
            if self.is_copy && seen.has(link.seq, hash) {
                seen.stream.repeated += 1;
                return Ok(());
            }
            return Err(broken(format!("was repeated or moved: record {} was due", expected.next)));
        }
        if link.seq > expected.next && self.forgotten.get(&link.stream).is_some_and(|next| link.seq <= *next) {
            // A day that its owner dropped took it: a record of that day may come after one of the next.
            self.gaps.push(format!(
                "records {} to {} of stream {} are not here: the database says that its owner dropped them",
                expected.next,
                link.seq - 1,
                link.stream
            ));
            seen.begin_anew(&link);
        }
        let expected = &seen.chain;
        if link.seq > expected.next {
            let missing = link.seq - expected.next;
            return Err(broken(format!(
                "comes too early: {missing} record(s) from {} on were removed or moved",
                expected.next
            )));
        }
        if link.prev != expected.prev {
            return Err(broken("does not follow the record before it: one of the two was replaced".to_owned()));
        }
        if seen.stream.is_stopped && !link.is("start") {
            return Err(broken("comes after a clean end, and no start record before it: it was added".to_owned()));
        }
        if link.is("start") && !seen.stream.is_stopped && link.seq > seen.stream.first {
            seen.stream.restarts += 1;
            seen.stream.restarted = Some((link.seq, seen.checked));
        }
        if link.is("checkpoint") || link.is("stop") {
            let siblings = seen.check(&link, covered, &self.keys).map_err(|fault| broken(fault.to_string()))?;
            if !self.is_catching_up {
                self.claims.extend(siblings.into_iter().map(|head| (head, link.stream.clone(), link.seq)));
            }
        }
        if link.is("retention") {
            seen.kept_from = seen.kept_from.max(link.first.unwrap_or_default());
            seen.stream.lost += link.lost.unwrap_or_default();
            seen.stream.early += link.early.unwrap_or_default();
        }
        seen.stream.last = link.seq;
        hash.clone_into(&mut seen.stream.head);
        seen.stream.is_stopped = link.is("stop");
        seen.stream.time = link.time.unwrap_or_default();
        seen.hashes.push(kept(hash));
        seen.chain = Chain::after(link.stream, link.seq, hash.to_owned());
        Ok(())
    }
}

impl Seen {
    fn from(link: &Link) -> Self {
        let mut chain = Chain::new(link.stream.clone());
        // What comes before is not here; what it was, `prev` says.
        if link.seq > 0 {
            (chain.next, chain.prev) = (link.seq, link.prev.clone());
        }
        let stream = Stream { first: link.seq, ..Stream::default() };
        Self { chain, stream, hashes: Vec::new(), kept_from: 0, kept_signed: 0, checked: None }
    }

    /// Begins anew with a record, after those before it were removed.
    fn begin_anew(&mut self, link: &Link) {
        (self.chain.next, self.chain.prev) = (link.seq, link.prev.clone());
        self.stream.first = link.seq;
        self.hashes.clear();
    }

    /// Returns true if the same record was read before.
    fn has(&self, seq: u64, hash: &str) -> bool {
        let place = seq.checked_sub(self.stream.first).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.hashes.get(place)).is_some_and(|found| *found == kept(hash))
    }

    /// Takes a checkpoint; hands out what it says of its siblings.
    fn check(&mut self, link: &Link, covered: &[u8], keys: &[Verifier]) -> Result<Vec<Head>, CheckpointFault> {
        // From before there was a key, or from a trail without checkpoints.
        let unsigned = match self.stream.signed {
            Some(_) => Err(CheckpointFault::Unsigned),
            None => Ok(Vec::new()),
        };
        let Some(note) = &link.note else { return unsigned };
        let statement = checkpoint::read(note).ok_or(CheckpointFault::Unreadable)?;
        let head = Head { stream: link.stream.clone(), size: link.seq, hash: link.prev.clone() };
        if statement.head != head {
            return Err(CheckpointFault::OtherRecords);
        }
        // Else a checkpoint could be made a clean end, under the same signature.
        if covered != [self.chain.begin().as_slice(), statement.body(note).as_bytes()].concat() {
            return Err(CheckpointFault::OtherBody);
        }
        if keys.is_empty() {
            self.checked = Some(link.seq);
            return Ok(statement.siblings);
        }
        if checkpoint::is_signed(note, keys) {
            (self.checked, self.stream.signed) = (Some(link.seq), Some(link.seq));
            self.kept_signed = self.kept_from;
            return Ok(statement.siblings);
        }
        let signatures = checkpoint::signatures(note);
        if let Some(forged) = signatures.iter().find(|signature| keys.iter().any(|key| signature.is_by(key))) {
            return Err(CheckpointFault::Forged(forged.to_string()));
        }
        if signatures.is_empty() {
            return unsigned;
        }
        let signers = signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        Err(CheckpointFault::UnknownKey(signers))
    }
}

fn kept(hash: &str) -> [u8; KEPT] {
    let mut bytes = [0; KEPT];
    bytes.iter_mut().zip(unhex(hash)).for_each(|(byte, read)| *byte = read);
    bytes
}
