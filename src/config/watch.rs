//! Hot reload: a good file is taken whole, a bad one changes nothing and says every error in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ConfigError, Snapshot, Weaker, compile, weaker};
use crate::document::Position;
use crate::files::FileWatch;

/// What became of a change of the file.
pub enum Reload {
    /// It is in force.
    Taken {
        /// Digest of the configuration before.
        old: Arc<str>,
        /// The new one.
        new: Arc<Snapshot>,
        /// What got weaker.
        weaker: Vec<Weaker>,
    },
    /// The last good one stays in force.
    Refused(ConfigError),
}

/// Keeps `current` at what `file` says, and tells `each` of every reload. Never returns.
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
        let text = read.map_err(|error| error.to_string());
        let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        if text == last {
            continue;
        }
        last.clone_from(&text);
        let reload = match load(&file, text) {
            Ok(mut new) => {
                new.keep_redaction(&current.load());
                let new = Arc::new(new);
                let old = current.swap(Arc::clone(&new));
                Reload::Taken { old: Arc::clone(old.digest()), weaker: weaker(&old, &new), new }
            }
            Err(error) => Reload::Refused(error),
        };
        each(reload).await;
    }
}

fn load(file: &Path, text: Result<String, String>) -> Result<Snapshot, ConfigError> {
    let name = file.display().to_string();
    match text {
        Ok(text) => compile(&name, &text, None),
        Err(message) => {
            let position = Position { line: 1, column: 1 };
            Err(ConfigError(vec![super::Problem { file: name.into(), position, field: String::new(), message }]))
        }
    }
}
