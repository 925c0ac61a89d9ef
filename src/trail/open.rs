//! From what was configured to a trail that takes records.

use std::sync::Arc;

use super::courier::{Courier, Couriers};
use super::proof::Signer;
use super::spool::{Output, Spool};
use super::{Beginning, Settings, Trail, sink};

/// Opens the trail, and sends couriers to its sinks. Needs a runtime.
///
/// # Errors
/// A sentence that names the sink or file and its error.
pub async fn open(settings: &Settings, beginning: &Beginning) -> Result<(Trail, Couriers), String> {
    let Some(kept) = &settings.spool else {
        let (output, name) = match &settings.file {
            Some(file) => (Output::file(file), file.display().to_string()),
            None => (Output::stdout(), "standard output".to_owned()),
        };
        let named = |error| format!("the trail at {name}: {error}");
        let trail = Trail::direct(output.map_err(named)?, beginning).map_err(named)?;
        return Ok((trail, Couriers::default()));
    };
    let signer = settings.key.as_ref().map(|key| Signer::read(&key.file, &key.name)).transpose();
    let signer = signer.map_err(|error| format!("the trail's key: {error}"))?;
    if let Some(signer) = &signer {
        tracing::info!(key = %signer.verifier(), "checkpoints are signed; this key verifies them");
    }
    let named = |error| format!("the spool at {}: {error}", kept.directory.display());
    let spool = Spool::open(kept.clone(), signer).map_err(named)?;
    let index = Arc::clone(spool.index());
    // Before anything is written or removed: what the sinks need is known, and where they go on.
    let mut couriers = Vec::new();
    for sink in &settings.sinks {
        let opened =
            sink.settings.open(&settings.cluster).await.map_err(|error| format!("the sink {}: {error}", sink.name))?;
        let courier = Courier::new(&sink.name, opened, &index, &kept.directory);
        couriers.push(courier.map_err(|error| format!("the sink {}: {error}", sink.name))?);
    }
    let trail = Trail::spooled(spool, beginning).map_err(named)?;
    for (class, body) in couriers.iter().flat_map(Courier::ahead) {
        if let Err(error) = trail.record(class, None, body).await {
            tracing::error!(%error, "what a sink had more than the spool could not be recorded");
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
