//! The folder of a baseline: replaced as a whole, and only if nothing else is in it.

use std::io;
use std::path::{Path, PathBuf};

/// First line of every file.
pub(super) const MARK: &str = "# Written by `portcullis scan --write-exceptions`; the next run replaces it.";
/// Beginning of the names of files with exceptions.
pub(super) const FRAGMENTS: &str = "exceptions-";
/// Name of the list of what no exception covers.
pub(super) const UNCOVERED: &str = "not-covered.txt";

/// A folder that is there and holds nothing else, or is to be made.
pub(super) struct Folder {
    /// As it was named.
    given: PathBuf,
    /// The folder itself.
    path: PathBuf,
}

impl Folder {
    /// Looks at the folder.
    pub(super) fn open(given: &Path) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("{}: {error}", given.display());
        let path = match std::fs::symlink_metadata(given) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(given).map_err(wrong)?,
            Err(error) => return Err(wrong(error)),
            Ok(_) => std::fs::canonicalize(given).map_err(wrong)?,
        };
        let folder = Self { given: given.to_owned(), path };
        if folder.path.exists() {
            folder.check()?;
        }
        Ok(folder)
    }

    /// The folder as it was named.
    pub(super) fn shown(&self) -> String {
        self.given.display().to_string()
    }

    /// Refuses a folder that holds anything else than such files.
    fn check(&self) -> Result<(), String> {
        let wrong = |error: io::Error| format!("{}: {error}", self.shown());
        for entry in std::fs::read_dir(&self.path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name();
            let is_named = name.to_str().is_some_and(|name| name == UNCOVERED || name.starts_with(FRAGMENTS));
            let is_file = entry.file_type().map_err(wrong)?.is_file();
            let is_ours = is_named && is_file && starts_with_mark(&entry.path()).map_err(wrong)?;
            if !is_ours {
                let (folder, name) = (self.shown(), name.display().to_string());
                return Err(format!(
                    "{folder}: holds {name}, which is not of an earlier run; name an empty or a new folder"
                ));
            }
        }
        Ok(())
    }

    /// Writes these files into a new folder, which then takes the place of this one.
    pub(super) fn write(&self, files: impl Iterator<Item = (String, String)>) -> Result<(), String> {
        let wrong = |error: io::Error| format!("{}: {error}", self.shown());
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(format!("{}: must be a folder below another one", self.shown()));
        };
        std::fs::create_dir_all(parent).map_err(wrong)?;
        let beside = |what: &str| {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{what}-{}", std::process::id()));
            parent.join(hidden)
        };
        let (new, old) = (beside("new"), beside("old"));
        let written = fill(&new, files).and_then(|()| {
            let is_there = self.path.exists();
            if is_there {
                // Whoever wrote here since the scan began keeps it.
                self.check().map_err(io::Error::other)?;
                std::fs::rename(&self.path, &old)?;
            }
            std::fs::rename(&new, &self.path).inspect_err(|_| {
                if is_there {
                    let _ = std::fs::rename(&old, &self.path);
                }
            })
        });
        if let Err(error) = written {
            let _ = std::fs::remove_dir_all(&new);
            return Err(wrong(error));
        }
        if old.exists() { std::fs::remove_dir_all(&old).map_err(wrong) } else { Ok(()) }
    }
}

fn fill(folder: &Path, files: impl Iterator<Item = (String, String)>) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    Ok(())
}

fn starts_with_mark(file: &Path) -> io::Result<bool> {
    use std::io::Read as _;
    let mut start = [0; MARK.len()];
    match std::fs::File::open(file)?.read_exact(&mut start) {
        Ok(()) => Ok(start.as_slice() == MARK.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
