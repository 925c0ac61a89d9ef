//! The configuration file: read whole or not at all, and compiled into a [`Snapshot`] and the settings of the trail.

mod break_glass;
mod compile;
mod exception;
mod existing;
mod generate;
mod levels;
mod namespace;
mod policies;
mod problem;
pub mod profile;
mod raise;
pub mod schema;
mod trail;
mod watch;
mod webhooks;
mod workload;

use std::str::FromStr;

use crate::snapshot::Snapshot;
use crate::trail::Settings;

pub use compile::{compile, compile_at, compile_profile};
pub(crate) use exception::EXCEPTIONS;
pub(crate) use problem::suggestion;
pub use problem::{ConfigError, NotOneOf, Problem, Warning};
pub use watch::{Contents, Reload, watch};

/// A configuration file, compiled.
#[derive(Clone)]
pub struct Configuration {
    /// The policies, modes and workloads in force; a reload replaces it.
    pub snapshot: Snapshot,
    /// Settings of the audit trail. They take effect at the next start.
    pub trail: Settings,
    /// Settings of `portcullis generate`.
    pub generate: crate::generate::Settings,
    /// Warnings about fields that are valid but probably a mistake, each with its place.
    pub warnings: Vec<Warning>,
}

/// The set of mutators that `defaults` turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Defaults {
    /// None.
    #[default]
    Off,
    /// Those that do not affect ordinary images.
    Safe,
    /// All mutators, including those under which some images fail.
    All,
}

impl FromStr for Defaults {
    type Err = NotOneOf;

    fn from_str(text: &str) -> Result<Self, NotOneOf> {
        match text {
            "off" => Ok(Self::Off),
            "safe" => Ok(Self::Safe),
            "all" => Ok(Self::All),
            _ => Err(NotOneOf("off, safe or all")),
        }
    }
}
