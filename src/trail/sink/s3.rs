//! A bucket of S3, or of what speaks like it: a stream in pieces, each an object that is never written twice.
//!
//! An object holds the lines `first` to `last` as they are, under `<prefix>/<class>/<stream>/<first>-<last>.jsonl`. What
//! is brought again is found there and compared; what begins like an object that is there goes on after it. So records
//! never lie in two objects. What protects them is the bucket: Object Lock, with a default retention.

mod connect;
mod error;
mod lock;
mod lock_error;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use jiff::SignedDuration;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::unusable_setting::{Requirement, UnusableSetting};
use super::{Batch, BatchLimits, Delivery, Refused, Sink, SinkError};
use error::RecordError;
use lock::Lock;

pub(super) use error::S3Error;

/// Permitted sizes of an object, in bytes.
const SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 20;
/// The largest object that is read for comparison: the largest that is written, and its last line.
const LARGEST: u64 = 80 << 20;
/// More records than an object can hold: a line has two hashes and the stream's id, and more.
const REACH: u64 = LARGEST / 200;
/// The longest that records may wait for more to come.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Endpoint, without the name of the bucket; by default that of AWS in the region.
    endpoint: Option<String>,
    /// The region that requests are signed for.
    #[serde(default = "region")]
    region: String,
    /// The bucket.
    bucket: String,
    /// Prefix of the name of every object.
    #[serde(default)]
    prefix: String,
    /// A file with the access key's id. Without the two, the environment's web identity, or EKS Pod Identity.
    access_key_id_file: Option<PathBuf>,
    /// A file with the access key.
    secret_access_key_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for the endpoint; without them, those that the system trusts.
    ca_file: Option<PathBuf>,
    /// Permits an http:// endpoint.
    #[serde(default)]
    insecure: bool,
    /// Bytes that are gathered for an object, such as 8Mi.
    #[serde(default = "flush_size")]
    flush_size: String,
    /// Maximum time that records wait in the spool for an object to fill, such as 60s.
    #[serde(default = "flush_interval")]
    flush_interval: String,
    /// Object Lock that is required of the bucket.
    #[serde(default)]
    object_lock: ObjectLock,
}

/// Requirement for the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum ObjectLock {
    /// Object Lock, with a default retention.
    #[default]
    Required,
    /// Nothing: whoever may write the bucket may remove the trail.
    Ignore,
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn flush_size() -> String {
    "8Mi".to_owned()
}

fn flush_interval() -> String {
    "60s".to_owned()
}

/// The sink.
pub(super) struct S3 {
    store: AmazonS3,
    /// Set when the last object was too large.
    is_too_large: Arc<AtomicBool>,
    prefix: Path,
    limits: BatchLimits,
    lock: Option<Lock>,
    /// Of each class: whether the bucket held nothing that was still to be brought.
    is_ahead: [bool; 3],
}

/// An object of a stream.
struct Piece {
    first: u64,
    last: u64,
    bytes: u64,
    place: Path,
}

impl Settings {
    /// Refuses settings that cannot work, whatever the files hold.
    pub(super) fn check(&self) -> Result<(), UnusableSetting> {
        self.limits()?;
        self.prefix()?;
        connect::endpoint(self).map(drop)
    }

    fn prefix(&self) -> Result<Path, UnusableSetting> {
        Path::parse(&self.prefix).map_err(|_| UnusableSetting::at("prefix", Requirement::Prefix))
    }

    fn limits(&self) -> Result<BatchLimits, UnusableSetting> {
        let bytes = crate::units::size(&self.flush_size)
            .ok()
            .filter(|bytes| SIZES.contains(bytes))
            .ok_or(UnusableSetting::at("flushSize", Requirement::FlushSize))?;
        let wait = crate::units::duration(&self.flush_interval)
            .ok()
            .filter(|wait| *wait <= LONGEST)
            .and_then(|wait| Duration::try_from(wait).ok())
            .ok_or(UnusableSetting::at("flushInterval", Requirement::FlushInterval))?;
        Ok(BatchLimits { bytes, records: u64::MAX, wait })
    }
}

impl S3 {
    pub(super) async fn open(settings: &Settings) -> Result<Self, S3Error> {
        let (limits, prefix) = (settings.limits()?, settings.prefix()?);
        let connection = connect::open(settings)?;
        let mut lock = match settings.object_lock {
            ObjectLock::Required => Some(Lock::of(&connection, settings)),
            ObjectLock::Ignore => None,
        };
        if let Some(lock) = &mut lock {
            lock.at_start().await?;
        }
        let (store, is_too_large) = (connection.store, connection.is_too_large);
        Ok(Self { store, is_too_large, prefix, limits, lock, is_ahead: [false; 3] })
    }

    async fn put(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        if let Some(lock) = &mut self.lock {
            lock.check().await.map_err(SinkError::of)?;
        }
        let is_ahead = self.is_ahead[batch.class.index()];
        let (pieces, is_ahead) =
            if is_ahead { (Vec::new(), true) } else { self.pieces(batch).await.map_err(SinkError::of)? };
        let mut next = batch.first;
        for piece in &pieces {
            // A piece before this one was removed, or never was.
            if piece.first > next {
                self.create_all(batch, next, piece.first - 1).await?;
            }
            self.compare(batch, piece).await.map_err(SinkError::of)?;
            next = next.max(piece.last.saturating_add(1));
        }
        if next <= batch.last() {
            self.create_all(batch, next, batch.last()).await?;
        }
        self.is_ahead[batch.class.index()] = is_ahead;
        Ok(())
    }

    fn folder(&self, batch: &Batch<'_>) -> Path {
        self.prefix.clone().join(batch.class.as_str()).join(batch.stream)
    }

    /// The objects that hold records of a batch, in order, and whether the bucket has nothing from its first record on.
    async fn pieces(&self, batch: &Batch<'_>) -> Result<(Vec<Piece>, bool), S3Error> {
        let folder = self.folder(batch);
        let offset = folder.clone().join(digits(batch.first.saturating_sub(REACH)));
        let mut found = self.store.list_with_offset(Some(&folder), &offset);
        let (mut pieces, mut is_ahead) = (Vec::new(), true);
        while let Some(object) = found.next().await {
            let object = object?;
            let Some((first, last)) = object.location.filename().and_then(range) else { continue };
            if last < batch.first {
                continue;
            }
            is_ahead = false;
            if first > batch.last() {
                break;
            }
            pieces.push(Piece { first, last, bytes: object.size, place: object.location });
        }
        Ok((pieces, is_ahead))
    }

    /// Puts the records `first` to `last` of a batch where nothing is, in as many objects as it takes.
    async fn create_all(&mut self, batch: &Batch<'_>, first: u64, last: u64) -> Result<(), SinkError> {
        let (mut next, mut end) = (first, last);
        while next <= last {
            self.is_too_large.store(false, Ordering::Relaxed);
            match self.create(batch, next, end).await {
                Ok(()) => (next, end) = (end + 1, last),
                Err(error) if !self.is_too_large.load(Ordering::Relaxed) => return Err(SinkError::of(error)),
                Err(_) if end > next => {
                    let bytes = lines(batch, next, end).iter().map(|line| line.len() as u64).sum::<u64>();
                    self.limits.bytes = (bytes / 2).clamp(*SIZES.start(), self.limits.bytes);
                    // What was put under other numbers may be found the next time.
                    self.is_ahead[batch.class.index()] = false;
                    end = next + (end - next) / 2;
                }
                Err(source) => {
                    let error = RecordError { stream: batch.stream.to_owned(), seq: next, source };
                    return Err(SinkError::refusing(Refused::one(next, true), error));
                }
            }
        }
        Ok(())
    }

    /// Puts the records `first` to `last` of a batch where nothing is.
    async fn create(&self, batch: &Batch<'_>, first: u64, last: u64) -> Result<(), S3Error> {
        let lines = lines(batch, first, last).concat();
        let place = self.folder(batch).join(format!("{}-{}.jsonl", digits(first), digits(last)));
        let attributes = Attributes::from_iter([(Attribute::ContentType, "application/x-ndjson")]);
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        let bytes = lines.len() as u64;
        match self.store.put_opts(&place, lines.into(), options).await {
            Ok(_) => Ok(()),
            // The answer to an earlier attempt was lost.
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.compare(batch, &Piece { first, last, bytes, place }).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that an object holds what a batch has of its records.
    async fn compare(&self, batch: &Batch<'_>, piece: &Piece) -> Result<(), S3Error> {
        let differs = || S3Error::Differs(piece.place.clone());
        if piece.bytes > LARGEST || piece.last < piece.first {
            return Err(differs());
        }
        let found = self.store.get(&piece.place).await?;
        if found.meta.size > LARGEST {
            return Err(differs());
        }
        let found = found.bytes().await?;
        let theirs: Vec<&[u8]> = found.split_inclusive(|byte| *byte == b'\n').collect();
        let is_whole = u64::try_from(theirs.len()).is_ok_and(|count| count == piece.last - piece.first + 1);
        let (from, to) = (piece.first.max(batch.first), piece.last.min(batch.last()));
        let skipped = usize::try_from(from - piece.first).unwrap_or(usize::MAX);
        let mut pairs = theirs.iter().skip(skipped).zip(lines(batch, from, to));
        if is_whole && pairs.all(|(theirs, ours)| *theirs == ours) { Ok(()) } else { Err(differs()) }
    }
}

impl Sink for S3 {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(self.put(batch))
    }

    fn limits(&self) -> BatchLimits {
        self.limits
    }
}

/// The lines of the records `first` to `last` of a batch, each with its newline.
fn lines<'b>(batch: &Batch<'b>, first: u64, last: u64) -> Vec<&'b [u8]> {
    let lines = batch.bytes.split_inclusive(|byte| *byte == b'\n');
    (batch.first..).zip(lines).filter(|(seq, _)| (first..=last).contains(seq)).map(|(_, line)| line).collect()
}

fn digits(seq: u64) -> String {
    format!("{seq:020}")
}

/// The first and the last record of an object, by its name.
fn range(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".jsonl")?.split_once('-')?;
    let read = |text: &str| text.parse().ok().filter(|seq| digits(*seq) == text);
    Some((read(first)?, read(last)?))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn an_object_is_named_after_its_first_and_last_record() {
        assert_eq!(range("00000000000000000007-00000000000000000123.jsonl"), Some((7, 123)));
        for name in [
            "7-123.jsonl",
            "00000000000000000007.jsonl",
            "x",
            "-.jsonl",
            "+0000000000000000007-00000000000000000123.jsonl",
        ] {
            assert_eq!(range(name), None, "{name}");
        }
    }
}
