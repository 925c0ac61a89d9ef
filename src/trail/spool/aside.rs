//! Records that a sink refuses for good: set aside, a file each, so that those after them are delivered.
//!
//! Such a record stays in its stream as well. What lies here is what the sink lacks, for somebody to bring there later.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::folder::sync_folder;
use crate::lock::lock;
use crate::trail::proof::Link;
use crate::trail::record::Class;

/// Records that are kept; the oldest goes when there are more.
const ENTRIES: usize = 1_024;
/// They may take one part in so many of the spool's bytes: an eighth.
const SHARE: u64 = 8;
/// Records that are told of at once.
const AT_ONCE: usize = 64;
/// Ending of a file whose record the trail does not tell of yet, and of one that it does.
const UNTOLD: &str = "new";
const TOLD: &str = "jsonl";

/// Records of a spool that were set aside.
#[derive(Debug)]
pub struct Aside {
    folder: PathBuf,
    /// Bytes that may lie here.
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    entries: VecDeque<Entry>,
    bytes: u64,
}

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sink: String,
    pub(super) class: Class,
    pub(super) stream: String,
    pub(super) seq: u64,
    pub(super) bytes: u64,
    /// The sink's reason; empty after a restart.
    pub(super) why: String,
    /// The record's own time.
    time: Timestamp,
    path: PathBuf,
    is_told: bool,
}

impl Entry {
    fn is(&self, sink: &str, stream: &str, seq: u64) -> bool {
        self.seq == seq && self.stream == stream && self.sink == sink
    }

    /// Reads a file of this folder; `None` for anything else.
    fn read(sink: &str, path: PathBuf) -> Option<Self> {
        let mut parts = path.file_stem()?.to_str()?.splitn(3, '-');
        let (class, stream, seq) = (parts.next()?, parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        let class = Class::ALL.into_iter().find(|known| known.as_str() == class)?;
        let is_told = match path.extension()?.to_str()? {
            TOLD => true,
            UNTOLD => false,
            _ => return None,
        };
        let line = std::fs::read(&path).ok()?;
        let (sink, why, bytes) = (sink.to_owned(), String::new(), line.len() as u64);
        Some(Self { sink, class, stream, seq, bytes, why, time: time(&line), path, is_told })
    }
}

impl Aside {
    /// Opens the folder beside the spool in `root`, which holds at most `spool` bytes.
    pub(super) fn open(root: &Path, spool: u64) -> io::Result<Self> {
        let folder = root.join("set-aside");
        let mut entries = Vec::new();
        for sink in folders(&folder)? {
            let name = sink.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            for file in std::fs::read_dir(&sink)? {
                entries.extend(Entry::read(&name, file?.path()));
            }
        }
        entries.sort_by(|left, right| (left.time, &left.stream, left.seq).cmp(&(right.time, &right.stream, right.seq)));
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let state = Mutex::new(State { entries: entries.into(), bytes });
        Ok(Self { folder, most: spool / SHARE, state })
    }

    /// Keeps a record that `sink` refuses. Says how many older ones had to go for it.
    ///
    /// # Errors
    /// When it cannot be written. Then it was not set aside.
    pub fn put(&self, sink: &str, class: Class, (stream, seq): (&str, u64), line: &[u8], why: &str) -> io::Result<u64> {
        let mut state = lock(&self.state);
        if state.entries.iter().any(|entry| entry.is(sink, stream, seq)) {
            return Ok(0);
        }
        let folder = self.folder.join(sink);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-{stream}-{seq:020}.{UNTOLD}", class.as_str()));
        let draft = path.with_extension("draft");
        let mut file = File::create(&draft)?;
        file.write_all(line)?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        sync_folder(&folder)?;
        let (sink, stream, why, bytes) = (sink.to_owned(), stream.to_owned(), why.to_owned(), line.len() as u64);
        let entry = Entry { sink, class, stream, seq, bytes, why, time: time(line), path, is_told: false };
        state.bytes += bytes;
        state.entries.push_back(entry);
        let mut dropped = 0;
        while state.entries.len() > ENTRIES || state.bytes > self.most && state.entries.len() > 1 {
            dropped += u64::from(state.drop_where(|place, _| place == 0) > 0);
        }
        Ok(dropped)
    }

    /// Records that the trail does not tell of yet, some at once.
    pub(super) fn untold(&self) -> Vec<Entry> {
        lock(&self.state).entries.iter().filter(|entry| !entry.is_told).take(AT_ONCE).cloned().collect()
    }

    /// The trail tells of a record.
    pub(super) fn told(&self, told: &Entry) {
        let mut state = lock(&self.state);
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.is(&told.sink, &told.stream, told.seq)) else {
            return;
        };
        entry.is_told = true;
        let path = entry.path.with_extension(TOLD);
        // Where that fails, the trail tells of it once more after a restart.
        if std::fs::rename(&entry.path, &path).is_ok() {
            entry.path = path;
        }
    }

    /// Removes what is older than its class is kept.
    pub(super) fn expire(&self, retention: &[SignedDuration; 3], now: Timestamp) {
        let is_old = |entry: &Entry| now.duration_since(entry.time) >= retention[entry.class.index()];
        lock(&self.state).drop_where(|_, entry| entry.is_told && is_old(entry));
    }

    /// Number of records, by sink.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for entry in &lock(&self.state).entries {
            *counts.entry(entry.sink.clone()).or_default() += 1;
        }
        counts
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        lock(&self.state).bytes
    }
}

impl State {
    /// Removes entries, by place and what they are; says how many.
    fn drop_where(&mut self, goes: impl Fn(usize, &Entry) -> bool) -> usize {
        let (mut place, mut bytes, mut dropped) = (0, 0, 0);
        self.entries.retain(|entry| {
            let is_gone = goes(place, entry);
            place += 1;
            if is_gone {
                match std::fs::remove_file(&entry.path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(%error, file = %entry.path.display(), "a record that was set aside could not be removed");
                    }
                    _ => {}
                }
                (bytes, dropped) = (bytes + entry.bytes, dropped + 1);
            }
            !is_gone
        });
        self.bytes -= bytes;
        dropped
    }
}

/// Time of the record; the current time if it has none.
fn time(line: &[u8]) -> Timestamp {
    let link: Option<Link> = serde_json::from_slice(line).ok();
    link.and_then(|link| link.time()).unwrap_or_else(Timestamp::now)
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Aside, ENTRIES};
    use crate::trail::record::Class;

    fn line(seq: u64, time: &str) -> Vec<u8> {
        format!("{{\"stream\":\"a1\",\"seq\":{seq},\"prev\":\"0\",\"time\":\"{time}\"}}\n").into_bytes()
    }

    #[test]
    fn a_record_is_kept_until_its_time_and_told_of_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let aside = Aside::open(folder.path(), 1 << 20).expect("opened");
        let (old, new) = (line(7, "2026-01-01T00:00:00Z"), line(8, "2026-01-09T00:00:00Z"));
        for _ in 0..2 {
            aside.put("hook", Class::Allow, ("a1", 7), &old, "413").expect("kept");
            aside.put("hook", Class::Refused, ("a1", 8), &new, "413").expect("kept");
        }
        assert_eq!(aside.counts(), [("hook".to_owned(), 2)].into());
        let untold = aside.untold();
        assert_eq!(untold.iter().map(|entry| (entry.seq, &*entry.why)).collect::<Vec<_>>(), [(7, "413"), (8, "413")]);
        aside.told(&untold[0]);
        // A restart knows them, and which of them is still to be told of.
        let aside = Aside::open(folder.path(), 1 << 20).expect("opened");
        let untold = aside.untold();
        assert_eq!((untold.len(), untold[0].seq, untold[0].class), (1, 8, Class::Refused));
        aside.told(&untold[0]);
        let (retention, now) = ([SignedDuration::from_hours(24); 3], "2026-01-09T12:00:00Z".parse().expect("a time"));
        aside.expire(&retention, now);
        assert_eq!(aside.counts(), [("hook".to_owned(), 1)].into());
        let kept = folder.path().join("set-aside/hook/refused-a1-00000000000000000008.jsonl");
        assert_eq!(std::fs::read(kept).expect("kept as it is"), new);
        assert_eq!(aside.bytes(), new.len() as u64);
        aside.expire(&retention, Timestamp::MAX);
        assert_eq!((aside.counts().len(), aside.bytes()), (0, 0));
    }

    #[test]
    fn there_are_no_more_than_so_many_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let aside = Aside::open(folder.path(), 1 << 20).expect("opened");
        let dropped: u64 = (0..ENTRIES as u64 + 3)
            .map(|seq| aside.put("hook", Class::Allow, ("a1", seq), b"x", "").expect("kept"))
            .sum();
        assert_eq!((dropped, aside.counts()["hook"]), (3, ENTRIES as u64));
        assert_eq!(aside.untold()[0].seq, 3);
        let small = Aside::open(folder.path(), 8 * 100).expect("opened");
        assert_eq!(small.put("other", Class::Allow, ("a1", 0), &[b'x'; 60], "").expect("kept"), ENTRIES as u64 - 40);
        assert_eq!(small.bytes(), 100);
    }
}
