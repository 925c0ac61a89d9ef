//! The policies that the labels of a namespace add to the configured ones.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Scope;
use crate::engine::ActivePolicy;
use crate::mode::Mode;
use crate::pod_security::{Demand, Level, Version};
use crate::policy::Meta;
use crate::policy::catalogue::{self, CATALOGUE};

/// The policies of each level of the Pod Security Standards at every version.
pub struct Levels {
    /// Those of the level baseline.
    pub baseline: BTreeMap<Version, Scope>,
    /// Those of the level restricted.
    pub restricted: BTreeMap<Version, Scope>,
}

impl Levels {
    /// The policies that `demands` (strongest first) add to those of `scope`, which follow `version`. A policy is not added
    /// if one in force finds the same, at the same version and in at least the same mode.
    pub(super) fn beyond(&self, scope: &Scope, version: Version, demands: &[Demand]) -> Vec<ActivePolicy> {
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
        let active = |(demand, run): (Demand, Run<'_>)| ActivePolicy {
            mode: demand.mode.min(scope.labels),
            configured: demand.mode,
            strict_updates: false,
            enforces_deletes: false,
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
    policy: &'p ActivePolicy,
    settings: Option<&'p Value>,
    version: Version,
}

fn runs(scope: &Scope, version: Version) -> impl Iterator<Item = Run<'_>> {
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

/// Sorts policies in the catalogue's order; the configured one of equal policies stays first.
pub(super) fn sort(policies: &mut [ActivePolicy]) {
    policies.sort_by_key(|policy| place(policy.meta));
}

/// Place of a policy in the catalogue.
pub(super) fn place(meta: &'static Meta) -> Option<usize> {
    CATALOGUE.iter().position(|entry| std::ptr::eq(entry.meta, meta))
}
