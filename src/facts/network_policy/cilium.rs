//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy (`cilium.io/v2`).
//!
//! A rule without peers and without ports allows nothing: it only turns default deny on. A list that is written and empty selects
//! nobody. Layer 7 rules, ICMP, services, groups, nodes and names of DNS other than `*` allow less than everything, and are left out.

use serde_json::Value;

use super::expression::{Bearer, Expression};
use super::rules::{Action, LAST_PORT, PROTOCOLS, Peers, PortRange, Ports, Rule, index};
use super::selection::NAMESPACE_NAME;
use super::written::{Misread, Object, selector};
use super::{NetworkPolicy, Operator, Place, Requirement, Scoped, Selector, Side};
use crate::addresses::{Addresses, Family};
use crate::steps::counted;

/// Labels that Cilium gives the Pods of a namespace and of a ServiceAccount.
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// The sources of labels that Pods have: those of Kubernetes, named or not.
const SOURCES: [&str; 3] = ["k8s", "any", ""];
const RESERVED: &str = "reserved";

/// The fields of rules, as they are called in each direction.
struct Words {
    section: &'static str,
    denied: &'static str,
    endpoints: &'static str,
    blocks: &'static str,
    block_sets: &'static str,
    entities: &'static str,
    /// Other peers, of which none is everybody.
    others: &'static [&'static str],
}

const INGRESS: Words = Words {
    section: "ingress",
    denied: "ingressDeny",
    endpoints: "fromEndpoints",
    blocks: "fromCIDR",
    block_sets: "fromCIDRSet",
    entities: "fromEntities",
    others: &["fromNodes", "fromGroups"],
};
const EGRESS: Words = Words {
    section: "egress",
    denied: "egressDeny",
    endpoints: "toEndpoints",
    blocks: "toCIDR",
    block_sets: "toCIDRSet",
    entities: "toEntities",
    others: &["toNodes", "toGroups", "toServices", "toFQDNs"],
};

/// The policies that an object holds: `spec`, and each of `specs`. Of a clusterwide one the namespace is `None`.
pub(super) fn read(object: Object<'_>, name: &str, namespace: Option<&str>) -> Result<Vec<NetworkPolicy>, Misread> {
    let mut policies = Vec::new();
    if object.has("spec") {
        policies.push(policy(object.object("spec")?, name, namespace)?);
    }
    for spec in object.objects("specs")? {
        policies.push(policy(spec, name, namespace)?);
    }
    Ok(policies)
}

fn policy(spec: Object<'_>, name: &str, namespace: Option<&str>) -> Result<NetworkPolicy, Misread> {
    // A policy for nodes selects no Pods.
    let scope = match spec.selector("endpointSelector")? {
        Some(written) => subject(&written, spec.object("endpointSelector")?.object("matchLabels")?, namespace),
        None => Expression::Never,
    };
    let defaults = spec.object("enableDefaultDeny")?;
    let side = |words: &Words| -> Result<Option<Side>, Misread> {
        let mut rules = Vec::new();
        for (section, action) in [(words.denied, Action::Deny), (words.section, Action::Allow)] {
            for written in spec.objects(section)? {
                rules.push(rule(written, action, words, namespace)?);
            }
        }
        let isolates = defaults.flag(words.section)?.unwrap_or(!rules.is_empty());
        Ok((isolates || !rules.is_empty()).then(|| Side { isolates, rules: rules.into() }))
    };
    Ok(NetworkPolicy {
        name: name.to_owned(),
        selector: Selector::default(),
        scope: Scoped(scope),
        place: Place::Cilium,
        ingress: side(&INGRESS)?,
        egress: side(&EGRESS)?,
        is_ending: false,
    })
}

/// The Pods that `endpointSelector` selects: of a policy in a namespace those of that one, whatever namespace its labels name.
fn subject(written: &Selector, labels: Object<'_>, namespace: Option<&str>) -> Expression {
    let mut parts = Vec::new();
    for requirement in counted(&written.0) {
        let (source, key) = parted(&requirement.key);
        let is_label = || matches!(requirement.operator, Operator::In(_)) && labels.has(&requirement.key);
        if namespace.is_some() && SOURCES.contains(&source) && key == POD_NAMESPACE && is_label() {
            continue;
        }
        // The name of the cluster is not known here.
        parts.push(match (key, &requirement.operator) {
            (CLUSTER, Operator::In(_) | Operator::NotIn(_)) => Expression::Never,
            _ => condition(requirement),
        });
    }
    parts.extend(namespace.map(in_namespace));
    Expression::every(parts)
}

fn in_namespace(namespace: &str) -> Expression {
    Expression::label(Bearer::Namespace, NAMESPACE_NAME, Operator::In(vec![namespace.to_owned()]))
}

/// The source and the key of a label.
fn parted(key: &str) -> (&str, &str) {
    key.split_once(':').unwrap_or(("", key))
}

/// A condition on a label, as it is for Pods.
fn condition(requirement: &Requirement) -> Expression {
    let (source, key) = parted(&requirement.key);
    let operator = &requirement.operator;
    if !SOURCES.contains(&source) {
        // No Pod has labels of another source.
        return if is_negative(operator) { Expression::Always } else { Expression::Never };
    }
    let (bearer, key) = match key {
        POD_NAMESPACE => (Bearer::Namespace, NAMESPACE_NAME),
        SERVICE_ACCOUNT => (Bearer::AccountName, key),
        // Every Pod has it.
        CLUSTER if is_negative(operator) => return Expression::Never,
        CLUSTER => return Expression::Always,
        _ => match key.strip_prefix(NAMESPACE_LABELS) {
            Some(key) => (Bearer::Namespace, key),
            None => (Bearer::Pod, key),
        },
    };
    Expression::label(bearer, key, operator.clone())
}

fn is_negative(operator: &Operator) -> bool {
    matches!(operator, Operator::NotIn(_) | Operator::DoesNotExist)
}

fn rule(written: Object<'_>, action: Action, words: &Words, namespace: Option<&str>) -> Result<Rule, Misread> {
    let peers = peers(written, words, namespace)?;
    let ports = if written.has("icmps") { Some(nothing()) } else { ports(written)? };
    let (ports, peers) = match (ports, peers) {
        (None, None) => (Ports::All, Peers::none()),
        (ports, peers) => (ports.unwrap_or(Ports::All), peers.unwrap_or(Peers::All)),
    };
    Ok(Rule { action, ports, peers })
}

fn nothing() -> Ports {
    Ports::from_ranges(Default::default())
}

/// The ports of a rule; `None` if it names none.
fn ports(written: Object<'_>) -> Result<Option<Ports>, Misread> {
    let entries = written.objects("toPorts")?;
    if entries.is_empty() {
        return Ok(None);
    }
    let mut ranges: [Vec<PortRange>; PROTOCOLS] = Default::default();
    for entry in entries {
        let listed = entry.objects("ports")?;
        let narrows = ["rules", "serverNames", "listener"].iter().any(|field| entry.has(field));
        if narrows {
            continue;
        }
        if listed.is_empty() {
            return Ok(Some(Ports::All));
        }
        for port in listed {
            let Some(range) = range(port)? else { continue };
            let protocol = port.text("protocol")?.unwrap_or_default().to_ascii_uppercase();
            match protocol.as_str() {
                "" | "ANY" => ranges.iter_mut().for_each(|ranges| ranges.push(range)),
                protocol => index(Some(protocol))
                    .and_then(|at| ranges.get_mut(at))
                    .into_iter()
                    .for_each(|ranges| ranges.push(range)),
            }
        }
    }
    Ok(Some(Ports::from_ranges(ranges)))
}

/// The ports of an entry; `None` for a name.
fn range(port: Object<'_>) -> Result<Option<PortRange>, Misread> {
    let Some(first) = port.scalar("port")?.and_then(|text| text.parse().ok()) else { return Ok(None) };
    if first == 0 {
        return Ok(Some((1, LAST_PORT)));
    }
    let end = port.whole("endPort")?.and_then(|end| u16::try_from(end).ok()).filter(|end| *end > 0);
    Ok(Some((first, end.unwrap_or(first))).filter(|(first, last)| first <= last))
}

/// The peers of a rule; `None` if it names none.
fn peers(written: Object<'_>, words: &Words, namespace: Option<&str>) -> Result<Option<Peers>, Misread> {
    let fields = [words.endpoints, words.blocks, words.block_sets, words.entities];
    if !fields.iter().chain(words.others).any(|field| written.has(field)) {
        return Ok(None);
    }
    let mut peers = Peers::none();
    for endpoint in written.list(words.endpoints)? {
        peers = peers.with(endpoints(&selector(endpoint, words.endpoints)?, namespace));
    }
    let mut addresses = Addresses::default();
    for block in written.texts(words.blocks)? {
        addresses.add(&as_block(block), std::iter::empty());
    }
    for set in written.objects(words.block_sets)? {
        let except = set.texts("except")?;
        addresses.add(set.text("cidr")?.unwrap_or_default(), except.into_iter());
    }
    peers = peers.with(Peers::Some { addresses, pods: Vec::new() });
    for name in written.texts(words.entities)? {
        peers = peers.with(entity(name));
    }
    if words.others.contains(&"toFQDNs") && written.list("toFQDNs")?.iter().any(is_every_name) {
        peers = peers.with(entity("world"));
    }
    Ok(Some(peers))
}

/// True if a name of DNS matches every one.
fn is_every_name(written: &Value) -> bool {
    let pattern = written.get("matchPattern").and_then(Value::as_str).unwrap_or_default();
    !pattern.is_empty() && pattern.chars().all(|character| "*.".contains(character)) && pattern.starts_with('*')
}

/// A block, or the block of a single address.
fn as_block(text: &str) -> String {
    let bits = if text.contains(':') { 128 } else { 32 };
    if text.contains('/') { text.to_owned() } else { format!("{text}/{bits}") }
}

/// A peer by name.
fn entity(name: &str) -> Peers {
    let world = |families: &[Family]| {
        let mut addresses = Addresses::default();
        for family in families {
            addresses.extend(Addresses::all().only(*family));
        }
        Peers::Some { addresses, pods: Vec::new() }
    };
    match name {
        "all" => Peers::All,
        "world" => world(&Family::ALL),
        "world-ipv4" => world(&[Family::V4]),
        "world-ipv6" => world(&[Family::V6]),
        "cluster" => Peers::Some { addresses: Addresses::default(), pods: Expression::Always.peers() },
        // Nodes, the API server, health checks and what has no identity yet are few.
        _ => Peers::none(),
    }
}

/// Peers by labels: of a policy in a namespace those of that one, unless it names another.
fn endpoints(written: &Selector, namespace: Option<&str>) -> Peers {
    let source = |requirement: &&Requirement| parted(&requirement.key).0 == RESERVED;
    let reserved: Vec<&Requirement> = written.0.iter().filter(source).collect();
    if let [one] = reserved.as_slice()
        && written.0.len() == 1
        && !is_negative(&one.operator)
        && one.operator != Operator::Invalid
    {
        return entity(parted(&one.key).1);
    }
    // Everybody but the named ones, within the cluster and outside.
    if !reserved.is_empty() && written.0.iter().all(|one| parted(&one.key).0 == RESERVED && is_negative(&one.operator))
    {
        return Peers::All;
    }
    let names_namespace = written.0.iter().any(|requirement| {
        let (source, key) = parted(&requirement.key);
        SOURCES.contains(&source) && (key == POD_NAMESPACE || key.starts_with(NAMESPACE_LABELS))
    });
    let scope = namespace.filter(|_| reserved.is_empty() && !names_namespace).map(in_namespace);
    let condition = Expression::every(counted(&written.0).map(condition).chain(scope));
    Peers::Some { addresses: Addresses::default(), pods: condition.peers() }
}
