//! Reading a trail: the files of a spool, records merged by time, files that grow, filters, and the database.

mod database_rows;
mod follow;
mod merge;
pub mod query;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use super::record::Class;
use super::spool;

pub use merge::Inputs;
pub use verify::{verify_database, verify_folder};

/// The trail in `PostgreSQL`: its connection, its schema, and reading from it.
pub mod database {
    pub use super::database_rows::{Cursor, Entry, Place, Reader};
    pub use crate::trail::connect::database::{Database, Settings, Tls, schema};
    pub use crate::trail::connect::database_error::{DatabaseError, DatabaseSetting, UrlFault};
}

/// A file or folder that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ReadError {
    /// The file or folder.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

impl ReadError {
    fn of(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

/// Something that a reader should know of, although reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'p> {
    /// Lines that are not records were passed over.
    PassedOver {
        /// The file that they are in.
        file: &'p Path,
        /// The number of lines.
        lines: u64,
    },
    /// The file that was read was moved or removed, and is not beside the one that has its name now.
    Removed {
        /// The name.
        file: &'p Path,
    },
}

/// The segments of every stream of a spool, or of the one stream that a folder holds, in the order in which they are read.
///
/// # Errors
/// When the folder cannot be read.
pub fn segments_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(streams_of(folder)?.into_iter().flatten().collect())
}

/// The segments of each stream of a spool, or of the one stream that a folder holds, in the order in which they are read.
///
/// # Errors
/// When the folder cannot be read.
fn streams_of(folder: &Path) -> io::Result<Vec<Vec<PathBuf>>> {
    let mut streams = Vec::new();
    let below = Class::ALL.iter().map(|class| folder.join(class.as_str())).filter(|below| below.is_dir());
    for below in below.chain([folder.to_owned()]) {
        streams.push(spool::segments(&below)?.into_iter().map(|(_, path)| path).collect());
    }
    Ok(streams)
}
