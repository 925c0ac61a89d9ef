//! The settings of the trail, from the configuration.

use std::path::PathBuf;

use super::open::Named as NamedSink;
use super::spool::SpoolSettings;

/// The settings of the trail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// File that events are appended to; standard output where there is neither that nor a spool.
    pub file: Option<PathBuf>,
    /// Name of the cluster in every event.
    pub cluster: String,
    /// A disk of ours, from where sinks take events.
    pub spool: Option<SpoolSettings>,
    /// Key that signs checkpoints.
    pub key: Option<KeySettings>,
    /// Sinks that couriers deliver the spool to.
    pub sinks: Vec<NamedSink>,
    /// Of how many decisions without a finding one is written; the others are counted.
    pub sample: u64,
    /// Set when texts are recorded without redaction.
    pub is_unredacted: bool,
    /// The key that makes pseudonyms of identities.
    pub identities_key: Option<PathBuf>,
}

/// The key that signs checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// An Ed25519 private key in PEM.
    pub file: PathBuf,
    /// The name that it signs under.
    pub name: String,
}
