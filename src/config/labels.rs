//! Which policies the labels of a namespace add to what is configured there.

use std::collections::BTreeMap;

use super::compile::Layer;
use super::{Defaults, Scope, profile};
use crate::engine::Active;
use crate::labels::{Demand, Level};
use crate::mode::Mode;
use crate::policy::PodSecurityVersion;
use crate::policy::catalogue::CATALOGUE;

/// The policies of each level of the Pod Security Standards at every version: the profiles of their names.
pub(super) struct Levels {
    baseline: BTreeMap<PodSecurityVersion, Scope>,
    restricted: BTreeMap<PodSecurityVersion, Scope>,
}

impl Levels {
    pub(super) fn load() -> Result<Self, String> {
        let level = |level: Level| {
            let policies = profile::load(&format!("pss-{}", level.as_str()))?.policies;
            let layer = Layer { ceiling: Mode::Enforce, defaults: Defaults::Off, counts_labels: false, policies };
            let at = |version| (version, layer.compile(version, Mode::Enforce));
            Ok::<_, String>(PodSecurityVersion::all().map(at).collect())
        };
        Ok(Self { baseline: level(Level::Baseline)?, restricted: level(Level::Restricted)? })
    }

    /// What `demands`, strongest first, add to the policies of `scope`, which follow `version`. What is configured to act
    /// as far already, at the same version and with the same settings, does not run twice.
    pub(super) fn beyond(&self, scope: &Scope, version: PodSecurityVersion, demands: &[Demand]) -> Vec<Active> {
        let mut added: Vec<Active> = Vec::new();
        for demand in demands {
            let Some(level) = self.level(*demand) else { continue };
            for policy in level.policies.iter().filter(|policy| policy.mode > Mode::Off) {
                let covers = |other: &Active, settings: &Scope, version| {
                    std::ptr::eq(other.meta, policy.meta)
                        && other.configured >= demand.mode
                        && version == demand.version
                        && settings.settings.get(policy.meta.id) == level.settings.get(policy.meta.id)
                };
                let is_configured = scope.policies.iter().any(|other| covers(other, scope, version));
                let is_added = added.iter().any(|other| {
                    let by = other.label.and_then(|by| Some((self.level(by)?, by.version)));
                    by.is_some_and(|(settings, version)| covers(other, settings, version))
                });
                if !is_configured && !is_added {
                    let (configured, mode) = (demand.mode, demand.mode.min(scope.labels));
                    let added_policy =
                        Active { mode, configured, strict_updates: false, label: Some(*demand), ..policy.clone() };
                    added.push(added_policy);
                }
            }
        }
        added
    }

    fn level(&self, demand: Demand) -> Option<&Scope> {
        match demand.level {
            Level::Privileged => None,
            Level::Baseline => self.baseline.get(&demand.version),
            Level::Restricted => self.restricted.get(&demand.version),
        }
    }
}

/// Brings policies into the catalogue's order; of the same policy the configured one stays first.
pub(super) fn sort(policies: &mut [Active]) {
    policies.sort_by_key(|policy| CATALOGUE.iter().position(|entry| std::ptr::eq(entry.meta, policy.meta)));
}
