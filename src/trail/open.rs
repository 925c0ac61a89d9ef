//! From what was configured to a trail that takes records.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::courier::{Courier, Couriers};
use super::proof::{KeyError, Signer};
use super::spool::{Output, OutputError, Spool};
use super::{Beginning, Settings, Trail, sink};

/// Reason why a trail could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its output could not be written.
    #[error("the trail at {name}: {source}")]
    Output {
        /// The file, or standard output.
        name: String,
        /// The error.
        source: OutputError,
    },
    /// The key that signs checkpoints cannot be used.
    #[error("the trail's key: {0}")]
    Key(#[source] KeyError),
    /// The spool could not be read or written.
    #[error("the spool at {}: {source}", directory.display())]
    Spool {
        /// The folder of the spool.
        directory: PathBuf,
        /// The error.
        source: OutputError,
    },
    /// A sink could not be made ready.
    #[error("the sink {name}: {source}")]
    Sink {
        /// The name of the sink.
        name: String,
        /// The error.
        source: sink::OpenError,
    },
    /// The place where a sink goes on could not be kept.
    #[error("the sink {name}: {source}")]
    Cursor {
        /// The name of the sink.
        name: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Opens the trail, and sends couriers to its sinks. Needs a runtime.
///
/// # Errors
/// [`OpenError`].
pub async fn open(settings: &Settings, beginning: &Beginning) -> Result<(Trail, Couriers), OpenError> {
    let Some(kept) = &settings.spool else {
        let (output, name) = match &settings.file {
            Some(file) => (Output::file(file), file.display().to_string()),
            None => (Output::stdout(), "standard output".to_owned()),
        };
        let named = |source| OpenError::Output { name: name.clone(), source };
        let trail = Trail::direct(output.map_err(named)?, beginning).map_err(named)?;
        return Ok((trail, Couriers::default()));
    };
    let signer = settings.key.as_ref().map(|key| Signer::read(&key.file, &key.name)).transpose();
    let signer = signer.map_err(OpenError::Key)?;
    if let Some(signer) = &signer {
        tracing::info!(key = %signer.verifier(), "checkpoints are signed; this key verifies them");
    }
    let named = |source| OpenError::Spool { directory: kept.directory.clone(), source };
    let spool = Spool::open(kept.clone(), signer).map_err(named)?;
    let index = Arc::clone(spool.index());
    // Before anything is written or removed: what the sinks need is known, and where they go on.
    let mut couriers = Vec::new();
    for sink in &settings.sinks {
        let name = || sink.name.clone();
        let opened = sink.settings.open(&settings.cluster).await;
        let opened = opened.map_err(|source| OpenError::Sink { name: name(), source })?;
        let courier = Courier::new(&sink.name, opened, &index, &kept.directory);
        couriers.push(courier.map_err(|source| OpenError::Cursor { name: name(), source })?);
    }
    let trail = Trail::spooled(spool, beginning).map_err(named)?;
    for (class, body) in couriers.iter().flat_map(Courier::ahead) {
        if let Err(error) = trail.record(class, None, body).await {
            tracing::error!(%error, "the notice of a sink that has more records than the spool could not be recorded");
        }
    }
    Ok((trail, Couriers::send(couriers)))
}

/// A sink with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The name, as in metrics and beside the spool.
    pub name: String,
    /// Its settings.
    pub settings: sink::Settings,
}
