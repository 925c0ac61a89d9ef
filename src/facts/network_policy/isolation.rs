//! The policies that select a Pod, in the order in which their engine applies them.
//!
//! Cilium and Calico apply NetworkPolicies beside their own kinds, so these add up with each engine's. Where policies of several
//! engines select a Pod, traffic has to pass all of them: one engine that does not let everything through is enough.
//!
//! - *Kubernetes*: rules of the Admin tier by priority, then NetworkPolicies, then, where none isolates the Pod, the Baseline tier.
//!   A ClusterNetworkPolicy denies nothing that it does not name, so it isolates a Pod by what its rules leave alone.
//! - *Cilium*: what a rule denies is denied, and the other rules add up. Without a policy that turns default deny on, what no rule
//!   denies is allowed.
//! - *Calico*: rules by order and name within a tier, NetworkPolicies at order 1000 of the tier `default`. The order of tiers is not
//!   read: what any tier allows counts as allowed. What the last tier passes on, a namespace's profile allows: that is what `default`
//!   passes on, and any other tier that is the only one.

use std::borrow::Cow;

use super::openness::are_everything;
use super::rules::{Action, Rule};
use super::{Direction, NetworkPolicy, Place};
use crate::addresses::Widest;
use crate::steps::counted;

/// The tier of policies that name none.
pub(super) const DEFAULT_TIER: &str = "default";
/// The order of NetworkPolicies in Calico's default tier.
const NETWORK_POLICIES: f64 = 1000.0;

/// The state of a Pod in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Something is stopped.
    Isolated,
    /// Policies select it, and let everything through.
    Open,
    /// No policy that isolates selects it.
    Unselected,
}

/// An engine that applies policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Kubernetes,
    Cilium,
    Calico,
}

/// The state of a Pod that these policies select. With `counts_open` the default deny of one of them is enough.
pub(super) fn isolation(
    selecting: &[&NetworkPolicy],
    direction: Direction,
    counts_open: bool,
    widest: Widest,
) -> Isolation {
    let here: Vec<&NetworkPolicy> = selecting.iter().copied().filter(|one| one.side(direction).is_some()).collect();
    let mut found = Isolation::Unselected;
    for engine in engines(&here) {
        let applied = |policy: &&NetworkPolicy| policy.place.engine().is_none_or(|of| of == engine);
        let policies: Vec<&NetworkPolicy> = here.iter().copied().filter(applied).collect();
        let isolates = policies.iter().any(|policy| policy.isolates(direction));
        if isolates && counts_open {
            return Isolation::Isolated;
        }
        let denies = |policy: &&NetworkPolicy| counted(policy.rules(direction)).any(|rule| rule.action == Action::Deny);
        if !isolates && !policies.iter().any(denies) {
            continue;
        }
        let allowed = allowed(engine, &policies, direction);
        if !are_everything(allowed.iter().map(AsRef::as_ref).collect(), widest) {
            return Isolation::Isolated;
        }
        if isolates {
            found = Isolation::Open;
        }
    }
    found
}

/// The engines whose policies these are.
fn engines(policies: &[&NetworkPolicy]) -> Vec<Engine> {
    let of = |engine: &Engine| policies.iter().any(|policy| policy.place.engine() == Some(*engine));
    let mut engines: Vec<Engine> =
        [Engine::Kubernetes, Engine::Cilium, Engine::Calico].into_iter().filter(of).collect();
    if engines.is_empty() && !policies.is_empty() {
        engines.push(Engine::Kubernetes);
    }
    engines
}

impl Place {
    /// The engine; `None` if every one of them applies the policy.
    fn engine(&self) -> Option<Engine> {
        match self {
            Self::Kubernetes => None,
            Self::Cluster { .. } => Some(Engine::Kubernetes),
            Self::Cilium => Some(Engine::Cilium),
            Self::Calico { .. } => Some(Engine::Calico),
        }
    }

    /// Tier and order within Calico.
    fn in_calico(&self) -> Option<(&str, u64)> {
        match self {
            Self::Kubernetes => Some((DEFAULT_TIER, sortable(NETWORK_POLICIES))),
            Self::Calico { tier, order } => Some((tier, *order)),
            Self::Cluster { .. } | Self::Cilium => None,
        }
    }
}

/// The number that sorts as an order does.
pub(super) fn sortable(order: f64) -> u64 {
    let bits = order.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The rules that one engine's policies leave, of which each allows what it names.
fn allowed<'p>(engine: Engine, policies: &[&'p NetworkPolicy], direction: Direction) -> Vec<Cow<'p, Rule>> {
    match engine {
        Engine::Kubernetes => by_kubernetes(policies, direction),
        Engine::Cilium => by_cilium(policies, direction),
        Engine::Calico => by_calico(policies, direction),
    }
}

fn by_kubernetes<'p>(policies: &[&'p NetworkPolicy], direction: Direction) -> Vec<Cow<'p, Rule>> {
    let mut sequence = Sequence::default();
    let tier = |sequence: &mut Sequence<'p>, admin: bool| {
        let mut policies: Vec<(i64, &NetworkPolicy)> = policies
            .iter()
            .filter_map(|policy| match policy.place {
                Place::Cluster { is_admin, priority } if is_admin == admin => Some((priority, *policy)),
                _ => None,
            })
            .collect();
        policies.sort_by_key(|(priority, policy)| (*priority, policy.name.as_str()));
        for (_, policy) in policies {
            counted(policy.rules(direction)).for_each(|rule| sequence.add(rule));
        }
        sequence.passed.clear();
    };
    tier(&mut sequence, true);
    let mut network_policies = policies.iter().filter(|policy| policy.place == Place::Kubernetes).peekable();
    if network_policies.peek().is_some() {
        for policy in network_policies {
            counted(policy.rules(direction)).for_each(|rule| sequence.add(rule));
        }
    } else {
        tier(&mut sequence, false);
        sequence.add_owned(Rule::everything());
    }
    sequence.allowed
}

fn by_cilium<'p>(policies: &[&'p NetworkPolicy], direction: Direction) -> Vec<Cow<'p, Rule>> {
    let mut sequence = Sequence::default();
    for denies in [true, false] {
        for policy in policies {
            let rules = counted(policy.rules(direction)).filter(|rule| (rule.action == Action::Deny) == denies);
            rules.for_each(|rule| sequence.add(rule));
        }
    }
    if !policies.iter().any(|policy| policy.isolates(direction)) {
        sequence.add_owned(Rule::everything());
    }
    sequence.allowed
}

fn by_calico<'p>(policies: &[&'p NetworkPolicy], direction: Direction) -> Vec<Cow<'p, Rule>> {
    let mut placed: Vec<((&str, u64), &'p NetworkPolicy)> =
        policies.iter().filter_map(|policy| Some((policy.place.in_calico()?, *policy))).collect();
    placed.sort_by_key(|(place, policy)| (*place, policy.name.as_str()));
    let mut allowed = Vec::new();
    let tiers: Vec<_> = placed.chunk_by(|((one, _), _), ((other, _), _)| one == other).collect();
    for policies in &tiers {
        let mut sequence = Sequence::default();
        for (_, policy) in *policies {
            counted(policy.rules(direction)).for_each(|rule| sequence.add(rule));
        }
        let is_last = tiers.len() == 1 || policies.first().is_some_and(|((tier, _), _)| *tier == DEFAULT_TIER);
        if is_last {
            allowed.extend(sequence.passed.into_iter().map(Cow::Owned));
        }
        allowed.extend(sequence.allowed);
    }
    allowed
}

/// Rules of which the first that names some traffic decides it.
#[derive(Default)]
struct Sequence<'p> {
    allowed: Vec<Cow<'p, Rule>>,
    denied: Vec<Rule>,
    /// Traffic that the tier passes on.
    passed: Vec<Rule>,
}

impl<'p> Sequence<'p> {
    fn add(&mut self, rule: &'p Rule) {
        match rule.action {
            // Most policies deny nothing, and need no copy.
            Action::Allow if self.denied.is_empty() && self.passed.is_empty() => self.allowed.push(Cow::Borrowed(rule)),
            Action::Allow => self.add_owned(rule.clone()),
            Action::Deny => {
                let new = self.without_passed(rule.clone());
                self.denied.extend(new);
            }
            Action::Pass => {
                let new = self.left(rule.clone());
                self.passed.extend(new);
            }
        }
    }

    fn add_owned(&mut self, rule: Rule) {
        let left = self.left(rule);
        self.allowed.extend(left.into_iter().map(Cow::Owned));
    }

    /// Traffic that a rule names, without the traffic on which a rule before it decided.
    fn left(&self, rule: Rule) -> Vec<Rule> {
        let left = self.without_passed(rule);
        counted(&self.denied).fold(left, |left, denied| counted(left).flat_map(|rule| rule.without(denied)).collect())
    }

    fn without_passed(&self, rule: Rule) -> Vec<Rule> {
        counted(&self.passed)
            .fold(vec![rule], |left, passed| counted(left).flat_map(|rule| rule.without(passed)).collect())
    }
}
