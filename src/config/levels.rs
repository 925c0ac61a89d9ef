//! The policies of each level of the Pod Security Standards: the profiles of their names.

use super::Defaults;
use super::compile::PolicyLayer;
use super::profile::{self, ProfileError};
use crate::mode::Mode;
use crate::pod_security::{Level, Version};
use crate::snapshot::Levels;

/// Compiles the profiles of both levels, at every version.
pub(super) fn load() -> Result<Levels, ProfileError> {
    let level = |level: Level| {
        let policies = profile::load(&format!("pss-{}", level.as_str()))?.policies;
        let layer = PolicyLayer {
            ceiling: Mode::Enforce,
            defaults: Defaults::Off,
            counts_labels: false,
            kept: Vec::new(),
            break_glass: [].into(),
            policies,
        };
        let at = |version| (version, layer.compile(version, Mode::Enforce));
        Ok::<_, ProfileError>(Version::all().map(at).collect())
    };
    Ok(Levels { baseline: level(Level::Baseline)?, restricted: level(Level::Restricted)? })
}
