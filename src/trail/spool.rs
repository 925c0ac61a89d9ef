//! The spool: the trail on a disk of ours, a stream a retention class, each a folder of segments.
//!
//! A segment is removed as a whole, from the front, and only once every sink has taken what is in it; each begins with a
//! checkpoint, and what was removed is a record of its own.

mod aside;
mod clock;
mod error;
mod folder;
mod index;
mod output;
mod retention;
mod share;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::proof::Signer;
use super::proof::checkpoint::{self, Head, Kind};
use super::record::{Class, Record};
use aside::Aside;
use clock::Clock;
use output::claim;
use retention::{LEAPT, Losses};
use share::Shares;
use stream::Stream;

pub use aside::Aside as SetAside;
pub use error::TrailError;
pub use index::{Index, Segment};
pub(super) use output::write;
pub use output::{Output, OutputError};
pub(super) use stream::segments;

/// Interval at which the spool is looked after.
pub(super) const TICK: SignedDuration = SignedDuration::from_secs(1);
/// Records after which a checkpoint is made.
const CHECKPOINT_RECORDS: u64 = 1_024;
/// Time after which one is made of a stream that has grown.
const CHECKPOINT_AGE: SignedDuration = SignedDuration::from_secs(60);
/// Time after which a new segment begins in a stream that has grown.
const SEGMENT_AGE: SignedDuration = SignedDuration::from_hours(1);
/// Bytes that the chain adds to a record, at most.
const LINK: u64 = 256;
/// One part in so many of the spool, a tenth: an unknown caller may take it in any case, and the last tenth is kept from
/// callers that have had theirs.
const SHARE: u64 = 10;

/// Guarantee for a record at the time when the answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// It is on the disk.
    #[default]
    Durable,
    /// It waits in memory to be written, with at most so many others: the answer of a decision without a finding does not
    /// wait for it. What could not be written, or found no place, is counted.
    Buffered,
}

/// Settings of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder.
    pub directory: PathBuf,
    /// The guarantee for each record.
    pub guarantee: Guarantee,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes of all of them.
    pub max_bytes: u64,
    /// Retention of each class, by its position in [`Class::ALL`].
    pub retention: [SignedDuration; 3],
}

/// A record for the spool.
pub(super) struct Item<'b> {
    pub(super) class: Class,
    /// The address of a caller that nobody knows.
    pub(super) source: Option<IpAddr>,
    pub(super) body: &'b [u8],
}

/// The writing end of a spool.
pub struct Spool {
    settings: SpoolSettings,
    streams: [Stream; 3],
    index: Arc<Index>,
    shares: Shares,
    signers: Vec<Signer>,
    /// The classes, by position, in which the newest of several signers has yet to sign.
    unannounced: [bool; 3],
    /// Losses since they were last taken.
    losses: Losses,
    clock: Clock,
    /// By how much the wall clock is too far ahead; nothing where it is believed.
    ahead: Option<SignedDuration>,
    _lock: File,
}

impl Spool {
    /// Opens a spool, or begins one.
    ///
    /// # Errors
    /// When the folder cannot be used, has another writer, or is not a trail.
    pub fn open(settings: SpoolSettings, signer: Option<Signer>) -> Result<Self, OutputError> {
        let root = &settings.directory;
        std::fs::create_dir_all(root)?;
        let lock = lock(root)?;
        let index = Index::new(Aside::open(root, settings.max_bytes)?);
        let is_durable = settings.guarantee == Guarantee::Durable;
        let open = |class| Stream::open(root, class, &index, is_durable);
        let streams = [open(Class::Allow)?, open(Class::Refused)?, open(Class::Access)?];
        folder::sync_folder(root)?;
        let last = Class::ALL.into_iter().filter_map(|class| index.last_time(class)).max();
        let clock = Clock::new(last, root.join(LEAPT).exists(), Timestamp::now(), Instant::now());
        Ok(Self {
            streams,
            index,
            shares: Shares::default(),
            signers: signer.into_iter().collect(),
            unannounced: [false; 3],
            losses: Losses::default(),
            clock,
            ahead: None,
            _lock: lock,
            settings,
        })
    }

    /// Index of the streams and segments.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The guarantee for each record.
    pub fn guarantee(&self) -> Guarantee {
        self.settings.guarantee
    }

    /// Bytes of torn records that were cut off.
    pub fn torn(&self) -> u64 {
        self.streams.iter().map(|stream| stream.torn).sum()
    }

    /// Begins, or continues, every stream; `record` makes the first record out of the bytes that were cut off.
    pub(super) fn start(&mut self, record: impl Fn(u64) -> Vec<u8>) -> io::Result<()> {
        let now = Timestamp::now();
        for stream in &mut self.streams {
            stream.append(&[&record(stream.torn)], now)?;
        }
        // No earlier than what they follow.
        self.checkpoints(Timestamp::now(), |_| true);
        Ok(())
    }

    /// Appends what came together; says of each its sequence number, or why it has none.
    pub(super) fn append(&mut self, items: &[Item<'_>], now: Timestamp) -> Vec<Result<u64, TrailError>> {
        let mut results = vec![Err(TrailError::Closed); items.len()];
        for class in Class::ALL {
            let mut places: Vec<usize> = (0..items.len()).filter(|place| items[*place].class == class).collect();
            if places.is_empty() {
                continue;
            }
            let bytes = |place: usize| items[place].body.len() as u64 + LINK;
            places.retain(|place| {
                let has_room = items[*place].source.is_none_or(|source| self.has_room(source, bytes(*place), now));
                if !has_room {
                    results[*place] = Err(TrailError::Share);
                }
                has_room
            });
            let wanted: u64 = places.iter().map(|place| bytes(*place)).sum();
            self.prepare(class, now);
            let may_lose = self.settings.guarantee == Guarantee::Buffered;
            while self.index.bytes() + wanted > self.settings.max_bytes && self.make_room(may_lose, now) {}
            if self.index.bytes() + wanted > self.settings.max_bytes {
                refuse(&mut results, places, &TrailError::Full);
                continue;
            }
            let bodies: Vec<&[u8]> = places.iter().map(|place| items[*place].body).collect();
            let stream = &mut self.streams[class.index()];
            match stream.append(&bodies, now) {
                Ok(first) => {
                    stream.has_events();
                    let segment = stream.begins();
                    for (place, seq) in places.into_iter().zip(first..) {
                        if let Some(source) = items[place].source {
                            self.shares.take(source, bytes(place), class, segment);
                        }
                        results[place] = Ok(seq);
                    }
                }
                Err(error) => {
                    refuse(&mut results, places, &TrailError::Output(error.to_string()));
                }
            }
        }
        self.checkpoints(now, |stream| stream.since >= CHECKPOINT_RECORDS);
        results
    }

    /// The id of one of a class's records.
    pub(super) fn id(&self, class: Class, seq: u64) -> String {
        self.streams[class.index()].chain.id(seq)
    }

    /// Periodic work: checkpoints, retention, and writing to the disk.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.tell_aside(now);
        self.checkpoints(now, |stream| stream.since > 0 && now.duration_since(stream.checked) >= CHECKPOINT_AGE);
        let is_believed = self.believes(now, Instant::now());
        if is_believed {
            self.index.aside().expire(&self.settings.retention, now);
        }
        for class in Class::ALL {
            self.prepare(class, now);
            if is_believed {
                self.expire(class, now);
            }
            if let Err(error) = self.streams[class.index()].sync() {
                tracing::error!(%error, class = class.as_str(), "the spool could not be synced to the disk");
            }
        }
    }

    /// Another key signs from now on. The next checkpoint of each stream carries both signatures.
    pub(super) fn sign_with(&mut self, signer: Signer) {
        self.signers.push(signer);
        self.unannounced = [self.signers.len() > 1; 3];
        self.checkpoints(Timestamp::now(), |_| true);
    }

    /// The clean end, of every stream that can have one.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        let time = Timestamp::now();
        self.tell_aside(time);
        for stream in &mut self.streams {
            stream.sync()?;
        }
        let ended = Class::ALL.map(|class| {
            let note = self.note(class, Kind::Stop, time);
            let body = Record::Stop { time, note: Some(&note) }.to_bytes();
            let stream = &mut self.streams[class.index()];
            stream.append(&[&body], time).and_then(|_| stream.sync())
        });
        ended.into_iter().collect()
    }

    /// Takes the losses since the last call.
    pub(super) fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// By how much the wall clock is too far ahead for anything to be removed by its age.
    pub(super) fn ahead(&self) -> Option<SignedDuration> {
        self.ahead
    }

    /// Tells of what was set aside, in the stream that it is of.
    fn tell_aside(&mut self, now: Timestamp) {
        let index = Arc::clone(&self.index);
        for entry in index.aside().untold() {
            let body = Record::SetAside {
                time: now,
                sink: &entry.sink,
                refused: entry.seq,
                bytes: entry.bytes,
                why: &entry.why,
            };
            let stream = &mut self.streams[entry.class.index()];
            match stream.append(&[&body.to_bytes()], now) {
                Ok(_) => index.aside().told(&entry),
                Err(error) => {
                    tracing::error!(%error, "the notice of a record that was set aside could not be recorded");
                    break;
                }
            }
        }
    }

    /// Begins a segment where one is due. What is kept for a short time must not wait long to be whole.
    fn prepare(&mut self, class: Class, now: Timestamp) {
        let stream = &mut self.streams[class.index()];
        let age = self.settings.retention[class.index()].clamp(TICK, SEGMENT_AGE);
        if stream.is_due(self.settings.segment_bytes, age, now) {
            match stream.roll(now) {
                Ok(()) => self.checkpoints(now, |_| true),
                Err(error) => tracing::error!(%error, class = class.as_str(), "no new segment could be begun"),
            }
        }
    }

    /// Returns true if an unknown caller may take `bytes` more. One that has had its share still gets what the spool can
    /// spare: all but the last part of it, once what every sink has taken is gone. An API server without a certificate is such
    /// a caller too.
    fn has_room(&mut self, source: IpAddr, bytes: u64, now: Timestamp) -> bool {
        let share = self.settings.max_bytes / SHARE;
        if self.shares.has_room(source, bytes, share) {
            return true;
        }
        let most = self.settings.max_bytes - share;
        while self.index.bytes() + bytes > most && self.make_room(false, now) {}
        self.index.bytes() + bytes <= most
    }

    /// All streams get a checkpoint when one is due: each says of the others how far they had come, so that one alone
    /// cannot be cut back unseen.
    fn checkpoints(&mut self, now: Timestamp, is_due: impl Fn(&Stream) -> bool) {
        if self.streams.iter().any(is_due) {
            for class in Class::ALL {
                self.checkpoint(class, now);
            }
        }
    }

    fn checkpoint(&mut self, class: Class, now: Timestamp) {
        if let Err(error) = self.write_checkpoint(class, now) {
            tracing::error!(%error, class = class.as_str(), "no checkpoint could be written");
            return;
        }
        self.unannounced[class.index()] = false;
        if self.unannounced == [false; 3] {
            self.signers.drain(..self.signers.len().saturating_sub(1));
        }
    }

    fn write_checkpoint(&mut self, class: Class, now: Timestamp) -> io::Result<()> {
        // A crash must not take what a checkpoint that stays says of the other streams.
        for stream in &mut self.streams {
            stream.sync()?;
        }
        let note = self.note(class, Kind::Checkpoint, now);
        let body = Record::Checkpoint { time: now, note: &note }.to_bytes();
        let stream = &mut self.streams[class.index()];
        stream.append(&[&body], now)?;
        (stream.since, stream.checked) = (0, now);
        Ok(())
    }

    fn note(&self, class: Class, kind: Kind, now: Timestamp) -> String {
        let head = |stream: &Stream| Head {
            stream: stream.chain.stream.clone(),
            size: stream.chain.next,
            hash: stream.chain.prev.clone(),
        };
        let siblings: Vec<Head> = self.streams.iter().filter(|other| other.class != class).map(head).collect();
        let signers: Vec<&Signer> = self.signers.iter().collect();
        checkpoint::note(&head(&self.streams[class.index()]), kind, class, now, &siblings, &signers)
    }
}

fn refuse(results: &mut [Result<u64, TrailError>], places: Vec<usize>, error: &TrailError) {
    for place in places {
        results[place] = Err(error.clone());
    }
}

/// Held for as long as the spool is open.
fn lock(root: &Path) -> Result<File, OutputError> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(root.join("lock"))?;
    claim(&file, root)?;
    Ok(file)
}
