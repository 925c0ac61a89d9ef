//! `webhook-timeouts`: webhooks that together may take longer than the API server gives a request.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::others::{enforced, is_selected, mutating, validators};
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
    let mut longest: Option<(i64, String)> = None;
    for labels in enforced(seen, snapshot) {
        let sums = KINDS.iter().filter_map(|kind| sum(seen, snapshot, *kind, &labels));
        longest = longest.into_iter().chain(sums).max_by_key(|(seconds, _)| *seconds);
    }
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

/// Seconds that the creation of a kind in a namespace with these labels may take in webhooks, in words too; `None` where ours
/// does not judge it.
fn sum(
    seen: &Seen,
    snapshot: &Snapshot,
    (group, resource): (&str, &str),
    labels: &BTreeMap<String, String>,
) -> Option<(i64, String)> {
    let is_for = |rules: &Option<Vec<RuleWithOperations>>, selector: &Option<LabelSelector>| {
        selects(rules.as_deref().unwrap_or_default(), group, resource) && is_selected(selector.as_ref(), labels)
    };
    let seconds = |timeout: Option<i32>| i64::from(timeout.unwrap_or(DEFAULT));
    let ours = webhooks::validating(snapshot, &seen.target).webhooks.unwrap_or_default();
    let ours = ours.iter().filter(|webhook| is_for(&webhook.rules, &webhook.namespace_selector));
    let ours_longest = ours.map(|webhook| seconds(webhook.timeout_seconds)).max()?;
    // One after the other; those that want to be asked again may be asked twice. Webhooks of one configuration that select by
    // labels of the object are alternatives, as those of a service mesh are: the longest of them counts.
    let own = webhooks::mutating(snapshot, &seen.target).webhooks.unwrap_or_default();
    let (mut one_by_one, mut alternatives) = (0, BTreeMap::<&str, i64>::new());
    for (configuration, webhook) in mutating(seen).chain(own.iter().map(|webhook| (webhooks::NAME, webhook))) {
        if !is_for(&webhook.rules, &webhook.namespace_selector) {
            continue;
        }
        let times = if webhook.reinvocation_policy.as_deref() == Some("IfNeeded") { 2 } else { 1 };
        let cost = seconds(webhook.timeout_seconds) * times;
        if webhook.object_selector.as_ref().is_some_and(|selector| *selector != LabelSelector::default()) {
            let longest = alternatives.entry(configuration).or_default();
            *longest = cost.max(*longest);
        } else {
            one_by_one += cost;
        }
    }
    one_by_one += alternatives.values().sum::<i64>();
    // All at once: the longest counts.
    let others = validators(seen).filter(|(_, webhook)| is_for(&webhook.rules, &webhook.namespace_selector));
    let at_once = others.map(|(_, webhook)| seconds(webhook.timeout_seconds)).max().unwrap_or(0).max(ours_longest);
    let total = one_by_one + at_once;
    let problem = format!(
        "creating {resource} may take {total} s: {one_by_one} s in mutating webhooks, one after the other, and {at_once} s in \
         the slowest validating one; the API server gives a write {REQUEST} s, after which it fails whatever failurePolicy says"
    );
    Some((total, problem))
}
