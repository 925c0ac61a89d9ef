//! Rules of a NetworkPolicy: the ports that each allows, and the peers.

use super::selection::{NAMESPACE_NAME, is_everybody};
use super::{Operator, Requirement, Selector};
use crate::addresses::{Addresses, Family};
use crate::object::resource::{Peer as WrittenPeer, Port as WrittenPort, PortNumber};
use crate::steps::counted;

/// The last port.
pub(super) const LAST_PORT: u16 = u16::MAX;

/// Ports of one protocol, from the first to the last one, both included.
pub(super) type PortRange = (u16, u16);

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) action: Action,
    pub(super) ports: Ports,
    pub(super) peers: Peers,
}

/// Action of a rule on the traffic that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is let through.
    Allow,
    /// It is stopped.
    Deny,
    /// The next tier decides.
    Pass,
}

/// The ports that a rule allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ports {
    /// All of them, of every protocol.
    All,
    /// By protocol (TCP, UDP, SCTP), in order and not adjacent. What a name stands for depends on each Pod: it adds nothing.
    Some([Vec<PortRange>; PROTOCOLS]),
}

/// The number of protocols that have ports.
pub(super) const PROTOCOLS: usize = 3;

/// The peers that a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peers {
    /// All of them.
    All,
    /// Addresses and Pods.
    Some { addresses: Addresses, pods: Vec<PodPeer> },
}

/// Pods by their labels and by those of their namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodPeer {
    pub(super) namespaces: Selector,
    pub(super) pods: Selector,
}

impl Rule {
    /// The rule of a policy in that namespace.
    pub(super) fn of<'w, 'a: 'w>(
        peers: impl Iterator<Item = &'w WrittenPeer<'a>>,
        ports: impl Iterator<Item = &'w WrittenPort<'a>>,
        namespace: &str,
    ) -> Self {
        Self { action: Action::Allow, ports: Ports::of(ports), peers: Peers::of(peers, namespace) }
    }

    /// A rule that lets everything through.
    pub(super) fn everything() -> Self {
        Self { action: Action::Allow, ports: Ports::All, peers: Peers::All }
    }

    /// What this rule names and the other one does not: at its ports that the other one leaves out, and at the others without the
    /// other one's peers.
    pub(super) fn without(&self, other: &Self) -> Vec<Self> {
        let (outside, inside) = self.ports.parted(&other.ports);
        let outside = outside.map(|ports| Self { ports, ..self.clone() });
        let inside = inside.and_then(|ports| {
            let peers = self.peers.without(&other.peers)?;
            Some(Self { ports, peers, action: self.action })
        });
        outside.into_iter().chain(inside).collect()
    }
}

impl Ports {
    fn of<'w, 'a: 'w>(ports: impl Iterator<Item = &'w WrittenPort<'a>>) -> Self {
        let mut ports = ports.peekable();
        if ports.peek().is_none() {
            return Self::All;
        }
        let mut by_protocol: [Vec<PortRange>; PROTOCOLS] = Default::default();
        for port in counted(ports) {
            let Some(ranges) = index(port.protocol.as_deref()).and_then(|protocol| by_protocol.get_mut(protocol))
            else {
                continue;
            };
            ranges.extend(range(port.port, port.end_port));
        }
        Self::Some(by_protocol.map(merged))
    }

    /// Ports of each protocol, in any order.
    pub(super) fn from_ranges(ranges: [Vec<PortRange>; PROTOCOLS]) -> Self {
        Self::Some(ranges.map(merged))
    }

    /// These ports without the others, and those of them that are among the others; `None` where there are none.
    fn parted(&self, others: &Self) -> (Option<Self>, Option<Self>) {
        if *others == Self::All {
            return (None, Some(self.clone()));
        }
        let (mut outside, mut inside): ([Vec<PortRange>; PROTOCOLS], [Vec<PortRange>; PROTOCOLS]) = Default::default();
        for (protocol, (outside, inside)) in outside.iter_mut().zip(&mut inside).enumerate() {
            for (first, last) in counted(self.of_protocol(protocol)) {
                let mut next = u32::from(*first);
                for (from, to) in counted(others.of_protocol(protocol)) {
                    let (from, to) = ((*from).max(*first), (*to).min(*last));
                    if from > to {
                        continue;
                    }
                    outside.extend(between(next, u32::from(from)));
                    inside.push((from, to));
                    next = u32::from(to) + 1;
                }
                outside.extend(between(next, u32::from(*last) + 1));
            }
        }
        let some = |ranges: [Vec<PortRange>; PROTOCOLS]| {
            ranges.iter().any(|ranges| !ranges.is_empty()).then_some(Self::Some(ranges))
        };
        (some(outside), some(inside))
    }

    /// The ports of a protocol.
    pub(super) fn of_protocol(&self, protocol: usize) -> &[PortRange] {
        match self {
            Self::All => &[(1, LAST_PORT)],
            Self::Some(by_protocol) => by_protocol.get(protocol).map_or(&[], Vec::as_slice),
        }
    }
}

/// The ports from one to before another.
fn between(from: u32, end: u32) -> Option<PortRange> {
    let last = end.checked_sub(1).filter(|last| *last >= from)?;
    Some((u16::try_from(from).ok()?, u16::try_from(last).ok()?))
}

/// Index of a protocol; `None` for one that Kubernetes does not know.
pub(super) fn index(protocol: Option<&str>) -> Option<usize> {
    match protocol {
        None | Some("TCP") => Some(0),
        Some("UDP") => Some(1),
        Some("SCTP") => Some(2),
        Some(_) => None,
    }
}

/// The ports of an entry. An API server takes no port below 1 or above 65535, and no end without a number to begin with.
fn range(port: Option<PortNumber>, end: Option<i64>) -> Option<PortRange> {
    let (first, last) = match (port, end) {
        (None, None) => (1, i64::from(LAST_PORT)),
        (Some(PortNumber::Number(first)), end) => (first.max(1), end.unwrap_or(first).min(LAST_PORT.into())),
        (None, Some(_)) | (Some(PortNumber::Named), _) => return None,
    };
    let range = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
    (range.0 <= range.1).then_some(range)
}

fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in counted(ranges) {
        match merged.last_mut() {
            Some(before) if range.0 <= before.1.saturating_add(1) => before.1 = before.1.max(range.1),
            _ => merged.push(range),
        }
    }
    merged
}

impl Peers {
    fn of<'w, 'a: 'w>(peers: impl Iterator<Item = &'w WrittenPeer<'a>>, namespace: &str) -> Self {
        let mut peers = peers.peekable();
        if peers.peek().is_none() {
            return Self::All;
        }
        let (mut addresses, mut pods) = (Addresses::default(), Vec::new());
        for peer in counted(peers) {
            if let Some(block) = &peer.ip_block {
                let except = block.except.iter().map(crate::object::Text::as_str);
                addresses.add(block.cidr.as_deref().unwrap_or_default(), except);
            } else if peer.namespace_selector.is_some() || peer.pod_selector.is_some() {
                let namespaces = peer.namespace_selector.as_ref().map_or_else(|| only(namespace), Selector::from);
                let selected = peer.pod_selector.as_ref().map(Selector::from).unwrap_or_default();
                pods.push(PodPeer { namespaces, pods: selected });
            }
        }
        Self::Some { addresses, pods }
    }
}

impl Peers {
    /// No peer.
    pub(super) fn none() -> Self {
        Self::Some { addresses: Addresses::default(), pods: Vec::new() }
    }

    /// Everybody at these addresses: Pods too, where every address is among them. To let through all of one family is enough, and
    /// to stop it is not.
    pub(super) fn at(addresses: Addresses, is_allowed: bool) -> Self {
        let mut families = Family::ALL.into_iter().map(|family| addresses.are_all(family));
        let are_all = if is_allowed { families.any(|all| all) } else { families.all(|all| all) };
        Self::Some { addresses, pods: are_all.then(PodPeer::everybody).into_iter().collect() }
    }

    /// These peers and the others.
    pub(super) fn with(self, others: Self) -> Self {
        match (self, others) {
            (Self::Some { mut addresses, mut pods }, Self::Some { addresses: more, pods: others }) => {
                addresses.extend(more);
                pods.extend(others);
                Self::Some { addresses, pods }
            }
            _ => Self::All,
        }
    }

    /// These peers but for the others; `None` if none is left. Pods that selectors leave out are not taken away: everything but
    /// some Pods is no less than everything but some addresses.
    fn without(&self, others: &Self) -> Option<Self> {
        let Self::Some { addresses: without, pods: others } = others else { return None };
        let (addresses, pods) = match self {
            Self::All => (Addresses::all().without(without), vec![PodPeer::everybody()]),
            Self::Some { addresses, pods } => (addresses.without(without), pods.clone()),
        };
        let pods: Vec<PodPeer> = if is_everybody(others.iter()) {
            Vec::new()
        } else {
            counted(pods).filter(|pod| !counted(others).any(|other| other == pod)).collect()
        };
        (!addresses.is_empty() || !pods.is_empty()).then_some(Self::Some { addresses, pods })
    }
}

impl PodPeer {
    /// All Pods of all namespaces.
    pub(super) fn everybody() -> Self {
        Self { namespaces: Selector::default(), pods: Selector::default() }
    }
}

/// The selector of one namespace.
pub(super) fn only(namespace: &str) -> Selector {
    let operator = Operator::In(vec![namespace.to_owned()]);
    Selector(vec![Requirement { key: NAMESPACE_NAME.to_owned(), operator }])
}
