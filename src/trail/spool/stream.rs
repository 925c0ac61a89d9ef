//! One stream of the spool: a folder of segments, the last of which grows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::folder::sync_folder;
use super::index::{Index, Segment, StreamIndex};
use super::output::{OutputError, new_id};
use crate::digest::sha256;
use crate::trail::proof::{Chain, Link, chain};
use crate::trail::record::Class;

/// Digits of the sequence number that names a segment.
const NAME: usize = 20;
/// Bytes at the end of a segment in which its last record is looked for first.
const TAIL: u64 = 16 << 10;
/// The file that holds the stream's id.
const IDENTITY: &str = "stream";

/// The writing end of a stream.
pub(super) struct Stream {
    pub(super) class: Class,
    pub(super) chain: Chain,
    /// Records since the last checkpoint, that one not counted.
    pub(super) since: u64,
    /// Time of the last checkpoint.
    pub(super) checked: Timestamp,
    /// Bytes of a torn end that were cut off when it was opened.
    pub(super) torn: u64,
    folder: PathBuf,
    active: ActiveFile,
    index: Arc<Index>,
    is_durable: bool,
}

/// The segment that grows.
struct ActiveFile {
    file: File,
    first: u64,
    /// Bytes of whole lines.
    length: u64,
    opened: Timestamp,
    /// Set when it holds anything but records of the stream itself.
    has_events: bool,
    /// Set while the file holds more bytes than that.
    is_torn: bool,
    /// Set while something written is not known to be on the disk.
    is_dirty: bool,
    /// Time of the last write.
    newest: Timestamp,
}

impl Stream {
    /// Opens the stream of a class below `root`, or begins it. What a crash left of a line is cut off.
    pub(super) fn open(root: &Path, class: Class, index: &Arc<Index>, is_durable: bool) -> Result<Self, OutputError> {
        let folder = root.join(class.as_str());
        std::fs::create_dir_all(&folder)?;
        let mut segments = segments(&folder)?;
        let id = identity(&folder, &segments)?;
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
        // Neither does one that could not be made whole when it was begun.
        while let Some(place) = segments.iter().position(|(_, path)| is_empty(path)) {
            std::fs::remove_file(segments.remove(place).1)?;
        }
        if segments.is_empty() {
            segments.push((0, create(&folder, 0)?));
        }
        let now = Timestamp::now();
        let mut shelved = Vec::new();
        for (position, (first, path)) in segments.iter().enumerate() {
            let end = segments.get(position + 1).map_or(chain.next, |(first, _)| *first);
            let bytes = std::fs::metadata(path)?.len();
            // As the last record says: the file's own time is anybody's to set.
            let newest = newest(path, bytes)?.map_or(now, |newest| newest.min(now));
            shelved.push(Segment { path: path.clone(), first: *first, end, bytes, newest });
        }
        let (first, path) = segments.pop().unwrap_or_default();
        let file = OpenOptions::new().append(true).open(&path)?;
        let length = file.metadata()?.len();
        sync_folder(&folder)?;
        index.update(class, |shelf| *shelf = StreamIndex::new(id, shelved.into()));
        let has_events = chain.next > first;
        let active = ActiveFile { has_events, ..ActiveFile::new(file, first, length, now) };
        let index = Arc::clone(index);
        Ok(Self { class, chain, since: 0, checked: now, torn, folder, active, index, is_durable })
    }

    /// Returns true if the growing segment is full, or old enough and worth it, for the next one to begin.
    pub(super) fn is_due(&self, bytes: u64, age: SignedDuration, now: Timestamp) -> bool {
        let is_full = self.active.length >= bytes && self.chain.next > self.active.first;
        is_full || self.active.has_events && now.duration_since(self.active.opened) >= age
    }

    /// The first record of the growing segment.
    pub(super) fn begins(&self) -> u64 {
        self.active.first
    }

    /// Marks the growing segment as holding more than records of the stream itself.
    pub(super) fn has_events(&mut self) {
        self.active.has_events = true;
    }

    /// Begins the next segment.
    pub(super) fn roll(&mut self, now: Timestamp) -> io::Result<()> {
        self.active.recover()?;
        self.sync()?;
        let first = self.chain.next;
        let path = create(&self.folder, first)?;
        let file = match OpenOptions::new().append(true).open(&path) {
            Ok(file) => file,
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
        };
        sync_folder(&self.folder)?;
        self.active = ActiveFile::new(file, first, 0, now);
        self.index.update(self.class, |shelf| {
            shelf.begin(Segment { path, first, end: first, bytes: 0, newest: now });
        });
        Ok(())
    }

    /// Appends a line for each body, all of them or none; returns the sequence number of the first.
    pub(super) fn append(&mut self, bodies: &[&[u8]], now: Timestamp) -> io::Result<u64> {
        self.active.recover()?;
        let mut chain = self.chain.clone();
        let mut lines = Vec::with_capacity(bodies.iter().map(|body| body.len() + 256).sum());
        for body in bodies {
            chain.seal(body, &mut lines);
        }
        let written =
            self.active.write(&lines).and_then(|()| if self.is_durable { self.active.sync() } else { Ok(()) });
        if let Err(error) = written {
            self.active.cut_off();
            return Err(error);
        }
        self.active.length += lines.len() as u64;
        self.active.newest = now;
        let first = self.chain.next;
        self.since += chain.next - first;
        self.chain = chain;
        self.index.update(self.class, |shelf| {
            shelf.grow(lines.len() as u64);
            if self.is_durable {
                shelf.publish(self.chain.next, self.active.length, now);
            }
        });
        Ok(first)
    }

    /// Sees to it that what was written is on the disk. Not before may a sink have it: what a sink took must still be
    /// there after a crash, or other records would follow under the same numbers.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.active.is_dirty {
            self.active.recover()?;
            self.active.sync()?;
            let (end, bytes, newest) = (self.chain.next, self.active.length, self.active.newest);
            self.index.update(self.class, |shelf| shelf.publish(end, bytes, newest));
        }
        Ok(())
    }

    /// Removes the oldest segments, up to the one that begins with `first`.
    pub(super) fn remove_before(&mut self, first: u64) -> io::Result<()> {
        while let Some(front) = self.index.front(self.class).filter(|front| front.first < first) {
            match std::fs::remove_file(&front.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.index.update(self.class, StreamIndex::drop_front);
        }
        sync_folder(&self.folder)
    }
}

impl ActiveFile {
    fn new(file: File, first: u64, length: u64, now: Timestamp) -> Self {
        Self { file, first, length, opened: now, newest: now, has_events: false, is_torn: false, is_dirty: false }
    }

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

/// The id of a folder's stream, made with the folder. Where it is lost, every record still says it.
fn identity(folder: &Path, segments: &[(u64, PathBuf)]) -> Result<String, OutputError> {
    let file = folder.join(IDENTITY);
    match std::fs::read(&file) {
        Ok(id) if id.len() == 17 && id.ends_with(b"\n") && id[..16].iter().all(u8::is_ascii_hexdigit) => {
            return Ok(String::from_utf8_lossy(&id[..16]).into_owned());
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let mut id = None;
    for (_, path) in segments.iter().rev() {
        let mut line = Vec::new();
        BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
        if is_record(&line) {
            id = serde_json::from_slice(&line).ok().map(|link: Link| link.stream);
            break;
        }
    }
    let id = id.map_or_else(new_id, Ok)?;
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
        let is_number = |stem: &&str| stem.len() == NAME && stem.bytes().all(|byte| byte.is_ascii_digit());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(is_number);
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

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}

/// Time of the last record of a segment.
fn newest(path: &Path, bytes: u64) -> io::Result<Option<Timestamp>> {
    let mut file = File::open(path)?;
    let (mut tail, mut length) = (Vec::new(), TAIL.min(bytes));
    loop {
        tail.clear();
        file.seek(SeekFrom::Start(bytes - length))?;
        (&mut file).take(length).read_to_end(&mut tail)?;
        let lines = tail.strip_suffix(b"\n").unwrap_or(&tail);
        let before = lines.iter().rposition(|byte| *byte == b'\n');
        if before.is_some() || length == bytes {
            let link: Option<Link> = serde_json::from_slice(&lines[before.map_or(0, |at| at + 1)..]).ok();
            return Ok(link.and_then(|link| link.time()));
        }
        length = (length * 8).min(bytes);
    }
}

/// End of a segment.
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

/// Returns true if a line is a record of some trail.
fn is_record(line: &[u8]) -> bool {
    let opened = line.strip_suffix(b"\n").and_then(chain::open);
    opened.is_some_and(|(covered, hash)| sha256(covered) == hash)
}

/// A crash tears the end. Records that come after what is not one were not left by a crash, unless it has zeros in it:
/// those stand where the system had not yet written, and what comes after them was promised to nobody.
fn refuse_foreign(reader: &mut impl BufRead, path: &Path, number: u64, first: &[u8]) -> Result<(), OutputError> {
    let foreign = || OutputError::Foreign { file: path.to_owned(), line: number };
    if is_record(first) {
        return Err(foreign());
    }
    if first.contains(&0) {
        return Ok(());
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
