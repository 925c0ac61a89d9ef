//! The last good configuration, kept in a file beside the spool, and the question whether a server may start on it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::peers::{Peers, PeersError};
use crate::config::{ConfigError, Configuration, Contents};

/// The file that holds the last good configuration, and the replicas that are asked before it is used.
pub struct LastGood {
    file: PathBuf,
    /// `None` without a cluster: there are no other replicas.
    peers: Option<Peers>,
}

/// Reason not to start on the last good configuration.
#[derive(Debug, thiserror::Error)]
pub enum NoFallback {
    /// There is no file, or it cannot be read for now.
    #[error("there is no last good configuration at {0}")]
    Absent(PathBuf),
    /// This version does not accept it.
    #[error("the last good configuration cannot be used: {0}")]
    Unusable(ConfigError),
    /// A ready replica holds another configuration, or could not be asked.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

impl LastGood {
    /// Keeps it in `file`.
    pub fn new(file: PathBuf, peers: Option<Peers>) -> Self {
        Self { file, peers }
    }

    /// Writes `text`, whole or not at all, for nobody else to read.
    ///
    /// # Errors
    /// Those of the file system, with the file's name.
    pub fn keep(&self, text: &str) -> io::Result<()> {
        if std::fs::read(&self.file).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.file.display()));
        self.write(text).map_err(named)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let draft = self.file.with_extension("draft");
        let mut options = OpenOptions::new();
        let mut made = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        made.write_all(text.as_bytes())?;
        made.sync_all()?;
        std::fs::rename(&draft, &self.file)?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The last good configuration and its text, if no ready replica holds another.
    ///
    /// # Errors
    /// [`NoFallback`]
    pub(super) async fn configuration(&self) -> Result<(Configuration, String), NoFallback> {
        let absent = || NoFallback::Absent(self.file.clone());
        let contents = self.file.exists().then(|| Contents::read(&self.file)).flatten().ok_or_else(absent)?;
        let (configuration, text) = contents.compile(&self.file).map_err(NoFallback::Unusable)?;
        if let Some(peers) = &self.peers {
            peers.agree(configuration.snapshot.digest()).await?;
        }
        Ok((configuration, text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{LastGood, NoFallback};

    const GOOD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";

    #[tokio::test]
    async fn what_was_kept_last_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("last-good.yaml");
        let last_good = LastGood::new(file.clone(), None);
        assert!(matches!(last_good.configuration().await, Err(NoFallback::Absent(_))));
        for text in [GOOD.to_owned(), format!("{GOOD}ceiling: audit\n")] {
            last_good.keep(&text).expect("written");
            let (configuration, kept) = last_good.configuration().await.expect("a configuration");
            assert_eq!(
                (kept, &**configuration.snapshot.digest()),
                (text.clone(), &*crate::digest::sha256(text.as_bytes()))
            );
        }
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    }

    #[tokio::test]
    async fn a_file_that_was_cut_or_changed_into_nonsense_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("last-good.yaml");
        let last_good = LastGood::new(file.clone(), None);
        for wrong in [&b""[..], b"\xff\xfe", b"profile: hard", &GOOD.as_bytes()[..GOOD.len() - 4]] {
            std::fs::write(&file, wrong).expect("written");
            assert!(matches!(last_good.configuration().await, Err(NoFallback::Unusable(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("none/last-good.yaml");
        let error = LastGood::new(file.clone(), None).keep(GOOD).expect_err("no folder");
        assert!(error.to_string().starts_with(file.to_str().expect("UTF-8")), "{error}");
    }
}
