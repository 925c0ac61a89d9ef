//! Verification of a whole spool, also while it is written, and of a database.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::{Cursor, DatabaseError, Reader};
use super::{ReadError, segments_of};
use crate::trail::proof::{Fault, Verification};

/// Number and length of the waits for a line that is being written.
const UNSETTLED: usize = 10;
const SETTLE: Duration = Duration::from_millis(50);
/// Passes over a database, and the pause between them, for records that checkpoints name: its streams are
/// delivered one after the other.
const PASSES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// A spool: the segments of every stream. What was written while they were read is read afterwards, so that a checkpoint
/// does not speak of more than was seen. Sets `has_shrunk` where retention took a segment away meanwhile.
///
/// # Errors
/// [`ReadError`] when the folder or a segment cannot be read; the inner [`Fault`] for the first altered record.
pub fn verify_folder(
    verification: &mut Verification,
    folder: &Path,
    has_shrunk: &mut bool,
) -> Result<Result<(), Fault>, ReadError> {
    let mut places: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
    for is_first in [true, false] {
        if !is_first {
            verification.catch_up();
        }
        for segment in segments_of(folder).map_err(ReadError::of(folder))? {
            let (offset, line) = places.entry(segment.clone()).or_default();
            let failed = ReadError::of(&segment);
            let mut file = match File::open(&segment) {
                // Retention may come first, and says so in the stream.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    *has_shrunk = true;
                    continue;
                }
                opened => opened.map_err(&failed)?,
            };
            let end = settled(&mut file).map_err(&failed)?;
            file.seek(SeekFrom::Start(*offset)).map_err(&failed)?;
            let reader = BufReader::new(file.take(end.saturating_sub(*offset)));
            let result = verification.read(&segment.display().to_string(), reader, line).map_err(&failed)?;
            *offset = end.max(*offset);
            if let Err(fault) = result {
                return Ok(Err(fault));
            }
        }
    }
    Ok(Ok(()))
}

/// The end of a segment, once what is being written stands there whole.
fn settled(file: &mut File) -> std::io::Result<u64> {
    let mut end = 0;
    for _ in 0..UNSETTLED {
        end = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if end > 0 {
            file.seek(SeekFrom::Start(end - 1))?;
            file.read_exact(&mut last)?;
        }
        if last == [b'\n'] {
            break;
        }
        std::thread::sleep(SETTLE);
    }
    Ok(end)
}

/// Verifies everything that a database holds.
///
/// # Errors
/// [`DatabaseError`] when it cannot be read; the inner [`Fault`] for the first altered record.
pub async fn verify_database(
    reader: &mut Reader,
    verification: &mut Verification,
) -> Result<Result<(), Fault>, DatabaseError> {
    for (stream, next) in reader.forgotten().await? {
        verification.forgotten(stream, next);
    }
    let mut cursors: BTreeMap<String, Cursor> = BTreeMap::new();
    for pass in 0..PASSES {
        if pass > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for stream in reader.streams().await? {
            let cursor = cursors.entry(stream.clone()).or_insert_with(|| Cursor::new(stream.clone()));
            loop {
                let lines = reader.next(cursor).await?;
                for (seq, line) in &lines {
                    if let Err(mut fault) = verification.take(line.as_bytes()) {
                        // Where the line cannot be believed, the row says which it is.
                        fault.record.get_or_insert((stream.clone(), *seq));
                        return Ok(Err(fault));
                    }
                }
                if lines.is_empty() {
                    break;
                }
            }
        }
        if verification.is_settled() {
            break;
        }
    }
    Ok(match reader.conflicts().await?.into_iter().next() {
        None => Ok(()),
        record => {
            let message = "is not the one that was written last: that one is in the table conflicts".to_owned();
            Err(Fault { place: None, record, message })
        }
    })
}
