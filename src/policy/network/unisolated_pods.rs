//! `unisolated-pods`: every Pod is selected by a NetworkPolicy.
//!
//! The semantics are those of `networking.k8s.io/v1`: a pod is isolated in a direction if some NetworkPolicy of its
//! namespace selects it and has that direction among its policyTypes, even one without any entry, which denies all.
//! With `countsOpen: false` it is not where those that select it together allow everything in that direction
//! (`src/facts/network_policy/openness.rs` says what everything is). Cilium's and Calico's own kinds and ClusterNetworkPolicies count
//! where the API server serves them (`src/facts/network_policy/isolation.rs` says how they add up).
//!
//! A NetworkPolicy that is changed or deleted is judged by the Pods that it leaves without isolation (`removal.rs`).

mod removal;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::addresses::Widest;
use crate::facts::{
    Direction, Facts, Isolation, Lookup, NetworkPolicies, NetworkPolicy, Pending, ServiceAccount, Subject,
};
use crate::object::Pod;
use crate::object::resource::{CHANGED_NETWORK_POLICIES, DELETED_NETWORK_POLICIES};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UnisolatedPods {
    /// Directions in which a pod must be isolated.
    directions: Vec<Direction>,
    /// True if NetworkPolicies that together let everything through isolate a pod all the same.
    counts_open: bool,
    /// Smallest public blocks that count as everything, where open policies do not count.
    widest: Widest,
}

/// A direction in which a Pod is not isolated.
#[derive(Debug, Clone, Copy)]
struct Missing {
    direction: Direction,
    /// True if policies select it, and allow everything.
    is_open: bool,
}

impl Default for UnisolatedPods {
    fn default() -> Self {
        Self { directions: vec![Direction::Ingress, Direction::Egress], counts_open: true, widest: Widest::default() }
    }
}

impl Policy for UnisolatedPods {
    const META: &'static Meta = &Meta {
        id: "unisolated-pods",
        title: "a Pod that no NetworkPolicy isolates, or that is on the node's network",
        severity: Severity::High,
        since: "0.1.0",
        why: "Without a NetworkPolicy a pod reaches, and is reached by, everything in the cluster, so one broken \
              container is a way to all others. Policies of Cilium and Calico and ClusterNetworkPolicies count too: \
              deploy/network-policies.md says how.",
        fix: "create a NetworkPolicy in the namespace whose podSelector selects the pod and whose policyTypes name \
              Ingress and Egress (podSelector: {} without entries denies all by default), and leave hostNetwork off",
        kinds: &[
            Kinds::Pods,
            Kinds::Resource(CHANGED_NETWORK_POLICIES),
            Kinds::Resource(DELETED_NETWORK_POLICIES),
        ],
        fields: &[
            Fields::of(&["metadata.labels"]).allow(&[Allowed::Words("labels that a NetworkPolicy selects")]),
            Fields::of(&["spec.hostNetwork"]).allow(&[Allowed::Absent, Allowed::Value("false")]),
            Fields::of(&["spec.podSelector"]).allow(&[Allowed::Words(
                "in a NetworkPolicy that is changed: what leaves every running Pod isolated that was isolated before, and so for \
                 one that is deleted. Otherwise it is warned of, unless the policy has `updates: strict` or `deletes: enforce`",
            )]),
        ],
        changes: &[],
        controls: &[Control { standard: "NSA/CISA Kubernetes Hardening Guidance", name: "Network policies" }],
    };
}

impl Validator for UnisolatedPods {
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if Kinds::Resource(CHANGED_NETWORK_POLICIES).cover(request)
            || Kinds::Resource(DELETED_NETWORK_POLICIES).cover(request)
        {
            return removal::judge(self, request, facts, report);
        }
        for pod in request.pods() {
            if pod.is_on_host_network() {
                report.add(
                    pod.at("spec.hostNetwork"),
                    "must not be true: no NetworkPolicy applies to the node's network",
                );
            } else {
                self.judge_pod(request, pod, facts, report)?;
            }
        }
        Ok(())
    }

    fn depends_on_others(&self, kinds: Kinds<'_>) -> bool {
        kinds != Kinds::Pods
    }
}

impl UnisolatedPods {
    fn judge_pod(
        &self,
        request: &Request<'_>,
        pod: &Pod<'_>,
        facts: &Facts<'_>,
        report: &mut Report,
    ) -> Result<(), Pending> {
        let namespace: &str = &request.namespace;
        let none = |direction| Missing { direction, is_open: false };
        let mut missing: Vec<Missing> = self.directions.iter().copied().map(none).collect();
        let (mut unknown, mut unread) = (None, String::new());
        // A store may not have heard yet of a policy that was created a moment ago: before a finding, the API server
        // itself is asked.
        for live in [false, true] {
            match facts.network_policies(namespace, live)? {
                Lookup::LeftOut => return Ok(()),
                Lookup::Found(policies) => {
                    let account = account(namespace, pod, facts, &policies)?;
                    missing = self.missing(pod, account.as_deref(), &policies);
                    (unknown, unread) = (None, policies.unread.join("; "));
                }
                Lookup::Unavailable(why) => unknown = Some(why),
                Lookup::Absent => {}
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        let namespace = quoted(namespace);
        let unread = if unread.is_empty() { unread } else { format!(" (not read: {unread})") };
        // A finding for each direction: a change that isolates one of two leaves the other as it was.
        for Missing { direction, is_open } in missing {
            let reason = match &unknown {
                Some(why) => format!("those of namespace {namespace} could not be read ({why})"),
                None if is_open => format!("those in namespace {namespace} that select it together allow everything"),
                None => format!("none in namespace {namespace} selects it"),
            };
            let requirement = format!("must be selected by a NetworkPolicy for {}", direction.noun());
            // Not to be selected is no better than to be selected by policies that allow everything.
            let message = format_args!("{requirement}: {reason}{unread}");
            report.add_alike(pod.at("metadata.labels"), message, true, &requirement);
        }
        Ok(())
    }

    fn missing(&self, pod: &Pod<'_>, account: Option<&ServiceAccount>, policies: &NetworkPolicies) -> Vec<Missing> {
        let label = |key: &str| pod.metadata().and_then(|metadata| metadata.label(key));
        let account_label = |key: &str| account.and_then(|account| account.labels.get(key)).map(String::as_str);
        let subject = Subject {
            pod: &label,
            account: pod.service_account(),
            account_labels: account.is_some().then_some(&account_label),
        };
        let selecting = policies.selecting(&subject);
        let state = |direction| policies.isolation(&selecting, direction, self.counts_open, self.widest);
        let missing = |direction: Direction| match state(direction) {
            Isolation::Isolated => None,
            found => Some(Missing { direction, is_open: found == Isolation::Open }),
        };
        self.directions.iter().copied().filter_map(missing).collect()
    }
}

/// The ServiceAccount of a Pod, where a policy asks for its labels.
fn account(
    namespace: &str,
    pod: &Pod<'_>,
    facts: &Facts<'_>,
    policies: &NetworkPolicies,
) -> Result<Option<Arc<ServiceAccount>>, Pending> {
    if !policies.policies.iter().any(NetworkPolicy::asks_for_account) {
        return Ok(None);
    }
    Ok(match facts.service_account(namespace, pod.service_account())? {
        Lookup::Found(account) => Some(account),
        Lookup::Absent | Lookup::Unavailable(_) | Lookup::LeftOut => None,
    })
}
