//! The policies that concern a namespace, and what those of them that select a Pod leave of its traffic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::isolation::isolation;
use super::{Direction, Isolation, NetworkPolicy, Subject};
use crate::addresses::Widest;
use crate::lock::lock;
use crate::steps::take;

/// Maximum number of sums that are remembered for a namespace. Most of its Pods are selected by one of a few sets of policies.
const SUMS: usize = 256;

/// The network policies that concern a namespace.
#[derive(Debug, Clone, Default)]
pub struct NetworkPolicies {
    /// Those that could be read.
    pub policies: Vec<NetworkPolicy>,
    /// Kinds of policies that are served and could not be read, each with the reason.
    pub unread: Vec<String>,
    /// States of Pods that were computed before: they are the same for all Pods that the same policies select.
    sums: Arc<Mutex<BTreeMap<Sum, Isolation>>>,
}

/// The positions of the policies that select a Pod, the direction, and the settings.
type Sum = (Vec<usize>, Direction, bool, Widest);

impl PartialEq for NetworkPolicies {
    fn eq(&self, other: &Self) -> bool {
        (&self.policies, &self.unread) == (&other.policies, &other.unread)
    }
}

impl Eq for NetworkPolicies {}

impl From<Vec<NetworkPolicy>> for NetworkPolicies {
    fn from(policies: Vec<NetworkPolicy>) -> Self {
        Self::new(policies, Vec::new())
    }
}

impl NetworkPolicies {
    /// These policies, and the kinds that could not be read.
    pub fn new(policies: Vec<NetworkPolicy>, unread: Vec<String>) -> Self {
        Self { policies, unread, sums: Arc::default() }
    }

    /// Positions of the policies that select a Pod.
    pub fn selecting(&self, subject: &Subject<'_>) -> Vec<usize> {
        let policies = self.policies.iter().enumerate();
        policies.filter(|(_, policy)| policy.selects(subject)).map(|(position, _)| position).collect()
    }

    /// The state of a Pod that the policies at these positions select. With `counts_open` the default deny of one is enough.
    pub fn isolation(&self, selecting: &[usize], direction: Direction, counts_open: bool, widest: Widest) -> Isolation {
        let sum = (selecting.to_vec(), direction, counts_open, widest);
        if let Some(known) = lock(&self.sums).get(&sum) {
            return *known;
        }
        let policies: Vec<&NetworkPolicy> = selecting.iter().filter_map(|at| self.policies.get(*at)).collect();
        let found = isolation(&policies, direction, counts_open, widest);
        // What was computed without enough steps is not known.
        if take(0) {
            let mut sums = lock(&self.sums);
            if sums.len() >= SUMS {
                sums.clear();
            }
            sums.insert(sum, found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{NetworkPolicies, SUMS};
    use crate::addresses::Widest;
    use crate::facts::{Direction, Isolation, NetworkPolicy};
    use crate::steps::{Allowance, POLICY};

    fn policies() -> NetworkPolicies {
        let blocks: Value =
            (0..1_000).map(|at| json!({"ipBlock": {"cidr": format!("8.8.{}.{}/32", at / 250, at % 250)}})).collect();
        let spec = json!({"policyTypes": ["Egress"], "egress": [{"to": blocks}]});
        let read =
            |_| NetworkPolicy::read(json!({"metadata": {"namespace": "shop"}, "spec": spec})).expect("a NetworkPolicy");
        (0..3).map(read).collect::<Vec<_>>().into()
    }

    #[test]
    fn what_the_same_policies_allow_is_summed_once() {
        let policies = policies();
        let steps = |selecting: &[usize]| {
            let allowance = Allowance::new(POLICY);
            let found = policies.isolation(selecting, Direction::Egress, false, Widest::default());
            assert_eq!(found, Isolation::Isolated);
            allowance.taken()
        };
        assert!(steps(&[0, 1, 2]) > 3_000);
        assert_eq!(steps(&[0, 1, 2]), 0);
        assert!(steps(&[0, 2]) > 2_000, "another set");
        for _ in 0..2 {
            let _allowance = Allowance::new(10);
            policies.isolation(&[1], Direction::Egress, false, Widest::default());
        }
        assert!(steps(&[1]) > 1_000, "what was not computed to its end is not remembered");
        for at in 0..2 * SUMS {
            policies.isolation(&[at], Direction::Egress, false, Widest::default());
        }
        assert!(super::lock(&policies.sums).len() <= SUMS);
    }
}
