//! `webhook-on-our-pods`, `other-mutating-webhook`: webhooks of others beside ours.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, RuleWithOperations, ValidatingWebhook};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::SelectorExt as _;

use super::replicas::{ours, selector};
use super::rules::{meet, selects};
use super::{LABEL, Seen, Trap, is_enforced, may_refuse};
use crate::snapshot::Snapshot;
use crate::webhooks::{LABELLING, NAME, validating};

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    if !may_refuse(seen, snapshot) {
        return Vec::new();
    }
    let mut traps = Vec::new();
    for (place, webhook) in all(seen) {
        if webhook.fails && selects(webhook.rules, "", "pods") && selects_our_pods(seen, &webhook) {
            traps.push(Trap::new(
                "webhook-on-our-pods",
                place,
                "judges the Pods of Portcullis with failurePolicy Fail: while it does not answer, no replica starts, and while \
                 no replica answers, its own Pods may not start either",
                format!("let its namespaceSelector leave out the namespace {}", seen.target.namespace),
            ));
        }
    }
    let derived = validating(snapshot, &seen.target).webhooks.unwrap_or_default();
    // It sends dry runs of labels, which nothing judges.
    let derived = derived.into_iter().filter(|webhook| webhook.name != LABELLING);
    let judged: Vec<RuleWithOperations> = derived.flat_map(|webhook| webhook.rules.unwrap_or_default()).collect();
    for (configuration, webhook) in mutating(seen) {
        let is_beside = meet(webhook.rules.as_deref().unwrap_or_default(), &judged);
        if is_beside && selects_enforced(seen, snapshot, webhook.namespace_selector.as_ref()) {
            let order = if configuration < NAME { "before" } else { "after" };
            traps.push(Trap::new(
                "other-mutating-webhook",
                format!("MutatingWebhookConfiguration {configuration}: {}", webhook.name),
                format!(
                    "changes the same kinds, and is called {order} ours (by name); what it adds is judged too: one that breaks a \
                     policy makes every object that it changes be refused"
                ),
                "create an object that it changes in a namespace in audit mode, and look at the record",
            ));
        }
    }
    traps
}

/// Selection of a webhook of somebody else.
struct Other<'w> {
    fails: bool,
    rules: &'w [RuleWithOperations],
    namespaces: Option<&'w LabelSelector>,
    objects: Option<&'w LabelSelector>,
}

/// The webhooks of others, each with the sentence that names it.
fn all(seen: &Seen) -> impl Iterator<Item = (String, Other<'_>)> {
    // The two kinds have the same fields, and no type in common.
    macro_rules! other {
        ($kind:literal) => {
            |(configuration, webhook)| {
                let place = format!("{} {configuration}: {}", $kind, webhook.name);
                // The default of the API is `Fail` (admissionregistration/v1).
                let fails = webhook.failure_policy.as_deref().is_none_or(|policy| policy == "Fail");
                let rules = webhook.rules.as_deref().unwrap_or_default();
                let (namespaces, objects) = (webhook.namespace_selector.as_ref(), webhook.object_selector.as_ref());
                (place, Other { fails, rules, namespaces, objects })
            }
        };
    }
    let validating = validators(seen).map(other!("ValidatingWebhookConfiguration"));
    validating.chain(mutating(seen).map(other!("MutatingWebhookConfiguration")))
}

/// Validating webhooks of others, with the name of their configuration.
pub(super) fn validators(seen: &Seen) -> impl Iterator<Item = (&str, &ValidatingWebhook)> {
    let configurations = seen.validating.iter().filter_map(|object| Some((object.metadata.name.as_deref()?, object)));
    let others = configurations.filter(|(name, _)| *name != NAME);
    others.flat_map(|(name, object)| object.webhooks.iter().flatten().map(move |webhook| (name, webhook)))
}

/// Mutating webhooks of others, with the name of their configuration.
pub(super) fn mutating(seen: &Seen) -> impl Iterator<Item = (&str, &MutatingWebhook)> {
    let configurations = seen.mutating.iter().filter_map(|object| Some((object.metadata.name.as_deref()?, object)));
    let others = configurations.filter(|(name, _)| *name != NAME);
    others.flat_map(|(name, object)| object.webhooks.iter().flatten().map(move |webhook| (name, webhook)))
}

fn selects_our_pods(seen: &Seen, webhook: &Other<'_>) -> bool {
    let namespace = labels_of(seen, &seen.target.namespace);
    let pods: Vec<BTreeMap<String, String>> = ours(seen).filter_map(|pod| pod.metadata.labels.clone()).collect();
    let templates = || vec![BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])];
    let pods = if pods.is_empty() { templates() } else { pods };
    is_selected(webhook.namespaces, &namespace) && pods.iter().any(|pod| is_selected(webhook.objects, pod))
}

/// True if a selector selects an enforced namespace that exists.
fn selects_enforced(seen: &Seen, snapshot: &Snapshot, selector: Option<&LabelSelector>) -> bool {
    enforced(seen, snapshot).any(|labels| is_selected(selector, &labels))
}

/// Labels of the namespaces that exist and are enforced.
pub(super) fn enforced<'s>(
    seen: &'s Seen,
    snapshot: &'s Snapshot,
) -> impl Iterator<Item = BTreeMap<String, String>> + 's {
    let names = seen.namespaces.iter().filter_map(|namespace| namespace.metadata.name.as_deref());
    names.filter(|name| is_enforced(seen, snapshot, name)).map(|name| labels_of(seen, name))
}

/// Labels of a namespace, with its name, which every namespace has (KEP-2161).
fn labels_of(seen: &Seen, name: &str) -> BTreeMap<String, String> {
    let namespace = seen.namespaces.iter().find(|namespace| namespace.metadata.name.as_deref() == Some(name));
    let mut labels = namespace.and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    labels
}

/// True if a selector, or none, selects these labels.
pub(super) fn is_selected(wanted: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    wanted.is_none_or(|wanted| selector(wanted.clone()).is_some_and(|selector| selector.matches(labels)))
}
