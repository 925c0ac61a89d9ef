//! What policies allow together agrees with cyclonus (`tools/network-policy`), a test suite for network plugins.
//!
//! Cyclonus says of single connections whether they are allowed. The blocks and port ranges of a set of policies part all
//! addresses and ports into cells within which the answer is the same: one connection for each cell is asked about, and what is
//! open follows from the answers.
//!
//! Differences, each with its reason:
//! - *NotIn* selects what has no such label (API reference of `LabelSelectorRequirement`); for cyclonus it does not. It is asked
//!   about two policies or peers instead, with *NotIn* and with *DoesNotExist*.
//! - `matchLabels` with an empty value selects what has no such label for cyclonus. It is asked about *In*.
//! - `64:ff9b::/96` stands for IPv4 behind a translator, of which cyclonus knows nothing. None is generated.

mod generator;

use std::collections::{BTreeMap, BTreeSet};

use generator::{Generator, PORTS};
use ipnet::IpNet;
use portcullis::facts::NetworkPolicy;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use super::model::Random;
use super::{DIRECTIONS, Here, missing};
use crate::go_tool::GoTool;
use crate::judging;

/// Number of pairs of a Pod and policies that are compared; `PORTCULLIS_NETWORK_PAIRS` sets another.
const PAIRS: u64 = 2_500;
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const NAME: &str = "kubernetes.io/metadata.name";

/// IPv4 and IPv6 addresses that are not public, by the registries of IANA for special purposes, multicast and reserved space.
const SPECIAL: [[&str; 14]; 2] = [
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    ],
    [
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "::/3",
        "::/3",
        "::/3",
        "::/3",
        "::/3",
        "::/3",
        "::/3",
    ],
];
/// Addresses from the first to the last one.
type Span = (u128, u128);

/// Family (0 or 1) and addresses of a block, as Go reads it.
fn span(block: &str) -> (usize, Span) {
    let mapped = block.strip_prefix("::ffff:").map(|rest| rest.rsplit_once('/').expect("a length").1);
    if let Some(length) = mapped {
        return (0, (0, (1_u128 << (128 - length.parse::<u32>().expect("a number"))) - 1));
    }
    match block.parse().expect("a block") {
        IpNet::V4(block) => (0, (u32::from(block.network()).into(), u32::from(block.broadcast()).into())),
        IpNet::V6(block) => (1, (block.network().into(), block.broadcast().into())),
    }
}

fn last(family: usize) -> u128 {
    [u128::from(u32::MAX), u128::MAX][family]
}

/// An address as cyclonus reads it.
fn shown(family: usize, address: u128) -> String {
    if family == 0 {
        std::net::Ipv4Addr::from(u32::try_from(address).expect("32 bits")).to_string()
    } else {
        std::net::Ipv6Addr::from(address).to_string()
    }
}

/// The public addresses.
fn public(family: usize) -> Vec<Span> {
    let mut special: Vec<Span> = SPECIAL[family].iter().map(|block| span(block).1).collect();
    special.sort_unstable();
    let (mut public, mut next) = (Vec::new(), 0);
    for (from, to) in special {
        if from > next {
            public.push((next, from - 1));
        }
        next = next.max(to.saturating_add(1));
    }
    public
}

/// True if some block of that length, or a larger one, has public addresses and none among the `closed` ones: looked for from
/// the largest block downwards.
fn is_wide(public: &[Span], closed: &[Span], (from, to): Span, length: u8) -> bool {
    let within = |spans: &[Span]| -> Vec<Span> {
        spans.iter().map(|span| (span.0.max(from), span.1.min(to))).filter(|span| span.0 <= span.1).collect()
    };
    let (public, closed) = (within(public), within(closed));
    if public.is_empty() || closed.is_empty() {
        return !public.is_empty();
    }
    let middle = from + (to - from) / 2;
    length > 0
        && (is_wide(&public, &closed, (from, middle), length - 1)
            || is_wide(&public, &closed, (middle + 1, to), length - 1))
}

/// Selectors that together mean for cyclonus what this one means.
fn for_cyclonus(selector: &Value) -> Vec<Value> {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
    let mut selectors = vec![Vec::new()];
    for requirement in pairs.chain(selector["matchExpressions"].as_array().cloned().unwrap_or_default()) {
        let mut ways = vec![requirement.clone()];
        if requirement["operator"] == "NotIn" {
            ways.push(json!({"key": requirement["key"], "operator": "DoesNotExist"}));
        }
        selectors = selectors
            .iter()
            .flat_map(|before: &Vec<Value>| {
                ways.iter().map(|way| [before.as_slice(), std::slice::from_ref(way)].concat())
            })
            .collect();
    }
    selectors.into_iter().map(|expressions| json!({"matchExpressions": expressions})).collect()
}

/// The same for a field of an object, where it has one.
fn in_field(object: &Value, field: &str) -> Vec<Value> {
    let Some(selector) = object.get(field) else { return vec![object.clone()] };
    let with = |selector: Value| {
        let mut object = object.clone();
        object[field] = selector;
        object
    };
    for_cyclonus(selector).into_iter().map(with).collect()
}

fn policy_for_cyclonus(policy: &Value) -> Vec<Value> {
    let mut policy = policy.clone();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in policy["spec"][direction].as_array_mut().expect("rules") {
            let Some(before) = rule.get(peers).and_then(Value::as_array) else { continue };
            let pods = before.iter().flat_map(|peer| in_field(peer, "podSelector"));
            rule[peers] = pods.flat_map(|peer| in_field(&peer, "namespaceSelector")).collect();
        }
    }
    let specs = in_field(&policy["spec"], "podSelector");
    specs.into_iter().map(|spec| json!({"metadata": policy["metadata"], "spec": spec})).collect()
}

/// The texts `cidr` and `except` of policies.
fn blocks(policies: &[Value]) -> Vec<String> {
    let mut blocks = Vec::new();
    let rules = |policy: &Value| ["ingress", "egress"].map(|direction| policy["spec"][direction].as_array().cloned());
    for rule in policies.iter().flat_map(rules).flatten().flatten() {
        for peer in ["from", "to"].iter().filter_map(|peers| rule[*peers].as_array()).flatten() {
            blocks.extend(peer["ipBlock"]["cidr"].as_str().map(str::to_owned));
            let except = peer["ipBlock"]["except"].as_array().into_iter().flatten();
            blocks.extend(except.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    blocks
}

/// What is left of a span without others, which are in order.
fn without(span: Span, others: &[Span]) -> Vec<Span> {
    let (mut left, mut next) = (Vec::new(), span.0);
    for (from, to) in others {
        if *from > next {
            left.push((next, (*from - 1).min(span.1)));
        }
        next = next.max(to + 1);
    }
    left.push((next, span.1));
    left.retain(|span| span.0 <= span.1);
    left
}

/// Labels of a Pod or of a namespace, of which `z` stands for every value that no selector names.
fn labelled(key: &str) -> Vec<BTreeMap<String, &'static str>> {
    let with = |value| BTreeMap::from([(key.to_owned(), value)]);
    std::iter::once(BTreeMap::new()).chain(["a", "b", "z"].map(with)).collect()
}

/// What is asked about, and what follows from the answers.
struct Cells {
    /// Family and first and last address of each cell.
    addresses: Vec<(usize, Span)>,
    peers: Vec<Value>,
}

impl Cells {
    fn of(policies: &[Value]) -> Self {
        let mut starts = [BTreeSet::from([0]), BTreeSet::from([0])];
        for (family, (from, to)) in blocks(policies).iter().map(|block| span(block)) {
            starts[family].insert(from);
            if to < last(family) {
                starts[family].insert(to + 1);
            }
        }
        let mut addresses = Vec::new();
        for (family, starts) in starts.iter().enumerate() {
            let ends = starts.iter().skip(1).map(|next| next - 1).chain([last(family)]);
            addresses.extend(starts.iter().copied().zip(ends).map(|span| (family, span)));
        }
        let mut peers: Vec<Value> =
            addresses.iter().map(|(family, span)| json!({"IP": shown(*family, span.0)})).collect();
        for namespace in ["default", "other"] {
            for mut of_namespace in labelled("team") {
                of_namespace.insert(NAME.to_owned(), namespace);
                peers.extend(
                    labelled("app").into_iter().map(
                        |labels| json!({"Namespace": namespace, "NamespaceLabels": of_namespace, "Labels": labels}),
                    ),
                );
            }
        }
        Self { addresses, peers }
    }

    /// True if the peers that are allowed at a port are everybody, by their addresses and by their Pods.
    fn are_open(&self, allowed: &str, public: &[Vec<Span>; 2], widest: [u8; 2]) -> (bool, bool) {
        let bits = allowed.as_bytes();
        // Where a cluster has a translator (RFC 6052), 64:ff9b::/96 leads to all of IPv4.
        let (first, last) = (0x64_ff9b << 96, (0x64_ff9b << 96) + u128::from(u32::MAX));
        let open = self.addresses.iter().zip(bits).filter(|((of, _), bit)| *of == 1 && **bit == b'1');
        let translated: Vec<Span> = open
            .map(|((_, span), _)| (span.0.max(first), span.1.min(last)))
            .filter(|span| span.0 <= span.1)
            .map(|span| (span.0 - first, span.1 - first))
            .collect();
        let is_wide = |family: usize| {
            let translated: &[Span] = if family == 0 { &translated } else { &[] };
            let cells = self.addresses.iter().zip(bits).filter(|((of, _), bit)| *of == family && **bit == b'0');
            let closed: Vec<Span> = cells
                .flat_map(|((_, span), _)| without(*span, translated))
                .flat_map(|span| public[family].iter().map(move |public| (public.0.max(span.0), public.1.min(span.1))))
                .filter(|span| span.0 <= span.1)
                .collect();
            is_wide(&public[family], &closed, (0, self::last(family)), widest[family])
        };
        (is_wide(0) || is_wide(1), bits[self.addresses.len()..].iter().all(|bit| *bit == b'1'))
    }
}

fn configured(direction: &str, [ipv4, ipv6]: [u8; 2]) -> Snapshot {
    judging::configured(&format!(
        "policies: {{unisolated-pods: {{mode: enforce, settings: {{directions: [{direction}], countsOpen: false, \
         widest: {{ipv4: {ipv4}, ipv6: {ipv6}}}}}}}}}\n"
    ))
}

#[test]
fn what_is_open_agrees_with_cyclonus() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = variable("SEED").unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        u64::from(now.subsec_nanos()) + now.as_secs()
    });
    let pairs = variable("PORTCULLIS_NETWORK_PAIRS").unwrap_or(PAIRS);
    println!("SEED={seed} PORTCULLIS_NETWORK_PAIRS={pairs}");
    let cyclonus = GoTool::built_once("network-policy");
    let public = [public(0), public(1)];
    let widest = [[8, 16], [8, 16], [8, 16], [9, 17], [1, 4], [0, 0]];
    let settings: Vec<_> = widest
        .iter()
        .flat_map(|widest| DIRECTIONS.map(|direction| (direction, *widest, configured(direction, *widest))))
        .collect();
    let ports: Vec<Value> =
        PROTOCOLS.iter().flat_map(|protocol| PORTS.map(|port| json!({"Protocol": protocol, "Number": port}))).collect();
    let mut generator = Generator(Random(seed));
    let (mut open, mut closed) = (0_u64, 0_u64);
    for pair in 0..pairs {
        let policies: Vec<Value> = (0..=generator.0.below(3)).map(|_| generator.policy()).collect();
        let labels = generator.0.one(&labelled("app")).clone();
        let (direction, widest, snapshot) = generator.0.one(&settings);
        let cells = Cells::of(&policies);
        let asked: Vec<Value> = policies.iter().flat_map(policy_for_cyclonus).collect();
        let answer = cyclonus.ask(
            &json!({
                "Policies": asked, "Direction": direction, "Namespace": "default", "Labels": labels,
                "Peers": cells.peers, "Ports": ports,
            })
            .to_string(),
        );
        let context = || format!("SEED={seed}, pair {pair}, {direction}, {widest:?}, {labels:?}: {policies:#?}");
        let allowed: Vec<&str> = answer["allowed"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer} {}", context()))
            .iter()
            .map(|text| text.as_str().expect("text"))
            .collect();
        let by_port: Vec<(bool, bool)> =
            allowed.iter().map(|allowed| cells.are_open(allowed, &public, *widest)).collect();
        let protocols = || by_port.chunks(PORTS.len());
        let expected = protocols().any(|ports| ports.iter().all(|(addresses, pods)| *addresses || *pods));

        let here = policies.iter().filter(|policy| policy["metadata"]["namespace"] == "default");
        let read: Vec<NetworkPolicy> = here.map(|policy| NetworkPolicy::read(policy.clone()).expect("valid")).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels}, "spec": {},
        });
        let found = !missing(snapshot, &pod, &Here(std::sync::Arc::new(read.into()))).is_empty();
        assert_eq!(found, expected, "{}", context());
        *(if found { &mut open } else { &mut closed }) += 1;
    }
    println!("{open} open, {closed} closed");
    // The generator makes enough of each.
    assert!(open > pairs / 5 && closed > pairs / 5, "{open} {closed}");
}
