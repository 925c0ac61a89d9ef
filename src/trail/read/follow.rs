//! Reading of a file that grows and is rotated.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Notice;

/// Bytes by which the first record of a file is told from another: its stream, its number and the hash before it.
const HEAD: usize = 128;

/// A file, and those that take its name after it: it may be renamed to .1, that one to .2, and so on.
pub(super) struct Followed {
    pub(super) path: PathBuf,
    /// Open for as long as it is not read to its end: no other file can be taken for it.
    reader: BufReader<File>,
    /// Bytes of lines that were read.
    offset: u64,
    /// Its first bytes, once a line was read.
    head: Vec<u8>,
    /// The file that came after it.
    next: Option<File>,
}

impl Followed {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::begin(path.to_owned(), File::open(path)?))
    }

    fn begin(path: PathBuf, file: File) -> Self {
        Self { path, reader: BufReader::new(file), offset: 0, head: Vec::new(), next: None }
    }

    /// Goes to where it was, or to the beginning of what was written in the place of what was read. A file that only lost
    /// its end gets that back: a sink that fails takes back what it wrote, and writes it again.
    pub(super) fn look(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD];
        let count = self.reader.get_ref().read_at(&mut head[..self.head.len()], 0)?;
        if !self.head.starts_with(&head[..count]) {
            (self.offset, self.head) = (0, Vec::new());
        }
        self.reader.seek(SeekFrom::Start(self.offset)).map(drop)
    }

    /// The next line. The last one may lack its end, unless more of it may come.
    pub(super) fn line(&mut self, is_growing: bool, notify: fn(Notice<'_>)) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line)?;
            if line.ends_with(b"\n") {
                if self.offset == 0 {
                    self.head = line[..line.len().min(HEAD)].to_vec();
                }
                self.offset += line.len() as u64;
                return Ok(Some(line));
            }
            if !is_growing {
                return Ok((!line.is_empty()).then_some(line));
            }
            if let Some(next) = self.next.take() {
                *self = Self::begin(std::mem::take(&mut self.path), next);
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            // It may have grown before it lost its name: it is read to its end once more.
            self.next = self.successor(notify)?;
            if self.next.is_none() {
                return Ok(None);
            }
            self.reader.seek(SeekFrom::Start(self.offset))?;
        }
    }

    /// The file that came after this one, if another has its name.
    fn successor(&self, notify: fn(Notice<'_>)) -> io::Result<Option<File>> {
        let ours = self.reader.get_ref().metadata()?;
        let (mut before, mut oldest, mut is_missing) = (None, None, false);
        // In the direction in which files are renamed: none is passed over. While they are, one number is missing.
        for number in 0_u32.. {
            let mut name = self.path.clone().into_os_string();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            let file = match File::open(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if std::mem::replace(&mut is_missing, true) {
                        break;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            is_missing = false;
            let theirs = file.metadata()?;
            if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
                return Ok(before);
            }
            let is_later = (theirs.mtime(), theirs.mtime_nsec()) >= (ours.mtime(), ours.mtime_nsec());
            if number == 0 || is_later && theirs.is_file() {
                oldest = Some(file.try_clone()?);
            }
            before = Some(file);
        }
        if oldest.is_some() {
            notify(Notice::Removed { file: &self.path });
        }
        Ok(oldest)
    }
}
