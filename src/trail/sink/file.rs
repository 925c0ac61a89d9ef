//! A file that is set aside when it is full, and some of those before it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Batch, Delivery, Refused, Sink, SinkError};
use crate::trail::proof::Chain;

/// Bytes that are read at once from the end.
const BLOCK: usize = 64 << 10;

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The file that is written; those set aside are called the same, with .1 (the newest), .2 and so on.
    path: PathBuf,
    /// Bytes after which it is set aside.
    #[serde(default = "max_bytes")]
    max_bytes: u64,
    /// Number of earlier files that are kept.
    #[serde(default = "keep")]
    keep: u32,
}

fn max_bytes() -> u64 {
    100 << 20
}

fn keep() -> u32 {
    10
}

/// The sink.
pub(super) struct Rotated {
    settings: Settings,
    file: File,
    /// Bytes of whole deliveries.
    length: u64,
    /// Set while the file holds more bytes than that.
    is_torn: bool,
    /// Up to where a batch was written that was not written whole: its stream, and the next record.
    written: Option<(String, u64)>,
    /// Bytes that are written at once, where no file takes more.
    most: Option<usize>,
}

/// Reason why a file cannot be written as a trail.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be opened, read or cut.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It is a folder, or a device.
    #[error("{}: is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// It holds something else.
    #[error("{}: is not a trail; name another file, or move this one away", .0.display())]
    NotTrail(PathBuf),
}

impl FileError {
    fn of(file: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { file: file.to_owned(), source }
    }
}

impl Rotated {
    /// Opens the file, or begins it. What a crash left of a line is cut off: it comes again.
    pub(super) fn open(settings: &Settings) -> Result<Self, FileError> {
        let name = settings.path.display();
        let named = FileError::of(&settings.path);
        if std::fs::metadata(&settings.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(FileError::NotRegular(settings.path.clone()));
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&settings.path).map_err(&named)?;
        if !is_trail(&file).map_err(&named)? {
            return Err(FileError::NotTrail(settings.path.clone()));
        }
        let found = file.metadata().map_err(&named)?.len();
        let length = whole(&file, found).map_err(&named)?;
        if length < found {
            let bytes = found - length;
            tracing::warn!(file = %name, bytes, "a sink's file ended in part of a record, which is cut off");
            file.set_len(length).map_err(named)?;
        }
        let settings = settings.clone();
        Ok(Self { settings, file, length, is_torn: false, written: None, most: None })
    }

    /// Writes what of a batch was not written before, in parts where a file may not grow so far.
    fn append(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut rest = match self.written.take() {
            Some((stream, next)) if stream == batch.stream => batch.from(next),
            _ => *batch,
        };
        while !rest.bytes.is_empty() {
            self.written = Some((rest.stream.to_owned(), rest.first));
            let (part, later) = rest.split(self.most.unwrap_or(usize::MAX));
            match self.write(part.bytes) {
                Ok(()) => rest = later,
                // The file system, or a limit of the process, takes no longer file: the next one begins.
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge && self.length > 0 => {
                    self.set_aside(false).map_err(SinkError::of)?;
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge && part.last() > part.first => {
                    tracing::debug!(%error, bytes = part.bytes.len(), "no file takes so much at once");
                    self.most = Some(part.bytes.len() / 2);
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(SinkError::refusing(Refused::one(part.first, true), error));
                }
                Err(error) => return Err(SinkError::of(error)),
            }
        }
        self.written = None;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        // Whoever else set it aside meant to, also who put another in its place, or emptied it.
        let ours = self.file.metadata()?;
        let is_gone = match std::fs::metadata(&self.settings.path) {
            Ok(there) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        self.length = ours.len();
        if is_gone || self.length > 0 && self.length + bytes.len() as u64 > self.settings.max_bytes {
            self.set_aside(is_gone)?;
        }
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // It comes again, whole.
            Err(_) => self.is_torn = self.file.set_len(self.length).is_err(),
        }
        written
    }

    fn set_aside(&mut self, is_gone: bool) -> io::Result<()> {
        let path = &self.settings.path;
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        if !is_gone {
            for number in (1..self.settings.keep).rev() {
                match std::fs::rename(numbered(number), numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            if self.settings.keep == 0 { std::fs::remove_file(path)? } else { std::fs::rename(path, numbered(1))? }
        }
        self.file = OpenOptions::new().append(true).create(true).open(path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

impl Sink for Rotated {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(async move { tokio::task::block_in_place(|| self.append(batch)) })
    }
}

/// Returns true if a file begins as a trail does, or holds no more than what a crash left of that: a part, and zeros.
fn is_trail(file: &File) -> io::Result<bool> {
    let (mut reader, begin) = (BufReader::new(file), Chain::BEGIN.as_bytes());
    let mut found = Vec::new();
    reader.by_ref().take(begin.len() as u64).read_to_end(&mut found)?;
    let written = found.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if written == begin.len() || !begin.starts_with(&found[..written]) {
        return Ok(found == begin);
    }
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() || bytes.iter().any(|byte| *byte != 0) {
            return Ok(bytes.is_empty());
        }
        let count = bytes.len();
        reader.consume(count);
    }
}

/// End of the last whole line. One with zeros in it is none: they stand where a crash came before the bytes.
fn whole(file: &File, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; BLOCK];
    let (mut start, mut end) = (length, None);
    while start > 0 {
        let count = usize::try_from(start).map_or(BLOCK, |left| left.min(BLOCK));
        start -= count as u64;
        let block = &mut buffer[..count];
        file.read_exact_at(block, start)?;
        for (place, byte) in block.iter().enumerate().rev() {
            match (byte, end) {
                (0, _) => end = None,
                (b'\n', Some(end)) => return Ok(end),
                (b'\n', None) => end = Some(start + place as u64 + 1),
                _ => {}
            }
        }
    }
    Ok(end.unwrap_or_default())
}
