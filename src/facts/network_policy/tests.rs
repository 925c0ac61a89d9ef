//! What NetworkPolicies allow together, by tables.

use serde_json::{Value, json};

use super::{Direction, NetworkPolicy, allow_everything};
use crate::addresses::Widest;
use crate::steps::{Allowance, POLICY};

fn read(egress: &Value) -> NetworkPolicy {
    let spec = json!({"policyTypes": ["Egress"], "egress": egress});
    NetworkPolicy::read(json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})).expect("a NetworkPolicy")
}

fn is_open_within(policies: &[NetworkPolicy], widest: Value) -> bool {
    let widest: Widest = serde_json::from_value(widest).expect("lengths");
    allow_everything(policies, Direction::Egress, widest)
}

fn is_open(egress: &Value) -> bool {
    is_open_within(&[read(egress)], json!({}))
}

fn blocks(blocks: &[&str]) -> Value {
    blocks.iter().map(|block| json!({"ipBlock": {"cidr": block}})).collect()
}

#[test]
fn blocks_are_read_as_go_reads_them_and_what_an_api_server_refuses_is_nothing() {
    for (block, expected) in [
        ("0.0.0.0/0", true),
        ("9.255.255.255/7", true),
        ("008.000.000.000/08", true),
        ("::/0", true),
        ("2a01:4f8::1/16", true),
        ("::ffff:8.0.0.0/104", true),
        ("::FFFF:0808:0808/104", true),
        ("::ffff:8.0.0.0/105", false),
        ("::ffff:0:0/95", false),
        // IPv4 behind a translator.
        ("64:ff9b::/96", true),
        ("64:ff9b::808:808/104", true),
        ("64:ff9b::808:808/105", false),
        ("64:ff9b::/95", true),
        ("10.0.0.0/8", false),
        ("100.64.0.0/10", false),
        ("127.0.0.0/8", false),
        ("224.0.0.0/3", false),
        ("fc00::/7", false),
        ("fe80::/10", false),
        ("ff00::/8", false),
        ("2002::/16", false),
        ("4000::/2", false),
        ("", false),
        ("/", false),
        ("0.0.0.0", false),
        ("0.0.0.0/", false),
        ("0.0.0.0/-1", false),
        ("0.0.0.0/33", false),
        ("::/129", false),
        ("0.0.0.0/256", false),
        ("0.0.0.0/4294967296", false),
        ("fe80::1%eth0/0", false),
        (" 0.0.0.0/0", false),
        ("0.0.0.0/0 ", false),
        ("0.0.0/0", false),
        ("0x0.0.0.0/0", false),
        ("*", false),
        ("０.0.0.0/0", false),
    ] {
        assert_eq!(is_open(&json!([{"to": blocks(&[block])}])), expected, "{block}");
    }
}

#[test]
fn exceptions_take_away_from_their_own_block_alone() {
    let with = |block: &str, except: Value| json!({"ipBlock": {"cidr": block, "except": except}});
    for (peers, expected) in [
        (json!([with("0.0.0.0/0", json!(["0.0.0.0/0"]))]), false),
        (json!([with("0.0.0.0/0", json!(["::/0", "nonsense", null, "0.0.0.0/40"]))]), true),
        (json!([with("8.0.0.0/8", json!(["8.8.8.8/32"]))]), false),
        (json!([with("8.0.0.0/8", json!(["8.8.8.8/32"])), with("8.8.0.0/16", json!([]))]), true),
        (json!([with("8.0.0.0/8", json!(["8.0.0.0/9"])), with("8.0.0.0/8", json!(["8.128.0.0/9"]))]), true),
        (json!([with("8.0.0.0/8", json!(["0.0.0.0/0"]))]), false),
        (json!([with("8.0.0.0/8", json!(["9.0.0.0/8"]))]), true),
        (json!([with("::/0", json!(["2000::/3"]))]), true),
        (json!([with("::/0", json!(["2000::/3", "64:ff9b::/96"]))]), false),
        (json!([with("255.0.0.0/8", json!(["255.255.255.255/32", "255.0.0.0/32"]))]), false),
    ] {
        assert_eq!(is_open(&json!([{"to": peers}])), expected, "{peers}");
    }
}

#[test]
fn ports_add_up_by_protocol() {
    let range = |first: u16, last: u16| json!({"port": first, "endPort": last});
    for (ports, expected) in [
        (json!(null), true),
        (json!([]), true),
        (json!([null]), true),
        (json!([{"protocol": "SCTP"}]), true),
        (json!([{"protocol": "tcp"}]), false),
        (json!([{"protocol": ""}]), false),
        (json!([{"endPort": 65_535}]), false),
        (json!([{"port": "1", "endPort": 65_535}]), false),
        (json!([{"port": -5, "endPort": 99_999}]), true),
        (json!([{"port": 9_223_372_036_854_775_807_i64, "endPort": -9_223_372_036_854_775_808_i64}]), false),
        (json!([range(1, 65_535)]), true),
        (json!([range(2, 65_535)]), false),
        (json!([range(1, 65_534)]), false),
        (json!([range(1, 65_534), {"port": 65_535}]), true),
        (json!([range(30_000, 65_535), range(1, 40_000), range(5, 6)]), true),
        (json!([range(1, 9), {"port": "name"}, range(11, 65_535)]), false),
    ] {
        assert_eq!(is_open(&json!([{"to": blocks(&["0.0.0.0/0"]), "ports": ports}])), expected, "{ports}");
    }
}

#[test]
fn at_each_port_the_peers_of_all_policies_add_up() {
    let rule = |block: &str, first: u16, last: u16| json!([{"to": blocks(&[block]), "ports": [{"port": first, "endPort": last}]}]);
    let all = |rules: &[Value]| is_open_within(&rules.iter().map(read).collect::<Vec<_>>(), json!({}));
    let halves = [rule("8.0.0.0/9", 1, 65_535), rule("8.128.0.0/9", 1, 600), rule("8.128.0.0/9", 601, 65_535)];
    assert!(all(&halves));
    assert!(!all(&halves[..2]) && !all(&halves[1..]));
    assert!(
        !all(&[rule("8.0.0.0/9", 1, 65_535), rule("9.0.0.0/9", 1, 65_535)]),
        "side by side, but in two blocks of /8"
    );
    // Pods at some ports, addresses at the others.
    let pods = json!([{"to": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}]);
    assert!(all(&[rule("0.0.0.0/0", 1, 79), pods.clone(), rule("2000::/3", 81, 65_535)]));
    assert!(!all(&[rule("0.0.0.0/0", 1, 79), pods, rule("2000::/3", 82, 65_535)]));
    // Selectors that part all Pods, at overlapping ports.
    let team = |operator: &str, first: u16| {
        let one = json!([{"key": "team", "operator": operator, "values": ["shop"]}]);
        json!([{"to": [{"namespaceSelector": {"matchExpressions": one}}], "ports": [{"port": first, "endPort": 65_535}]}])
    };
    assert!(all(&[team("In", 1), team("NotIn", 1)]));
    assert!(!all(&[team("In", 2), team("NotIn", 1)]));
    assert!(all(&[team("In", 2), team("NotIn", 1), rule("0.0.0.0/0", 1, 1)]));
}

#[test]
fn the_widest_block_is_a_setting() {
    let policies = |block: &str| [read(&json!([{"to": blocks(&[block])}]))];
    for (block, widest, expected) in [
        ("8.0.0.0/9", json!({"ipv4": 9}), true),
        ("8.0.0.0/8", json!({"ipv4": 7}), false),
        ("8.8.8.8/32", json!({"ipv4": 32}), true),
        ("10.8.8.8/32", json!({"ipv4": 32}), false),
        ("0.0.0.0/0", json!({"ipv4": 0}), true),
        ("0.0.0.0/1", json!({"ipv4": 0}), false),
        ("2a00::/12", json!({"ipv6": 12}), true),
        ("2a00::/12", json!({"ipv6": 11}), false),
        ("::/0", json!({"ipv4": 0, "ipv6": 0}), true),
        // All that is public.
        ("2000::/3", json!({"ipv6": 0}), true),
        ("2000::/4", json!({"ipv6": 0}), false),
        ("2a00::1/128", json!({"ipv6": 128}), true),
    ] {
        assert_eq!(is_open_within(&policies(block), widest.clone()), expected, "{block} {widest}");
    }
    for wrong in [json!({"ipv4": 33}), json!({"ipv6": 129}), json!({"ipv4": -1}), json!({"ipv4": null}), json!(8)] {
        assert!(serde_json::from_value::<Widest>(wrong.clone()).is_err(), "{wrong}");
    }
}

/// Tens of thousands of blocks and ranges take a fraction of a policy's steps.
#[test]
fn many_blocks_and_ranges_add_up_within_the_budget() {
    let all: Vec<String> = (0..65_536).map(|block| format!("8.{}.{}.0/24", block / 256, block % 256)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (even, odd): (Vec<_>, Vec<_>) = all.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    // The ports are in two rules as well, so that the tree is needed.
    let low = json!([{"port": 1, "endPort": 30_000}, {"port": 30_001, "endPort": 65_535}]);
    let policies = |odd: &[&str]| [read(&json!([{"to": blocks(&even)}, {"to": blocks(odd), "ports": low}]))];
    let apart: Vec<Value> = (1..=65_535_u16)
        .map(|port| json!({"to": blocks(&["8.0.0.0/9", "8.128.0.0/9"]), "ports": [{"port": port}]}))
        .collect();
    for (policies, expected) in [(policies(&odd), true), (policies(&odd[1..]), false), ([read(&apart.into())], true)] {
        let allowance = Allowance::new(POLICY);
        assert_eq!(is_open_within(&policies, json!({})), expected);
        assert!(allowance.taken() < u64::from(POLICY) / 2, "{}", allowance.taken());
    }
}

#[test]
fn selectors_of_several_requirements_add_up() {
    let of = |key: &str, operator: &str, values: Value| json!({"key": key, "operator": operator, "values": values});
    let team = |operator, values: &[&str]| of("team", operator, json!(values));
    let app = |operator, values: &[&str]| of("app", operator, json!(values));
    let namespaces = |of: Value| json!({"namespaceSelector": {"matchExpressions": of}});
    let both = |namespaces: Value, pods: Value| json!({"namespaceSelector": {"matchExpressions": namespaces}, "podSelector": {"matchExpressions": pods}});
    for (peers, expected) in [
        (json!([namespaces(json!([team("NotIn", &["a"])])), namespaces(json!([team("NotIn", &["b"])]))]), true),
        (json!([namespaces(json!([team("NotIn", &["a", "b"])])), namespaces(json!([team("NotIn", &["b"])]))]), false),
        (
            json!([
                namespaces(json!([team("In", &["a"])])),
                both(json!([team("NotIn", &["a"])]), json!([app("Exists", &[])])),
                both(json!([team("NotIn", &["a"])]), json!([app("DoesNotExist", &[])])),
            ]),
            true,
        ),
        (
            json!([
                namespaces(json!([team("In", &["a"])])),
                both(json!([team("NotIn", &["a"])]), json!([app("Exists", &[])])),
                both(json!([team("NotIn", &["a", "b"])]), json!([app("DoesNotExist", &[])])),
            ]),
            false,
        ),
        (
            json!([
                namespaces(json!([team("In", &["a"])])),
                both(json!([team("NotIn", &["a"])]), json!([app("NotIn", &["x"])])),
                both(json!([team("NotIn", &["a"])]), json!([app("NotIn", &["y"])])),
            ]),
            true,
        ),
        (json!([namespaces(json!([team("NotIn", &["a"]), app("Exists", &[])])), namespaces(json!([]))]), true),
        (json!([namespaces(json!([team("Exists", &[]), team("DoesNotExist", &[])]))]), false),
    ] {
        assert_eq!(is_open(&json!([{"to": peers}])), expected, "{peers}");
        let mut padded = peers.clone();
        let values: Vec<String> = (0..1_100).map(|value| format!("v{value}")).collect();
        let padding = namespaces(json!([of("team", "In", json!(values)), app("Exists", &[])]));
        padded.as_array_mut().expect("peers").insert(0, padding);
        assert_eq!(is_open(&json!([{"to": padded}])), expected, "a peer that does not fit hides no other");
        // One policy a peer.
        let apart = peers.as_array().expect("peers").iter().map(|peer| read(&json!([{"to": [peer]}])));
        assert_eq!(is_open_within(&apart.collect::<Vec<_>>(), json!({})), expected, "{peers}");
    }
}

#[test]
fn of_selectors_with_many_labels_a_bounded_number_is_looked_at() {
    let requirement = |label: usize, operator: &str| json!({"key": format!("k{label}"), "operator": operator});
    // Every combination of so many labels; all of them together are everybody.
    let peers = |labels: usize| -> Value {
        let peer = |number: usize| {
            let operator = |label: usize| if number >> label & 1 == 0 { "Exists" } else { "DoesNotExist" };
            let all: Vec<Value> = (0..labels).map(|label| requirement(label, operator(label))).collect();
            json!({"namespaceSelector": {"matchExpressions": all}})
        };
        (0..1_usize << labels).map(peer).collect()
    };
    assert!(is_open(&json!([{"to": peers(7)}])));
    let many = read(&json!([{"to": peers(8)}]));
    let allowance = Allowance::new(POLICY);
    assert!(!is_open_within(&[many], json!({})), "too many requirements: not seen");
    assert!(!allowance.is_exhausted(), "{}", allowance.taken());
}
