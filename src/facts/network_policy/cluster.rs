//! ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`).
//!
//! A policy has no default deny: only its rules deny. A rule for ingress can only name Pods, so a rule that denies all Pods denies
//! as much as a rule can.

use super::expression::{Bearer, Expression};
use super::rules::{Action, LAST_PORT, PROTOCOLS, Peers, PodPeer, PortRange, Ports, Rule, index};
use super::selection::is_everybody;
use super::written::{Misread, Object, misread};
use super::{NetworkPolicy, Place, Scoped, Selector, Side};
use crate::addresses::Addresses;

/// The policy that an object is.
pub(super) fn read(object: Object<'_>, name: &str) -> Result<Vec<NetworkPolicy>, Misread> {
    let spec = object.object("spec")?;
    let is_admin = match spec.text("tier")? {
        Some("Admin") => true,
        Some("Baseline") => false,
        _ => return Err(misread("spec.tier", "Admin or Baseline")),
    };
    let side = |section: &str, peers: &str| -> Result<Option<Side>, Misread> {
        let rules = spec.objects(section)?.into_iter().filter_map(|written| rule(written, peers).transpose());
        let rules = rules.collect::<Result<Vec<Rule>, Misread>>()?;
        Ok((!rules.is_empty()).then(|| Side { isolates: false, rules: rules.into() }))
    };
    Ok(vec![NetworkPolicy {
        name: name.to_owned(),
        selector: Selector::default(),
        scope: Scoped(subject(spec.object("subject")?)?),
        place: Place::Cluster { is_admin, priority: spec.whole("priority")?.unwrap_or_default() },
        ingress: side("ingress", "from")?,
        egress: side("egress", "to")?,
        is_ending: false,
    }])
}

fn subject(subject: Object<'_>) -> Result<Expression, Misread> {
    if let Some(namespaces) = subject.selector("namespaces")? {
        return Ok(Expression::selector(Bearer::Namespace, namespaces));
    }
    if !subject.has("pods") {
        return Ok(Expression::Never);
    }
    let PodPeer { namespaces, pods } = pods(subject.object("pods")?)?;
    let namespaces = Expression::selector(Bearer::Namespace, namespaces);
    Ok(Expression::every([namespaces, Expression::selector(Bearer::Pod, pods)]))
}

/// Pods by two selectors, of which an absent one selects all.
fn pods(written: Object<'_>) -> Result<PodPeer, Misread> {
    Ok(PodPeer {
        namespaces: written.selector("namespaceSelector")?.unwrap_or_default(),
        pods: written.selector("podSelector")?.unwrap_or_default(),
    })
}

/// A rule; `None` for one whose action is not known.
fn rule(written: Object<'_>, field: &str) -> Result<Option<Rule>, Misread> {
    let action = match written.text("action")? {
        Some("Accept") => Action::Allow,
        Some("Deny") => Action::Deny,
        Some("Pass") => Action::Pass,
        _ => return Ok(None),
    };
    let mut peers = Peers::none();
    for peer in written.objects(field)? {
        peers = peers.with(self::peers(peer, action == Action::Allow)?);
    }
    if field == "from"
        && let Peers::Some { pods, .. } = &peers
        && is_everybody(pods.iter())
    {
        peers = Peers::All;
    }
    Ok(Some(Rule { action, ports: ports(written)?, peers }))
}

/// The peers of an entry. Nodes and names of DNS are never everybody.
fn peers(peer: Object<'_>, is_allowed: bool) -> Result<Peers, Misread> {
    let none = Addresses::default;
    if let Some(namespaces) = peer.selector("namespaces")? {
        return Ok(Peers::Some { addresses: none(), pods: vec![PodPeer { namespaces, pods: Selector::default() }] });
    }
    if peer.has("pods") {
        return Ok(Peers::Some { addresses: none(), pods: vec![pods(peer.object("pods")?)?] });
    }
    let mut addresses = none();
    for block in peer.texts("networks")? {
        addresses.add(block, std::iter::empty());
    }
    // Traffic within the cluster is compared with blocks as well.
    Ok(Peers::at(addresses, is_allowed))
}

fn ports(written: Object<'_>) -> Result<Ports, Misread> {
    let entries = written.objects("protocols")?;
    if entries.is_empty() {
        return Ok(Ports::All);
    }
    let mut ranges: [Vec<PortRange>; PROTOCOLS] = Default::default();
    for entry in entries {
        for (field, protocol) in [("tcp", "TCP"), ("udp", "UDP"), ("sctp", "SCTP")] {
            if !entry.has(field) {
                continue;
            }
            let found = range(entry.object(field)?)?;
            if let Some(ranges) = index(Some(protocol)).and_then(|at| ranges.get_mut(at)) {
                ranges.extend(found);
            }
        }
    }
    Ok(Ports::from_ranges(ranges))
}

/// The ports of one protocol: all of them where none is named.
fn range(protocol: Object<'_>) -> Result<Option<PortRange>, Misread> {
    if !protocol.has("destinationPort") {
        return Ok(Some((1, LAST_PORT)));
    }
    let port = protocol.object("destinationPort")?;
    let (first, last) = match port.whole("number")? {
        Some(number) => (number, number),
        None => {
            let range = port.object("range")?;
            (range.whole("start")?.unwrap_or_default().max(1), range.whole("end")?.unwrap_or_default())
        }
    };
    let range = u16::try_from(first).ok().zip(u16::try_from(last).ok());
    Ok(range.filter(|(first, last)| *first > 0 && first <= last))
}
