//! Versions of the Pod Security Standards.

use std::fmt;
use std::str::FromStr;

/// The newest minor version of Kubernetes 1 whose standards this program knows.
const NEWEST: u16 = 37;

/// A version of the Pod Security Standards, as in the label `pod-security.kubernetes.io/enforce-version`:
/// `latest` or `v1.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u16);

impl Version {
    /// The newest version that this program knows.
    pub const LATEST: Self = Self(NEWEST);

    /// Every version that this program knows, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=NEWEST).map(Self)
    }

    /// True for `v1.minor` and later versions.
    pub const fn is_since(self, minor: u16) -> bool {
        self.0 >= minor
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::LATEST
    }
}

/// The text is not a version of the Pod Security Standards that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A version of Kubernetes newer than this program.
    #[error("must be at most v1.{NEWEST}, the newest version that this program knows")]
    TooNew,
    /// Neither `latest` nor `v1.N`.
    #[error("must be `latest` or a version from v1.0 to v1.{NEWEST}")]
    Malformed,
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text == "latest" {
            return Ok(Self::LATEST);
        }
        let minor = text.strip_prefix("v1.").filter(|minor| *minor == "0" || !minor.starts_with(['0', '+']));
        match minor.and_then(|minor| minor.parse().ok()) {
            Some(minor) if minor <= NEWEST => Ok(Self(minor)),
            Some(_) => Err(VersionError::TooNew),
            None => Err(VersionError::Malformed),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "v1.{}", self.0)
    }
}
