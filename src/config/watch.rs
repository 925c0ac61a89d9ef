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
        /// The settings of the generator.
        generate: Box<crate::generate::Settings>,
        /// Warnings about fields that are valid but probably a mistake.
        warnings: Vec<Warning>,
        /// Text of the file.
        text: String,
    },
    /// The new configuration has errors; the last valid one stays in force.
    Refused(ConfigError),
}

/// Contents of a configuration file when it was read, or the reason why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents(Result<String, ReadError>);

impl Contents {
    /// A file that holds `text`.
    pub fn of(text: String) -> Self {
        Self(Ok(text))
    }

    /// Reads `file`; `None` when it cannot be read for now, for lack of a system resource.
    pub fn read(file: &Path) -> Option<Self> {
        let text = crate::files::read(file)?.map_err(|error| ReadError::File(error.to_string()));
        Some(Self(text.and_then(|bytes| Ok(String::from_utf8(bytes)?))))
    }

    /// The configuration in it, with its text. `file` is named in the errors.
    ///
    /// # Errors
    /// When the file could not be read, and all errors in it.
    pub fn compile(&self, file: &Path) -> Result<(Configuration, &str), ConfigError> {
        let name = file.display().to_string();
        match &self.0 {
            Ok(text) => Ok((compile(&name, text, None)?, text)),
            Err(error) => {
                let message = error.to_string();
                let position = Position { line: 1, column: 1 };
                Err(ConfigError(vec![super::Problem { file: name.into(), position, field: String::new(), message }]))
            }
        }
    }
}

/// Watches `file`, replaces `current` when its content is no longer `last`, and calls `each` after every reload. Never returns.
pub async fn watch<F: Future<Output = ()>>(
    file: PathBuf,
    mut last: Contents,
    current: Arc<ArcSwap<Snapshot>>,
    mut each: impl FnMut(Reload) -> F,
) {
    let files = FileWatch::new([file.as_path()]);
    loop {
        files.changed().await;
        let Some(contents) = Contents::read(&file).filter(|contents| *contents != last) else { continue };
        last = contents;
        let reload = match last.compile(&file) {
            Ok((Configuration { mut snapshot, trail, generate, warnings }, text)) => {
                snapshot.keep_redaction(&current.load());
                snapshot.keep_uses(&current.load());
                let new = Arc::new(snapshot);
                let old = current.swap(Arc::clone(&new));
                let weaker = weaker(&old, &new);
                let (old, text) = (Arc::clone(old.digest()), text.to_owned());
                let (trail, generate) = (Box::new(trail), Box::new(generate));
                Reload::Taken { old, weaker, new, trail, generate, warnings, text }
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
