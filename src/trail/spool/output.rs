//! Outputs of lines: standard output, or a file that a restart continues.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::digest::hex;
use crate::trail::proof::{Chain, Link, chain};

/// Bytes of a stream's id.
const ID: usize = 8;

/// A sealed, append-only output.
pub struct Output {
    chain: Chain,
    target: Target,
    torn: u64,
}

enum Target {
    /// Nothing can be taken back: what was begun has to be finished.
    Stdout {
        /// The rest of the lines that were begun.
        rest: Vec<u8>,
    },
    /// Part of a line is cut off.
    File {
        file: File,
        /// Bytes of whole lines.
        length: u64,
        /// Set while the file holds more bytes than that.
        is_torn: bool,
    },
}

/// Reason why an output cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Appending and cutting off need a file.
    #[error("{}: is not a regular file; leave `trail.file` out for standard output", .0.display())]
    Special(PathBuf),
    /// Two writers would tear each other's chain.
    #[error("{}: another process writes to it", .0.display())]
    Taken(PathBuf),
    /// The file is not a trail.
    #[error("{}:{line}: is not a line of a trail; name another file, or move this one away", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
    },
}

impl Output {
    /// A new stream on standard output.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn stdout() -> Result<Self, OutputError> {
        Ok(Self { chain: Chain::new(new_id()?), target: Target::Stdout { rest: Vec::new() }, torn: 0 })
    }

    /// The stream of a file, continued after its last whole line. What a crash left of a line is cut off.
    ///
    /// # Errors
    /// When the file cannot be opened, has another writer, or is not a trail.
    pub fn file(path: &Path) -> Result<Self, OutputError> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(OutputError::Special(path.to_owned()));
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        claim(&file, path)?;
        let mut reader = BufReader::new(&file);
        let (mut line, mut number, mut length, mut last) = (Vec::new(), 0, 0, None);
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            if line.last() != Some(&b'\n') {
                break;
            }
            length += line.len() as u64;
            last = Some((number, std::mem::take(&mut line)));
        }
        let foreign = |line| OutputError::Foreign { file: path.to_owned(), line };
        let (chain, begin) = match last {
            None => (Chain::new(new_id()?), Chain::BEGIN.as_bytes().to_owned()),
            Some((number, line)) => {
                let (_, hash) = chain::open(line.trim_ascii_end()).ok_or_else(|| foreign(number))?;
                let link: Link = serde_json::from_slice(&line).map_err(|_| foreign(number))?;
                let chain = Chain::after(link.stream, link.seq, hash.to_owned());
                let begin = chain.begin();
                (chain, begin)
            }
        };
        // Only what began as a record is cut off; a crash may leave zeros in the place of its bytes.
        let part = &line[..line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
        let is_ours = part.starts_with(&begin) || begin.starts_with(part);
        if !is_ours {
            return Err(foreign(number));
        }
        let torn = file.metadata()?.len() - length;
        if torn > 0 {
            tracing::warn!(file = %path.display(), bytes = torn, "the trail ended in part of a line, which is cut off");
            file.set_len(length)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { chain, target: Target::File { file, length, is_torn: false }, torn })
    }

    /// Bytes of a torn last line that were cut off when the file was opened.
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Appends a line for each body; returns the sequence number of the first.
    ///
    /// # Errors
    /// When they cannot all be written. None of them then counts as written, although standard output may hold some.
    pub fn append(&mut self, bodies: &[impl AsRef<[u8]>]) -> Result<u64, OutputError> {
        self.target.recover()?;
        let mut chain = self.chain.clone();
        let mut lines = Vec::with_capacity(bodies.iter().map(|body| body.as_ref().len() + 256).sum());
        for body in bodies {
            chain.seal(body.as_ref(), &mut lines);
        }
        let first = self.chain.next;
        let written = self.target.write(lines);
        // Where a part stays, the chain goes on after it.
        if written.is_ok() || matches!(&self.target, Target::Stdout { rest } if !rest.is_empty()) {
            self.chain = chain;
        }
        written?;
        Ok(first)
    }

    /// The id of one of its records.
    pub(in crate::trail) fn id(&self, seq: u64) -> String {
        self.chain.id(seq)
    }
}

impl Target {
    /// Ends what an earlier failure left half done.
    fn recover(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout { rest } => {
                let written = write(rest);
                let done = written.as_ref().map_or_else(|(done, _)| *done, |()| rest.len());
                rest.drain(..done);
                written.map_err(|(_, error)| error)
            }
            Self::File { file, length, is_torn } => {
                if *is_torn {
                    file.set_len(*length)?;
                    *is_torn = false;
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, lines: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Stdout { rest } => write(&lines).map_err(|(done, error)| {
                if done > 0 {
                    *rest = lines[done..].to_vec();
                }
                error
            }),
            Self::File { file, length, is_torn } => {
                let written = file.write_all(&lines);
                if written.is_ok() {
                    *length += lines.len() as u64;
                } else {
                    // Part of a line must not stay before the next one.
                    *is_torn = file.set_len(*length).is_err();
                }
                written
            }
        }
    }
}

/// Writes to standard output; on failure, says how many bytes it took.
pub(in crate::trail) fn write(bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    // Past the buffer of `Stdout`, which does not say how much of it was written.
    let stdout = io::stdout().lock();
    let mut stdout = stdout.as_fd().try_clone_to_owned().map(File::from).map_err(|error| (0, error))?;
    let mut done = 0;
    while done < bytes.len() {
        match stdout.write(&bytes[done..]) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

/// Two writers would tear each other's chains: `file` is ours for as long as it is open, or `name` is said to be taken.
pub(in crate::trail) fn claim(file: &File, name: &Path) -> Result<(), OutputError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(OutputError::Taken(name.to_owned())),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

pub(in crate::trail) fn new_id() -> Result<String, OutputError> {
    let mut bytes = [0; ID];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(hex(&bytes))
}
