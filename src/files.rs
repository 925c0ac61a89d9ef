//! Watches files as Kubernetes mounts them.
//!
//! The kubelet updates a mounted Secret or ConfigMap by swapping the symlink `..data` beside the files, so the *folder*
//! is watched, and a slow poll catches what the watch misses (network file systems, a folder that was replaced).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::Watcher;
use tokio::sync::Notify;

/// How long after a change files are left to settle.
const SETTLE: Duration = Duration::from_millis(50);
/// How often files are looked at without being told.
const POLL: Duration = Duration::from_secs(5);

/// Wakes its owner when one of some files may have changed.
pub(crate) struct FileWatch {
    changed: Arc<Notify>,
    /// Ends the watch when dropped.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FileWatch {
    /// Watches the folders of `files`. Where that is impossible, the poll alone remains.
    pub(crate) fn new<'p>(files: impl IntoIterator<Item = &'p Path>) -> Self {
        let folders: BTreeSet<PathBuf> = files.into_iter().map(folder).collect();
        let changed = Arc::new(Notify::new());
        let wake = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |_| wake.notify_one()).and_then(|mut watcher| {
            for folder in &folders {
                watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, poll_seconds = POLL.as_secs(), "files are polled, not watched"))
            .ok();
        Self { changed, _watcher: watcher }
    }

    /// Waits until the files may have changed. They may also be as they were.
    pub(crate) async fn changed(&self) {
        if tokio::time::timeout(POLL, self.changed.notified()).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
