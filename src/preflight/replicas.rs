//! `not-installed`, `single-replica`, `no-disruption-budget`: too few replicas while a webhook refuses when nobody answers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use super::{LABEL, Seen, Trap, is_outside, may_refuse};
use crate::snapshot::Snapshot;

/// Replicas without which a restart or a lost node leaves nobody to answer.
const REPLICAS: usize = 2;

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    if !may_refuse(seen, snapshot) || is_outside(&seen.validating) {
        return Vec::new();
    }
    let namespace = &seen.target.namespace;
    let [wanted, ready] = [wanted(seen), ready(seen)];
    if wanted == 0 && ready == 0 {
        return vec![Trap::new(
            "not-installed",
            format!("namespace {namespace}"),
            "has no Deployment or StatefulSet of Portcullis: once the webhooks are installed, every write that they select fails",
            "install the server first, in audit mode, and name its namespace with --namespace",
        )];
    }
    let mut traps = Vec::new();
    if wanted < REPLICAS || ready < REPLICAS {
        traps.push(Trap::new(
            "single-replica",
            format!("Pods of Portcullis in namespace {namespace}"),
            format!("{wanted} wanted, {ready} ready: while fewer than {REPLICAS} are ready, a restart or a lost node makes every enforced write fail"),
            "set `replicas` to 2 or more, and see why a Pod is not ready",
        ));
    } else if !has_budget(seen) {
        traps.push(Trap::new(
            "no-disruption-budget",
            format!("Pods of Portcullis in namespace {namespace}"),
            "no PodDisruptionBudget selects them: a drain of nodes may end all of them at once",
            "create one with minAvailable: 1, as the chart and deploy/base do",
        ));
    }
    traps
}

/// Number of replicas that are wanted.
fn wanted(seen: &Seen) -> usize {
    let is_ours = |template: &PodTemplateSpec| {
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        labels.and_then(|labels| labels.get(LABEL.0)).is_some_and(|value| value == LABEL.1)
    };
    let deployments = seen.deployments.iter().map(|object| (object.spec.replicas, &object.spec.template));
    let stateful_sets = seen.stateful_sets.iter().map(|object| (object.spec.replicas, &object.spec.template));
    let ours = deployments.chain(stateful_sets).filter(|(_, template)| is_ours(template));
    // The default of the API (apps/v1).
    ours.map(|(replicas, _)| usize::try_from(replicas.unwrap_or(1)).unwrap_or(0)).sum()
}

/// Our Pods.
pub(super) fn ours(seen: &Seen) -> impl Iterator<Item = &Pod> {
    seen.pods.iter().filter(|pod| {
        pod.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL.0)).is_some_and(|value| value == LABEL.1)
    })
}

/// Number of our Pods that are ready, and not about to end.
fn ready(seen: &Seen) -> usize {
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        pod.metadata.deletion_timestamp.is_none() && ready.is_some_and(|condition| condition.status == "True")
    };
    ours(seen).filter(is_ready).count()
}

fn has_budget(seen: &Seen) -> bool {
    let selectors = seen.budgets.iter().filter_map(|budget| budget.spec.as_ref()?.selector.clone());
    let selectors: Vec<Selector> = selectors.filter_map(selector).collect();
    let no_labels = BTreeMap::new();
    ours(seen).all(|pod| {
        let labels = pod.metadata.labels.as_ref().unwrap_or(&no_labels);
        selectors.iter().any(|selector| selector.matches(labels))
    })
}

/// A selector that can be evaluated; `None` where the API server would not have taken it.
pub(super) fn selector(selector: LabelSelector) -> Option<Selector> {
    selector.try_into().ok()
}
