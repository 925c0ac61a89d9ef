//! `webhook-timeouts`: webhooks that together may take longer than the API server gives a request.

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;

use super::others::{mutating, validators};
use super::rules::selects;
use super::{Seen, Trap};
use crate::snapshot::Snapshot;
use crate::webhooks;

/// Seconds that an API server gives a write, its webhooks included (`requestTimeoutUpperBound` in
/// `K/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/rest.go`).
const REQUEST: i64 = 34;
/// Seconds that a webhook gets unless it says otherwise (admissionregistration/v1).
const DEFAULT: i32 = 10;
/// Kinds whose creation is looked at, with their groups.
const KINDS: [(&str, &str); 4] = [("", "pods"), ("apps", "deployments"), ("apps", "replicasets"), ("batch", "jobs")];

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    let longest = KINDS.iter().filter_map(|kind| sum(seen, snapshot, *kind)).max_by_key(|(seconds, _)| *seconds);
    let trap = |(seconds, problem): (i64, String)| {
        (seconds > REQUEST).then(|| {
            Trap::new(
                "webhook-timeouts",
                "all webhooks together",
                problem,
                "lower `timeoutSeconds` of the slowest ones: 3 s are enough for a webhook in the cluster",
            )
        })
    };
    longest.and_then(trap).into_iter().collect()
}

/// Seconds that the creation of a kind may take in webhooks, in words too; `None` where ours does not judge it.
fn sum(seen: &Seen, snapshot: &Snapshot, (group, resource): (&str, &str)) -> Option<(i64, String)> {
    let is_for =
        |rules: &Option<Vec<RuleWithOperations>>| selects(rules.as_deref().unwrap_or_default(), group, resource);
    let seconds = |timeout: Option<i32>| i64::from(timeout.unwrap_or(DEFAULT));
    let ours = webhooks::validating(snapshot, &seen.target).webhooks.unwrap_or_default();
    let ours_longest =
        ours.iter().filter(|webhook| is_for(&webhook.rules)).map(|webhook| seconds(webhook.timeout_seconds)).max()?;
    let own_mutating = webhooks::mutating(snapshot, &seen.target).webhooks.unwrap_or_default();
    // One after the other; those that want to be asked again may be asked twice.
    let each =
        |again: Option<&str>, timeout: Option<i32>| seconds(timeout) * if again == Some("IfNeeded") { 2 } else { 1 };
    let one_by_one: i64 = mutating(seen)
        .map(|(_, webhook)| webhook)
        .chain(&own_mutating)
        .filter(|webhook| is_for(&webhook.rules))
        .map(|webhook| each(webhook.reinvocation_policy.as_deref(), webhook.timeout_seconds))
        .sum();
    // All at once: the longest counts.
    let others = validators(seen).filter(|(_, webhook)| is_for(&webhook.rules));
    let at_once = others.map(|(_, webhook)| seconds(webhook.timeout_seconds)).max().unwrap_or(0).max(ours_longest);
    let total = one_by_one + at_once;
    let problem = format!(
        "creating {resource} may take {total} s: {one_by_one} s in mutating webhooks, one after the other, and {at_once} s in \
         the slowest validating one; the API server gives a write {REQUEST} s, after which it fails whatever failurePolicy \
         says"
    );
    Some((total, problem))
}
