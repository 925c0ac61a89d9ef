//! Which policies the labels of a namespace add to what is configured there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compile::Layer;
use super::{Defaults, Scope, profile};
use crate::engine::Active;
use crate::labels::{Demand, Level};
use crate::mode::Mode;
use crate::policy::PodSecurityVersion;
use crate::policy::catalogue::{self, CATALOGUE};

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

    /// What `demands`, strongest first, add to the policies of `scope`, which follow `version`. What is found already, at
    /// the same version and acting as far, does not run twice.
    pub(super) fn beyond(&self, scope: &Scope, version: PodSecurityVersion, demands: &[Demand]) -> Vec<Active> {
        let configured: Vec<Run> = runs(scope, version).collect();
        let mut added: Vec<(Demand, Run)> = Vec::new();
        for demand in demands {
            for run in self.level(*demand).into_iter().flat_map(|level| runs(level, demand.version)) {
                let as_far = configured.iter().filter(|own| own.policy.configured >= demand.mode);
                if !as_far.chain(added.iter().map(|(_, other)| other)).any(|other| other.finds_all_of(&run)) {
                    added.push((*demand, run));
                }
            }
        }
        let active = |(demand, run): (Demand, Run<'_>)| Active {
            mode: demand.mode.min(scope.labels),
            configured: demand.mode,
            strict_updates: false,
            label: Some(demand),
            ..run.policy.clone()
        };
        added.into_iter().map(active).collect()
    }

    fn level(&self, demand: Demand) -> Option<&Scope> {
        match demand.level {
            Level::Privileged => None,
            Level::Baseline => self.baseline.get(&demand.version),
            Level::Restricted => self.restricted.get(&demand.version),
        }
    }
}

/// A policy at a version.
struct Run<'p> {
    policy: &'p Active,
    settings: Option<&'p Value>,
    version: PodSecurityVersion,
}

fn runs(scope: &Scope, version: PodSecurityVersion) -> impl Iterator<Item = Run<'_>> {
    let policies = scope.policies.iter().filter(|policy| policy.mode > Mode::Off);
    policies.map(move |policy| Run { policy, settings: scope.settings.get(policy.meta.id), version })
}

impl Run<'_> {
    fn finds_all_of(&self, other: &Self) -> bool {
        let is_same = std::ptr::eq(self.policy.meta, other.policy.meta) && self.settings == other.settings;
        let replaces = || {
            let entry = catalogue::find(self.policy.meta.id);
            entry.is_some_and(|entry| entry.replaces(self.version).contains(&other.policy.meta.id))
        };
        self.version == other.version && (is_same || replaces())
    }
}

/// Brings policies into the catalogue's order; of the same policy the configured one stays first.
pub(super) fn sort(policies: &mut [Active]) {
    policies.sort_by_key(|policy| CATALOGUE.iter().position(|entry| std::ptr::eq(entry.meta, policy.meta)));
}
