//! `unisolated-pods`: every Pod is selected by a NetworkPolicy.
//!
//! The semantics are those of `networking.k8s.io/v1`: a pod is isolated in a direction if some NetworkPolicy of its
//! namespace selects it and has that direction among its policyTypes, even one without any entry, which denies all.
//! With `countsOpen: false` it is not where those that select it together allow everything in that direction
//! (`src/facts/network_policy/openness.rs` says what everything is). Cilium's and Calico's own kinds (CiliumNetworkPolicy,
//! GlobalNetworkPolicy, …) are not read.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::addresses::Widest;
use crate::facts::{Direction, Facts, Lookup, NetworkPolicy, Pending, allow_everything};
use crate::object::Pod;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UnisolatedPods {
    /// Directions in which a pod must be isolated.
    directions: Vec<Direction>,
    /// Whether NetworkPolicies that together let everything through count.
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
              container is a way to all others. Policies of Cilium's and Calico's own kinds are not seen: where they \
              isolate pods, turn this off.",
        fix: "create a NetworkPolicy in the namespace whose podSelector selects the pod and whose policyTypes name \
              Ingress and Egress (podSelector: {} without entries denies all by default), and leave hostNetwork off",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["metadata.labels"]).allow(&[Allowed::Words("labels that a NetworkPolicy selects")]),
            Fields::of(&["spec.hostNetwork"]).allow(&[Allowed::Absent, Allowed::Value("false")]),
        ],
        changes: &[],
        controls: &[Control { standard: "NSA/CISA Kubernetes Hardening Guidance", name: "Network policies" }],
    };
}

impl Validator for UnisolatedPods {
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
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
        let mut unknown = None;
        // A store may not have heard yet of a policy that was created a moment ago: before a finding, the API server
        // itself is asked.
        for live in [false, true] {
            match facts.network_policies(namespace, live)? {
                Lookup::LeftOut => return Ok(()),
                Lookup::Found(policies) => {
                    missing = self.missing(pod, &policies);
                    unknown = None;
                }
                Lookup::Unavailable(why) => unknown = Some(why),
                Lookup::Absent => {}
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        let namespace = quoted(namespace);
        // A finding for each direction: a change that isolates one of two leaves the other as it was.
        for Missing { direction, is_open } in missing {
            let reason = match &unknown {
                Some(why) => format!("those of namespace {namespace} could not be read ({why})"),
                None if is_open => format!("those in namespace {namespace} that select it together allow everything"),
                None => format!("none in namespace {namespace} selects it"),
            };
            let requirement = format!("must be selected by a NetworkPolicy for {}", direction.noun());
            // Not to be selected is no better than to be selected by policies that allow everything.
            report.add_alike(pod.at("metadata.labels"), format_args!("{requirement}: {reason}"), true, &requirement);
        }
        Ok(())
    }

    fn missing(&self, pod: &Pod<'_>, policies: &[NetworkPolicy]) -> Vec<Missing> {
        let label = |key: &str| pod.metadata().and_then(|metadata| metadata.label(key));
        let selecting: Vec<&NetworkPolicy> = policies.iter().filter(|policy| policy.selector.selects(label)).collect();
        let missing = |direction: Direction| {
            let is_isolated = selecting.iter().any(|policy| policy.isolates(direction));
            let is_open = || !self.counts_open && allow_everything(selecting.iter().copied(), direction, self.widest);
            (!is_isolated || is_open()).then_some(Missing { direction, is_open: is_isolated })
        };
        self.directions.iter().copied().filter_map(missing).collect()
    }
}
