//! Policies that need not run, because another one finds all that they find.

use crate::engine::ActivePolicy;
use crate::pod_security::Version;
use crate::policy::{Meta, catalogue};

/// True if a policy finds all that another one finds.
pub(super) fn replaces(meta: &Meta, other: &Meta, version: Version) -> bool {
    catalogue::find(meta.id).is_some_and(|entry| entry.replaces(version).contains(&other.id))
}

/// Drops each policy whose findings another policy also reports in at least the same mode.
pub fn without_replaced(policies: Vec<ActivePolicy>, version: Version) -> Vec<ActivePolicy> {
    let is_replaced = |one: &ActivePolicy| {
        policies.iter().any(|other| {
            replaces(other.meta, one.meta, version)
                && other.mode >= one.mode
                && other.configured >= one.configured
                && other.strict_updates >= one.strict_updates
                && other.enforces_deletes >= one.enforces_deletes
        })
    };
    let kept: Vec<bool> = policies.iter().map(|policy| !is_replaced(policy)).collect();
    policies.into_iter().zip(kept).filter_map(|(policy, is_kept)| is_kept.then_some(policy)).collect()
}
