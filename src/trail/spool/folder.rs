//! Folders on the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Brings the entries of a folder to the disk: files that were created, renamed or removed there.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
