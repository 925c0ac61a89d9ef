//! One stream of the spool: a folder of segments, the last of which grows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::chain::{self, Chain};
use super::super::class::Class;
use super::super::output::{OutputError, new_id};
use super::super::verify::Link;
use super::index::{Index, Segment};
use crate::digest::sha256;

/// Digits of the sequence number that names a segment.
const NAME: usize = 20;
/// The file that holds the stream's id.
const IDENTITY: &str = "stream";

/// The writing end of a stream.
pub(super) struct Stream {
    pub(super) class: Class,
    pub(super) chain: Chain,
    /// Records since the last checkpoint, that one not counted.
    pub(super) since: u64,
    /// When the last checkpoint was made.
    pub(super) checked: Timestamp,
    /// Bytes of a torn end that were cut off when it was opened.
    pub(super) torn: u64,
    folder: PathBuf,
    active: Active,
    index: Arc<Index>,
    is_durable: bool,
}

/// The segment that grows.
struct Active {
    file: File,
    first: u64,
    /// Bytes of whole lines.
    length: u64,
    opened: Timestamp,
    /// Whether there is more in the file than that.
    is_torn: bool,
    /// Whether something was written that is not known to be on the disk.
    is_dirty: bool,
}

impl Stream {
    /// Opens the stream of a class below `root`, or begins it. What a crash left of a line is cut off.
    pub(super) fn open(root: &Path, class: Class, index: &Arc<Index>, is_durable: bool) -> Result<Self, OutputError> {
        let folder = root.join(class.as_str());
        std::fs::create_dir_all(&folder)?;
        let id = identity(&folder)?;
        let mut segments = segments(&folder)?;
        let (mut chain, mut torn) = (Chain::new(id.clone()), 0);
        // A crash may leave a segment that has no line yet.
        while let Some(last) = segments.last() {
            let end = recover(last, &id)?;
            torn += end.torn;
            if let Some(found) = end.chain {
                chain = found;
                break;
            }
            if end.torn > 0 {
                tracing::warn!(file = %last.1.display(), bytes = end.torn, "a segment held no whole line, and is removed");
            }
            std::fs::remove_file(&last.1)?;
            segments.pop();
        }
        if segments.is_empty() {
            segments.push((0, create(&folder, 0)?));
        }
        let now = Timestamp::now();
        let mut shelved = Vec::new();
        for (position, (first, path)) in segments.iter().enumerate() {
            let end = segments.get(position + 1).map_or(chain.next, |(first, _)| *first);
            let metadata = std::fs::metadata(path)?;
            let newest = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(now);
            shelved.push(Segment { path: path.clone(), first: *first, end, bytes: metadata.len(), newest });
        }
        let (first, path) = segments.pop().unwrap_or_default();
        let file = OpenOptions::new().append(true).open(&path)?;
        let length = file.metadata()?.len();
        sync_folder(&folder)?;
        index.update(class, |shelf| {
            shelf.stream = id;
            shelf.segments = shelved.into();
        });
        let active = Active { file, first, length, opened: now, is_torn: false, is_dirty: false };
        let index = Arc::clone(index);
        Ok(Self { class, chain, since: 0, checked: now, torn, folder, active, index, is_durable })
    }

    /// Whether the growing segment is full or old enough for the next one to begin.
    pub(super) fn is_due(&self, bytes: u64, age: jiff::SignedDuration, now: Timestamp) -> bool {
        self.chain.next > self.active.first
            && (self.active.length >= bytes || now.duration_since(self.active.opened) >= age)
    }

    /// Begins the next segment.
    pub(super) fn roll(&mut self, now: Timestamp) -> io::Result<()> {
        self.sync()?;
        let first = self.chain.next;
        let path = create(&self.folder, first)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        sync_folder(&self.folder)?;
        self.active = Active { file, first, length: 0, opened: now, is_torn: false, is_dirty: false };
        self.index.update(self.class, |shelf| {
            shelf.segments.push_back(Segment { path, first, end: first, bytes: 0, newest: now });
        });
        Ok(())
    }

    /// Appends a line for each body, and the id of each to `ids`: all of them, or none.
    pub(super) fn append(&mut self, bodies: &[&[u8]], ids: &mut Vec<String>, now: Timestamp) -> io::Result<u64> {
        self.active.recover()?;
        let mut chain = self.chain.clone();
        let mut lines = Vec::with_capacity(bodies.iter().map(|body| body.len() + 256).sum());
        let before = ids.len();
        ids.extend(bodies.iter().map(|body| chain.seal(body, &mut lines)));
        let written =
            self.active.write(&lines).and_then(|()| if self.is_durable { self.active.sync() } else { Ok(()) });
        if let Err(error) = written {
            ids.truncate(before);
            self.active.cut_off();
            return Err(error);
        }
        self.active.length += lines.len() as u64;
        self.since += chain.next - self.chain.next;
        self.chain = chain;
        let (end, bytes) = (self.chain.next, self.active.length);
        self.index.update(self.class, |shelf| {
            if let Some(last) = shelf.segments.back_mut() {
                (last.end, last.bytes, last.newest) = (end, bytes, now);
            }
        });
        Ok(lines.len() as u64)
    }

    /// Sees to it that what was written is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.active.sync()
    }

    /// The segments that no longer grow, the oldest first.
    pub(super) fn finished(&self) -> Vec<Segment> {
        let mut segments = self.index.segments(self.class);
        segments.pop();
        segments
    }

    /// Removes the oldest segments, up to the one that begins with `first`.
    pub(super) fn remove_before(&mut self, first: u64) -> io::Result<()> {
        for segment in self.finished().into_iter().filter(|segment| segment.first < first) {
            match std::fs::remove_file(&segment.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.index.update(self.class, |shelf| shelf.segments.retain(|other| other.first != segment.first));
        }
        sync_folder(&self.folder)
    }
}

impl Active {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.is_dirty = true;
        self.file.write_all(lines)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Part of a line must not stay before the next one.
    fn cut_off(&mut self) {
        self.is_torn = self.file.set_len(self.length).is_err();
    }

    /// Ends what an earlier failure left half done.
    fn recover(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

/// The id of a folder's stream, made with the folder.
fn identity(folder: &Path) -> Result<String, OutputError> {
    let file = folder.join(IDENTITY);
    match std::fs::read_to_string(&file) {
        Ok(id) if id.len() == 17 && id.ends_with('\n') => return Ok(id.trim_end().to_owned()),
        // Nothing was written under an id that is not whole.
        Ok(_) if segments(folder)?.is_empty() => {}
        Ok(_) => return Err(OutputError::Foreign { file, line: 1 }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let id = new_id()?;
    let mut made = File::create(&file)?;
    made.write_all(format!("{id}\n").as_bytes())?;
    made.sync_all()?;
    sync_folder(folder)?;
    Ok(id)
}

/// The segments of a folder, by their first record.
pub(in super::super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == NAME);
        let is_segment = path.extension().is_some_and(|ending| ending == "jsonl");
        if let Some(first) = stem.filter(|_| is_segment).and_then(|stem| stem.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

fn create(folder: &Path, first: u64) -> io::Result<PathBuf> {
    let path = folder.join(format!("{first:0NAME$}.jsonl"));
    OpenOptions::new().append(true).create(true).open(&path)?;
    Ok(path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Where a segment ends.
struct End {
    /// The chain after its last line; nothing where it has none.
    chain: Option<Chain>,
    torn: u64,
}

/// Reads the last segment, and cuts off what a crash left of lines that nobody was told of.
fn recover((first, path): &(u64, PathBuf), stream: &str) -> Result<End, OutputError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut reader = BufReader::new(&file);
    let (mut chain, mut length, mut number, mut line): (Option<Chain>, u64, u64, Vec<u8>) = (None, 0, 0, Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        let due = chain.as_ref().map_or(*first, |chain| chain.next);
        let Some(hash) = whole(&line, stream, due, chain.as_ref()) else {
            refuse_foreign(&mut reader, path, number, &line)?;
            break;
        };
        length += line.len() as u64;
        chain = Some(Chain::after(stream.to_owned(), due, hash));
    }
    let torn = file.metadata()?.len() - length;
    if torn > 0 {
        tracing::warn!(file = %path.display(), bytes = torn, "the trail ended in part of a record, which is cut off");
        file.set_len(length)?;
        file.sync_all()?;
    }
    Ok(End { chain, torn })
}

/// The hash of a line, if it is the one that is due.
fn whole(line: &[u8], stream: &str, due: u64, before: Option<&Chain>) -> Option<String> {
    let (covered, hash) = chain::open(line.strip_suffix(b"\n")?)?;
    let link: Link = serde_json::from_slice(line).ok()?;
    let follows = before.is_none_or(|before| before.prev == link.prev);
    let is_due = link.stream == stream && link.seq == due && follows && sha256(covered) == hash;
    is_due.then(|| hash.to_owned())
}

/// A crash tears the end. Records that come after what is not one were not left by a crash.
fn refuse_foreign(reader: &mut impl BufRead, path: &Path, number: u64, first: &[u8]) -> Result<(), OutputError> {
    let foreign = || OutputError::Foreign { file: path.to_owned(), line: number };
    let is_record = |line: &[u8]| {
        let opened = line.strip_suffix(b"\n").and_then(chain::open);
        opened.is_some_and(|(covered, hash)| sha256(covered) == hash)
    };
    if is_record(first) {
        return Err(foreign());
    }
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if is_record(&line) {
            return Err(foreign());
        }
        line.clear();
    }
    Ok(())
}
