//! Traps: what would lock somebody out once the webhooks refuse.
//!
//! [`Seen`] is what was read of a cluster. Each trap is a pure function of that and of the configuration, in a file of its own.

mod critical;
mod endings;
mod kinds;
mod others;
mod reach;
mod replicas;
mod rights;
mod rules;
mod system;
mod timeouts;
mod version;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::mode::Mode;
use crate::snapshot::Snapshot;
use crate::webhooks::{NAME, Target, validating};

pub use self::critical::Critical;
pub use self::rights::{Needs, Right, needed};

/// Label of our Pods and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", "portcullis");

/// Names of all traps.
pub const IDS: [&str; 17] = [
    "ending-exception",
    "enforced-system-namespace",
    "missing-kind",
    "missing-right",
    "no-disruption-budget",
    "no-endpoint",
    "no-service",
    "node-critical-pods",
    "not-installed",
    "old-api-server",
    "other-mutating-webhook",
    "single-replica",
    "unreachable-service",
    "untrusted-certificate",
    "webhook-on-our-pods",
    "webhook-timeouts",
    "webhooks-elsewhere",
];

/// What was read of a cluster. Names in it come from its users.
pub struct Seen {
    /// Where our Service is.
    pub target: Target,
    /// Time of the preflight.
    pub now: Timestamp,
    /// Major and minor version of the API server.
    pub version: Option<(u32, u32)>,
    /// Every validating webhook configuration.
    pub validating: Vec<ValidatingWebhookConfiguration>,
    /// Every mutating webhook configuration.
    pub mutating: Vec<MutatingWebhookConfiguration>,
    /// Every namespace.
    pub namespaces: Vec<Namespace>,
    /// Deployments in our namespace.
    pub deployments: Vec<Deployment>,
    /// StatefulSets in our namespace.
    pub stateful_sets: Vec<StatefulSet>,
    /// Pods in our namespace.
    pub pods: Vec<Pod>,
    /// PodDisruptionBudgets in our namespace.
    pub budgets: Vec<PodDisruptionBudget>,
    /// Our Service.
    pub service: Option<Service>,
    /// Its EndpointSlices.
    pub endpoints: Vec<EndpointSlice>,
    /// Result of asking our server through the API server.
    pub reached: Reached,
    /// Rights that the server needs and does not have.
    pub denied: Vec<Right>,
    /// Pods of the node itself that the webhooks would judge.
    pub critical: Vec<Critical>,
    /// Kinds of `workloads` that the API server does not serve, one line each.
    pub missing: Vec<String>,
}

/// Result of asking our server through the API server's proxy of Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// It answered.
    Answered,
    /// It was not asked; holds the reason.
    NotAsked(String),
    /// The API server could not ask it; holds what the API server said.
    Failed(String),
}

/// Something that would lock somebody out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Name of the trap.
    pub id: &'static str,
    /// The object or setting.
    pub place: String,
    /// What is wrong with it, and what happens then.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Trap {
    fn new(id: &'static str, place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// Every trap that is set.
pub fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    let all = [
        version::traps,
        system::traps,
        critical::traps,
        replicas::traps,
        reach::traps,
        others::traps,
        timeouts::traps,
        rights::traps,
        kinds::traps,
        endings::traps,
    ];
    all.into_iter().flat_map(|traps| traps(seen, snapshot)).collect()
}

/// True if a webhook of ours would refuse while nobody answers.
fn may_refuse(seen: &Seen, snapshot: &Snapshot) -> bool {
    let derived = validating(snapshot, &seen.target).webhooks.unwrap_or_default();
    derived.iter().any(|webhook| webhook.failure_policy.as_deref() == Some("Fail"))
}

/// True if our installed webhooks lead to URLs: the server is not behind a Service of the cluster.
pub fn is_outside(validating: &[ValidatingWebhookConfiguration]) -> bool {
    let ours = validating.iter().filter(|object| object.metadata.name.as_deref() == Some(NAME));
    let mut webhooks = ours.flat_map(|object| object.webhooks.iter().flatten()).peekable();
    webhooks.peek().is_some() && webhooks.all(|webhook| webhook.client_config.url.is_some())
}

/// True if Pods of a namespace are sent to a webhook that refuses while nobody answers.
fn is_enforced(seen: &Seen, snapshot: &Snapshot, namespace: &str) -> bool {
    let found = seen.namespaces.iter().find(|found| found.metadata.name.as_deref() == Some(namespace));
    let labels = found.and_then(|found| found.metadata.labels.as_ref());
    let scope = snapshot
        .raised(namespace, |label| label.is_in(|key| labels.and_then(|labels| labels.get(key)).map(String::as_str)));
    namespace != seen.target.namespace && scope.strongest_on(Some(namespace), |_| true) == Mode::Enforce
}

#[cfg(test)]
mod tests;
