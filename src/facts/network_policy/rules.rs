//! Rules of a NetworkPolicy: the ports that each allows, and the peers.

use super::selection::NAMESPACE_NAME;
use super::{Operator, Requirement, Selector};
use crate::addresses::Addresses;
use crate::object::resource::{Peer as WrittenPeer, Port as WrittenPort, PortNumber};
use crate::steps::counted;

/// The last port.
pub(super) const LAST_PORT: u16 = u16::MAX;

/// Ports of one protocol, from the first to the last one, both included.
pub(super) type PortRange = (u16, u16);

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) ports: Ports,
    pub(super) peers: Peers,
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
        Self { ports: Ports::of(ports), peers: Peers::of(peers, namespace) }
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

    /// The ports of a protocol.
    pub(super) fn of_protocol(&self, protocol: usize) -> &[PortRange] {
        match self {
            Self::All => &[(1, LAST_PORT)],
            Self::Some(by_protocol) => by_protocol.get(protocol).map_or(&[], Vec::as_slice),
        }
    }
}

/// Index of a protocol; `None` for one that Kubernetes does not know.
fn index(protocol: Option<&str>) -> Option<usize> {
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

/// The selector of one namespace.
fn only(namespace: &str) -> Selector {
    let operator = Operator::In(vec![namespace.to_owned()]);
    Selector(vec![Requirement { key: NAMESPACE_NAME.to_owned(), operator }])
}
