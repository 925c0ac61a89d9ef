//! Calico's NetworkPolicy and GlobalNetworkPolicy (`projectcalico.org/v3` and `crd.projectcalico.org/v1`).
//!
//! A rule that is narrowed by anything but protocol, destination ports, blocks and selectors of its peers (source ports, HTTP, ICMP,
//! Services, ServiceAccounts, its own side of a connection) names less than everything, and is left out. NetworkSets are not read.

use super::expression::{Bearer, Expression};
use super::isolation::{DEFAULT_TIER, sortable};
use super::rules::{Action, LAST_PORT, PROTOCOLS, Peers, PortRange, Ports, Rule};
use super::selection::NAMESPACE_NAME;
use super::written::{Misread, Object, misread, scalar};
use super::{NetworkPolicy, Operator, Place, Requirement, Scoped, Selector, Side, selector};
use crate::addresses::{Addresses, Family};

/// Label with the name of a namespace or of a ServiceAccount.
const NAME: &str = "projectcalico.org/name";
/// Labels that Calico gives Pods.
const NAMESPACE: &str = "projectcalico.org/namespace";
const SERVICE_ACCOUNT: &str = "projectcalico.org/serviceaccount";
const ORCHESTRATOR: &str = "projectcalico.org/orchestrator";
const OF_NAMESPACE: &str = "pcns.";
const OF_ACCOUNT: &str = "pcsa.";
const KUBERNETES: &str = "k8s";

/// The policy that an object is. Of a global one the namespace is `None`.
pub(super) fn read(object: Object<'_>, name: &str, namespace: Option<&str>) -> Result<Vec<NetworkPolicy>, Misread> {
    let spec = object.object("spec")?;
    // These are applied to interfaces of nodes alone.
    let is_for_nodes = spec.flag("preDNAT")? == Some(true) || spec.flag("doNotTrack")? == Some(true);
    let mut parts = vec![parsed(spec, "selector", of_pod)?, parsed(spec, "serviceAccountSelector", of_account)?];
    match namespace {
        Some(namespace) => parts.push(Some(in_namespace(namespace))),
        None => parts.push(parsed(spec, "namespaceSelector", of_namespace)?),
    }
    let scope = if is_for_nodes { Expression::Never } else { Expression::every(parts.into_iter().flatten()) };

    let rules = |section: &str| -> Result<Vec<Rule>, Misread> {
        let written = spec.objects(section)?.into_iter();
        written.filter_map(|written| rule(written, section == "ingress", namespace).transpose()).collect()
    };
    let (ingress, egress) = (rules("ingress")?, rules("egress")?);
    let types = spec.texts("types")?;
    let (has_ingress, has_egress) = (!spec.list("ingress")?.is_empty(), !spec.list("egress")?.is_empty());
    let is_for = |name: &str, by_default: bool| if types.is_empty() { by_default } else { types.contains(&name) };
    Ok(vec![NetworkPolicy {
        name: name.to_owned(),
        selector: Selector::default(),
        scope: Scoped(scope),
        place: Place::Calico {
            tier: spec.text("tier")?.filter(|tier| !tier.is_empty()).unwrap_or(DEFAULT_TIER).to_owned(),
            order: spec.number("order")?.map_or(u64::MAX, sortable),
        },
        ingress: is_for("Ingress", has_ingress || !has_egress).then(|| Side::isolating(ingress)),
        egress: is_for("Egress", has_egress).then(|| Side::isolating(egress)),
        is_ending: false,
    }])
}

fn in_namespace(namespace: &str) -> Expression {
    Expression::label(Bearer::Namespace, NAMESPACE_NAME, Operator::In(vec![namespace.to_owned()]))
}

/// The condition in a field; `None` without one.
fn parsed(
    object: Object<'_>,
    field: &str,
    label: fn(Requirement) -> Expression,
) -> Result<Option<Expression>, Misread> {
    let Some(text) = object.text(field)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    selector::parse(text, &label).map(Some).map_err(|_| misread(field, "a selector"))
}

/// A condition on a label of a Pod, which has some of its namespace and of its ServiceAccount.
fn of_pod(requirement: Requirement) -> Expression {
    let with_key = |key: &str| Requirement { key: key.to_owned(), ..requirement.clone() };
    match requirement.key.as_str() {
        NAMESPACE => Expression::Label(Bearer::Namespace, with_key(NAMESPACE_NAME)),
        SERVICE_ACCOUNT => Expression::Label(Bearer::AccountName, requirement),
        ORCHESTRATOR if requirement.holds(Some(KUBERNETES)) => Expression::Always,
        ORCHESTRATOR => Expression::Never,
        key => {
            if let Some(key) = key.strip_prefix(OF_NAMESPACE) {
                of_namespace(with_key(key))
            } else if let Some(key) = key.strip_prefix(OF_ACCOUNT) {
                of_account(with_key(key))
            } else {
                Expression::Label(Bearer::Pod, requirement)
            }
        }
    }
}

fn of_namespace(requirement: Requirement) -> Expression {
    let key = if requirement.key == NAME { NAMESPACE_NAME.to_owned() } else { requirement.key };
    Expression::Label(Bearer::Namespace, Requirement { key, ..requirement })
}

fn of_account(requirement: Requirement) -> Expression {
    let bearer = if requirement.key == NAME { Bearer::AccountName } else { Bearer::ServiceAccount };
    Expression::Label(bearer, requirement)
}

/// A rule; `None` for one that decides nothing, such as `Log`.
fn rule(written: Object<'_>, is_ingress: bool, namespace: Option<&str>) -> Result<Option<Rule>, Misread> {
    let action = match written.text("action")?.unwrap_or_default().to_ascii_lowercase().as_str() {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        "pass" => Action::Pass,
        _ => return Ok(None),
    };
    let (source, destination) = (written.object("source")?, written.object("destination")?);
    let (remote, local) = if is_ingress { (source, destination) } else { (destination, source) };
    let mut is_narrow = ["http", "icmp", "notICMP"].iter().any(|field| written.has(field));
    is_narrow |= !source.list("ports")?.is_empty() || !source.list("notPorts")?.is_empty();
    is_narrow |= names_some(local)?;
    let ports = ports(written, destination)?;
    let peers = peers(remote, written.whole("ipVersion")?, action, namespace)?;
    let ports = if is_narrow { Ports::from_ranges(Default::default()) } else { ports };
    Ok(Some(Rule { action, ports, peers }))
}

/// True if an end of a connection is narrowed to some of those that a policy selects.
fn names_some(end: Object<'_>) -> Result<bool, Misread> {
    let is_all = |field| Ok::<_, Misread>(parsed(end, field, of_pod)?.is_none_or(|found| found == Expression::Always));
    let others = end.has_others(&["selector", "namespaceSelector", "ports", "notPorts", "nets", "notNets"]);
    let blocks = !end.list("nets")?.is_empty() || !end.list("notNets")?.is_empty();
    Ok(others || blocks || !is_all("selector")? || !is_all("namespaceSelector")?)
}

/// The index of a protocol by name or number; `None` for one without ports.
fn protocol(name: &str) -> Option<usize> {
    match name.to_ascii_uppercase().as_str() {
        "TCP" | "6" => Some(0),
        "UDP" | "17" => Some(1),
        "SCTP" | "132" => Some(2),
        _ => None,
    }
}

fn ports(written: Object<'_>, destination: Object<'_>) -> Result<Ports, Misread> {
    let (listed, left_out) = (ranges(destination, "ports")?, ranges(destination, "notPorts")?);
    let all = || vec![(1, LAST_PORT)];
    let mut by_protocol: [Vec<PortRange>; PROTOCOLS] = Default::default();
    let mut set = |index: Option<usize>, ranges: &Vec<PortRange>| {
        if let Some(of) = index.and_then(|index| by_protocol.get_mut(index)) {
            of.clone_from(ranges);
        }
    };
    match (written.scalar("protocol")?, written.scalar("notProtocol")?) {
        (None, None) if listed.is_none() && left_out.is_none() => return Ok(Ports::All),
        // Ports need a protocol.
        (None, None) => {}
        (Some(name), _) => {
            let mut left = listed.unwrap_or_else(all);
            for (first, last) in left_out.unwrap_or_default() {
                left = left.into_iter().flat_map(|range| outside(range, (first, last))).collect();
            }
            set(protocol(&name), &left);
        }
        (None, Some(name)) => {
            let but = protocol(&name);
            (0..PROTOCOLS).filter(|index| Some(*index) != but).for_each(|index| set(Some(index), &all()));
        }
    }
    Ok(Ports::from_ranges(by_protocol))
}

/// The parts of a range that are outside another range.
fn outside((first, last): PortRange, (from, to): PortRange) -> impl Iterator<Item = PortRange> {
    let below = from.checked_sub(1).map(|end| (first, last.min(end)));
    let above = to.checked_add(1).map(|start| (first.max(start), last));
    [below, above].into_iter().flatten().filter(|(first, last)| first <= last)
}

/// The ranges of a list of ports, without names; `None` if it is empty.
fn ranges(end: Object<'_>, field: &str) -> Result<Option<Vec<PortRange>>, Misread> {
    let listed = end.list(field)?;
    let mut ranges = Vec::new();
    for port in listed {
        let text = scalar(port).ok_or_else(|| misread(field, "a list of ports"))?;
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            ranges.push((first.max(1), last));
        }
    }
    ranges.retain(|(first, last)| first <= last);
    Ok((!listed.is_empty()).then_some(ranges))
}

fn peers(end: Object<'_>, version: Option<i64>, action: Action, namespace: Option<&str>) -> Result<Peers, Misread> {
    let (nets, not_nets) = (end.texts("nets")?, end.texts("notNets")?);
    let selected = parsed(end, "selector", of_pod)?;
    let mut not_selected = parsed(end, "notSelector", of_pod)?;
    let namespaces = parsed(end, "namespaceSelector", of_namespace)?;
    let is_allowed = action == Action::Allow;
    if end.has("services") || end.has("serviceAccounts") {
        return Ok(Peers::none());
    }
    let has_selector = selected.is_some() || namespaces.is_some();
    let addresses = || {
        let all = ["0.0.0.0/0", "::/0"];
        let mut addresses = Addresses::default();
        for net in if nets.is_empty() { all.as_slice() } else { &nets } {
            addresses.add(net, not_nets.iter().copied());
        }
        match version {
            Some(4) => addresses.only(Family::V4),
            Some(6) => addresses.only(Family::V6),
            _ => addresses,
        }
    };
    if !has_selector {
        let is_whole = nets.is_empty() && not_nets.is_empty() && version.is_none();
        // Whoever is no Pod that it selects, within the cluster and outside.
        if let Some(not_selected) = not_selected.take() {
            let pods = if nets.is_empty() { Expression::not(not_selected).peers() } else { Vec::new() };
            return Ok(Peers::Some { addresses: addresses(), pods });
        }
        return Ok(if is_whole { Peers::All } else { Peers::at(addresses(), is_allowed) });
    }
    let blocks = Peers::at(addresses(), is_allowed);
    let are_narrowed = match &blocks {
        Peers::Some { pods, .. } => pods.is_empty(),
        Peers::All => false,
    };
    // Pods at some addresses are not everybody, and what is denied to them is not denied to everybody.
    if are_narrowed && (!is_allowed || !nets.is_empty()) {
        return Ok(Peers::none());
    }
    let scope = match namespaces {
        Some(namespaces) => Some(namespaces),
        None => namespace.map(in_namespace),
    };
    let condition = Expression::every([selected, not_selected.map(Expression::not), scope].into_iter().flatten());
    Ok(Peers::Some { addresses: Addresses::default(), pods: condition.peers() })
}
