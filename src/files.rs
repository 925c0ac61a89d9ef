//! Watches files as Kubernetes mounts them.
//!
//! The kubelet updates a mounted Secret or ConfigMap by swapping the symlink `..data` beside the files, so the *folder*
//! is watched, and a slow poll catches what the watch misses (network file systems, a folder that was replaced).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, Watcher};
use rustix::io::Errno;
use tokio::sync::Notify;

/// Time that a folder must be quiet before its files are read: a file that is written in several steps is read once, whole.
const SETTLE: Duration = Duration::from_millis(25);
/// Maximum number of such waits in a folder that is never quiet.
const UNSETTLED: usize = 40;
/// Time between two reads without a notification.
const POLL: Duration = Duration::from_secs(5);

/// True if a file could not be read for lack of a system resource: the error tells nothing about the file, and the next
/// look may succeed.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    // The system, or the process, has no more open files or memory to give.
    matches!(Errno::from_io_error(error), Some(Errno::NFILE | Errno::MFILE | Errno::NOMEM))
}

/// Reads a file that is read again and again; `None` when it cannot be read for now.
pub(crate) fn read(file: &Path) -> Option<io::Result<Vec<u8>>> {
    match std::fs::read(file) {
        Err(error) if is_passing(&error) => {
            tracing::warn!(%error, file = %file.display(), "a file cannot be read for now; it is tried again");
            None
        }
        read => Some(read),
    }
}

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
        let notice = move |event: notify::Result<Event>| {
            if !event.is_ok_and(|event| is_reading(event.kind)) {
                wake.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(notice).and_then(|mut watcher| {
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
        if tokio::time::timeout(POLL, self.changed.notified()).await.is_err() {
            return;
        }
        for _ in 0..UNSETTLED {
            if tokio::time::timeout(SETTLE, self.changed.notified()).await.is_err() {
                break;
            }
        }
    }
}

/// True if a file was merely opened or read. Its owner does that too, and would wake itself forever.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::FileWatch;

    #[tokio::test]
    async fn reading_a_file_does_not_wake_its_reader_but_writing_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "one").expect("written");
        let watch = FileWatch::new([file.as_path()]);
        std::fs::read(&file).expect("read");
        // Shorter than the poll, longer than a wake-up takes.
        let woken = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
        assert!(woken.is_err(), "reading woke the reader");
        std::fs::write(&file, "two").expect("written");
        let woken = tokio::time::timeout(Duration::from_secs(3), watch.changed()).await;
        assert!(woken.is_ok(), "writing did not wake the reader");
    }
}
