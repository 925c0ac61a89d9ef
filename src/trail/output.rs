//! Where lines go: standard output, or a file that a restart continues.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::chain::{self, Chain};
use super::verify::Link;
use crate::config::hex;

/// Bytes of a stream's id.
const ID: usize = 8;

/// A sealed, append-only output.
pub struct Output {
    chain: Chain,
    target: Target,
    torn: u64,
}

enum Target {
    Stdout,
    File { file: File, length: u64 },
}

/// Why an output cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file holds something else than a trail.
    #[error("{}:{line}: is no line of a trail; name another file, or move this one away", file.display())]
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
        Ok(Self { chain: Chain::new(new_id()?), target: Target::Stdout, torn: 0 })
    }

    /// The stream of a file, continued after its last whole line. What a crash left of a line is cut off.
    ///
    /// # Errors
    /// When the file cannot be opened, or is no trail.
    pub fn file(path: &Path) -> Result<Self, OutputError> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
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
        let chain = match last {
            None => Chain::new(new_id()?),
            Some((number, line)) => {
                let foreign = || OutputError::Foreign { file: path.to_owned(), line: number };
                let (_, hash) = chain::open(line.trim_ascii_end()).ok_or_else(foreign)?;
                let link: Link = serde_json::from_slice(&line).map_err(|_| foreign())?;
                Chain::after(link.stream, link.seq, hash.to_owned())
            }
        };
        let torn = file.metadata()?.len() - length;
        if torn > 0 {
            tracing::warn!(file = %path.display(), bytes = torn, "the trail ended in part of a line, which is cut off");
            file.set_len(length)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { chain, target: Target::File { file, length }, torn })
    }

    /// Bytes of a torn last line that were cut off when the file was opened.
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Appends a line for each body, all or none, and the id of each to `ids`.
    ///
    /// # Errors
    /// When they cannot be written; the chain is then as before.
    pub fn append(&mut self, bodies: &[impl AsRef<[u8]>], ids: &mut Vec<String>) -> Result<(), OutputError> {
        let mut chain = self.chain.clone();
        let mut lines = Vec::with_capacity(bodies.iter().map(|body| body.as_ref().len() + 256).sum());
        for body in bodies {
            ids.push(chain.seal(body.as_ref(), &mut lines));
        }
        match &mut self.target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&lines)?;
                stdout.flush()?;
            }
            Target::File { file, length } => {
                if let Err(error) = file.write_all(&lines) {
                    // Part of a line must not stay before the next one.
                    file.set_len(*length)?;
                    return Err(error.into());
                }
                *length += lines.len() as u64;
            }
        }
        self.chain = chain;
        Ok(())
    }
}

fn new_id() -> Result<String, OutputError> {
    let mut bytes = [0; ID];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(hex(&bytes))
}
