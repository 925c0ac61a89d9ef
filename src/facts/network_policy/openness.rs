//! NetworkPolicies that together allow everything in a direction.
//!
//! Policies are additive: what one rule of one policy allows, is allowed. They allow everything where, of one protocol (TCP, UDP
//! or SCTP), every port from 1 to 65535 is open to a wide public block of addresses, or to every Pod of the cluster. Ports may be
//! spelled as none, as a protocol or as ranges, and addresses as blocks with exceptions: all of them add up. The name of a port
//! adds nothing.

use std::collections::BTreeSet;

use super::coverage::Coverage;
use super::rules::{LAST_PORT, PROTOCOLS, Peers, PodPeer, Ports, Rule};
use super::selection::is_everybody;
use super::{Direction, NetworkPolicy};
use crate::addresses::{Family, Span, Widest, merged};
use crate::steps::counted;

/// Peers that the rules with the same ports allow together.
struct Group<'r> {
    ports: &'r Ports,
    /// True if it is everything.
    is_all: bool,
    /// The addresses of each family, in order, where it is not.
    addresses: [Vec<Span>; Family::ALL.len()],
    /// The Pods.
    pods: Vec<&'r PodPeer>,
}

/// True if these policies, of which all select the same Pod, together allow everything in a direction in which they isolate.
pub fn allow_everything<'p>(
    policies: impl IntoIterator<Item = &'p NetworkPolicy>,
    direction: Direction,
    widest: Widest,
) -> bool {
    are_everything(counted(policies).flat_map(|policy| counted(policy.rules(direction))).collect(), widest)
}

/// True if these rules together let everything through.
pub(super) fn are_everything(mut rules: Vec<&Rule>, widest: Widest) -> bool {
    rules.sort_by(|one, other| one.ports.cmp(&other.ports));
    let groups = rules.chunk_by(|one, other| one.ports == other.ports);
    let groups: Vec<Group<'_>> = groups.filter_map(|rules| Group::of(rules, widest)).collect();
    let is_open = |protocol: usize| has_all_ports(&groups, protocol) && is_open(&groups, protocol, widest);
    groups.iter().any(|group| group.is_all && *group.ports == Ports::All) || (0..PROTOCOLS).any(is_open)
}

impl<'r> Group<'r> {
    fn of(rules: &[&'r Rule], widest: Widest) -> Option<Self> {
        let ports = &rules.first()?.ports;
        let mut addresses: [Vec<Span>; 2] = Default::default();
        let mut pods = Vec::new();
        for rule in counted(rules) {
            match &rule.peers {
                Peers::All => {
                    return Some(Self { ports, is_all: true, addresses: Default::default(), pods: Vec::new() });
                }
                Peers::Some { addresses: more, pods: others } => {
                    for (family, addresses) in Family::ALL.into_iter().zip(&mut addresses) {
                        addresses.extend(counted(more.of(family)));
                    }
                    pods.extend(counted(others));
                }
            }
        }
        let addresses = addresses.map(merged);
        let mut families = Family::ALL.into_iter().zip(&addresses);
        let is_all = is_everybody(pods.iter().copied())
            || families.any(|(family, addresses)| widest.of(family).is_among(addresses));
        Some(Self { ports, is_all, addresses, pods })
    }
}

/// True if some group allows each port of a protocol to somebody.
fn has_all_ports(groups: &[Group<'_>], protocol: usize) -> bool {
    let mut ranges: Vec<_> =
        groups.iter().flat_map(|group| counted(group.ports.of_protocol(protocol)).copied()).collect();
    ranges.sort_unstable();
    let mut next = 1_u32;
    for (first, last) in counted(ranges) {
        if u32::from(first) > next {
            return false;
        }
        next = next.max(u32::from(last) + 1);
    }
    next > LAST_PORT.into()
}

/// True if each port of a protocol is open to everywhere.
fn is_open(groups: &[Group<'_>], protocol: usize, widest: Widest) -> bool {
    let mut changes = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        for (first, last) in counted(group.ports.of_protocol(protocol)) {
            changes.push((u32::from(*first), true, index, group));
            changes.push((u32::from(*last) + 1, false, index, group));
        }
    }
    changes.sort_by_key(|(port, ..)| *port);
    let mut at_port = AtPort { widest, groups, open: BTreeSet::new(), selecting: BTreeSet::new(), coverages: None };
    for changes in changes.chunk_by(|one, other| one.0 == other.0) {
        if changes.iter().any(|(port, ..)| *port > LAST_PORT.into()) {
            return true;
        }
        for (_, is_added, index, group) in counted(changes) {
            at_port.change(*index, group, *is_added);
        }
        if !at_port.is_open() {
            return false;
        }
    }
    false
}

/// The groups that allow the port that the sweep has come to.
struct AtPort<'g, 'r> {
    widest: Widest,
    groups: &'g [Group<'r>],
    /// Those that allow everything.
    open: BTreeSet<usize>,
    /// Those of the others that allow Pods.
    selecting: BTreeSet<usize>,
    /// Addresses of the others. Most policies are decided without: by a rule that is open by itself, or by the first port.
    coverages: Option<[Coverage; Family::ALL.len()]>,
}

impl AtPort<'_, '_> {
    fn change(&mut self, index: usize, group: &Group<'_>, is_added: bool) {
        let mut set = |set: fn(&mut Self) -> &mut BTreeSet<usize>| {
            if is_added { set(self).insert(index) } else { set(self).remove(&index) }
        };
        if group.is_all {
            set(|at_port| &mut at_port.open);
            return;
        }
        if !group.pods.is_empty() {
            set(|at_port| &mut at_port.selecting);
        }
        if group.addresses.iter().all(Vec::is_empty) {
            return;
        }
        let (groups, widest) = (self.groups, self.widest);
        let coverages = self.coverages.get_or_insert_with(|| {
            Family::ALL.map(|family| {
                let spans = groups.iter().filter_map(|group| group.addresses.get(family as usize)).flatten();
                Coverage::new(widest.of(family), spans)
            })
        });
        for (coverage, addresses) in coverages.iter_mut().zip(&group.addresses) {
            for span in addresses {
                coverage.change(*span, is_added);
            }
        }
    }

    fn is_open(&self) -> bool {
        let selecting = || self.selecting.iter().filter_map(|index| self.groups.get(*index));
        !self.open.is_empty()
            || self.coverages.iter().flatten().any(Coverage::is_wide)
            // Each group by itself was looked at in `Group::of`.
            || self.selecting.len() > 1 && is_everybody(selecting().flat_map(|group| group.pods.iter().copied()))
    }
}
