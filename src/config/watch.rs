//! Hot reload: a valid file replaces the whole configuration; an invalid one changes nothing and reports all its errors.

use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ConfigError, Configuration, Warning, compile};
use crate::document::Position;
use crate::files::FileWatch;
use crate::snapshot::{Snapshot, Weaker, weaker};
use crate::trail::Settings;

/// The result of a change of the file.
pub enum Reload {
    /// The new configuration is in force.
    Taken {
        /// Digest of the configuration before.
        old: Arc<str>,
        /// The new snapshot.
        new: Arc<Snapshot>,
        /// Policies that became weaker.
        weaker: Vec<Weaker>,
        /// The settings of the trail, which take effect at the next start.
        trail: Box<Settings>,
        /// Warnings about fields that are valid but probably a mistake.
        warnings: Vec<Warning>,
    },
    /// The new configuration has errors; the last valid one stays in force.
    Refused(ConfigError),
}

/// Watches `file`, replaces `current` when its content changes, and calls `each` after every reload. Never returns.
pub async fn watch<F: Future<Output = ()>>(
    file: PathBuf,
    first: String,
    current: Arc<ArcSwap<Snapshot>>,
    mut each: impl FnMut(Reload) -> F,
) {
    let files = FileWatch::new([file.as_path()]);
    let mut last = Ok(first);
    loop {
        files.changed().await;
        let Some(read) = crate::files::read(&file) else { continue };
        let text = read.map_err(|error| ReadError::File(error.to_string()));
        let text = text.and_then(|bytes| Ok(String::from_utf8(bytes)?));
        if text == last {
            continue;
        }
        last.clone_from(&text);
        let reload = match load(&file, text) {
            Ok(Configuration { mut snapshot, trail, warnings }) => {
                snapshot.keep_redaction(&current.load());
                snapshot.keep_uses(&current.load());
                let new = Arc::new(snapshot);
                let old = current.swap(Arc::clone(&new));
                let weaker = weaker(&old, &new);
                Reload::Taken { old: Arc::clone(old.digest()), weaker, new, trail: Box::new(trail), warnings }
            }
            Err(error) => Reload::Refused(error),
        };
        each(reload).await;
    }
}

/// The file could not be read as text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum ReadError {
    /// An I/O error, as text: those of the standard library cannot be compared.
    #[error("{0}")]
    File(String),
    #[error(transparent)]
    Utf8(#[from] FromUtf8Error),
}

fn load(file: &Path, text: Result<String, ReadError>) -> Result<Configuration, ConfigError> {
    let name = file.display().to_string();
    match text {
        Ok(text) => compile(&name, &text, None),
        Err(error) => {
            let message = error.to_string();
            let position = Position { line: 1, column: 1 };
            Err(ConfigError(vec![super::Problem { file: name.into(), position, field: String::new(), message }]))
        }
    }
}
