//! How far a policy acts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a policy acts, weakest first: a ceiling is a minimum of two modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not run.
    #[default]
    Off,
    /// Recorded.
    Audit,
    /// Recorded, and an API warning.
    Warn,
    /// Refused, or set.
    Enforce,
}

impl Mode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 4] = [Self::Off, Self::Audit, Self::Warn, Self::Enforce];

    /// The word in configuration and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| "must be off, audit, warn or enforce".to_owned())
    }
}
