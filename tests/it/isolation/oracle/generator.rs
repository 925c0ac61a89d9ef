//! A generator of policies whose blocks and ranges of ports often add up.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{NAME, PROTOCOLS, shown, span};
use crate::isolation::model::Random;

/// Ports at which ranges begin. They end before one of these, or at the last port.
pub(super) const PORTS: [u32; 6] = [1, 2, 443, 444, 1_024, 65_535];
const VALUES: [&str; 2] = ["a", "b"];
const BLOCKS: [&str; 28] = [
    "0.0.0.0/0",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "0.0.0.0/2",
    "64.0.0.0/2",
    "8.0.0.0/7",
    "8.0.0.0/8",
    "8.0.0.0/9",
    "8.128.0.0/9",
    "10.0.0.0/8",
    "8.8.8.8/6",
    "100.0.0.0/8",
    "192.0.0.0/8",
    "172.16.0.0/12",
    "224.0.0.0/3",
    "::ffff:0:0/97",
    "::ffff:0.0.0.0/96",
    "::/0",
    "2000::/3",
    "2000::/4",
    "3000::/4",
    "2a00::/16",
    "2a00::/17",
    "2a00:8000::/17",
    "2001::/16",
    "2002::/16",
    "fc00::/7",
];

/// Makes policies of `networking.k8s.io/v1` that an API server takes.
pub(super) struct Generator(pub(super) Random);

impl Generator {
    fn is_one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    fn requirement(&mut self, keys: &[&str]) -> Value {
        let key = *self.0.one(keys);
        let operator = *self.0.one(&["In", "NotIn", "NotIn", "Exists", "DoesNotExist"]);
        let values: &[&str] = if key == NAME { &["default"] } else { &VALUES };
        let values: BTreeSet<&str> = (0..=self.0.below(2)).map(|_| *self.0.one(values)).collect();
        if operator.ends_with("In") {
            json!({"key": key, "operator": operator, "values": values})
        } else {
            json!({"key": key, "operator": operator})
        }
    }

    fn selector(&mut self, keys: &[&str]) -> Value {
        match self.0.below(5) {
            0 | 1 => json!({}),
            2 if keys[0] != NAME => json!({"matchLabels": {*self.0.one(keys): *self.0.one(&VALUES)}}),
            3 if self.is_one_in(3) => json!({"matchExpressions": [self.requirement(keys), self.requirement(keys)]}),
            _ => json!({"matchExpressions": [self.requirement(keys)]}),
        }
    }

    fn peer(&mut self) -> Value {
        match self.0.below(8) {
            0 => json!({"podSelector": self.selector(&["app"])}),
            1 | 2 => json!({"namespaceSelector": self.selector(&[NAME, "team"])}),
            3 => json!({"namespaceSelector": self.selector(&[NAME, "team"]), "podSelector": self.selector(&["app"])}),
            _ => {
                let block = *self.0.one(&BLOCKS);
                let mut peer = json!({"ipBlock": {"cidr": block}});
                if self.is_one_in(2) {
                    peer["ipBlock"]["except"] = (0..=self.0.below(2)).map(|_| self.except(block)).collect();
                }
                peer
            }
        }
    }

    /// A block within a block.
    fn except(&mut self, block: &str) -> Value {
        let (family, (from, to)) = span(block);
        let random = (u128::from(self.0.below(u64::MAX)) << 64) | u128::from(self.0.below(u64::MAX));
        let size = to - from;
        // The first, the last or another address of it.
        let address = match self.0.below(3) {
            0 => from,
            1 => to,
            _ => from + if size == u128::MAX { random } else { random % (size + 1) },
        };
        let bits = [32, 128][family];
        let shortest = bits - u64::from(128 - size.leading_zeros());
        let length = if self.is_one_in(3) { bits } else { (shortest + 1 + self.0.below(4)).min(bits) };
        let except: IpNet = format!("{}/{length}", shown(family, address)).parse().expect("a block");
        except.trunc().to_string().into()
    }

    fn port(&mut self) -> Value {
        let mut port = match self.0.below(8) {
            0 => json!({}),
            1 => json!({"port": "http"}),
            2 => json!({"port": self.0.one(&PORTS[2..3])}),
            3 => json!({"port": 1, "endPort": 65_535}),
            _ => {
                let mut ends = [self.0.below(7), self.0.below(7)].map(|index| usize::try_from(index).expect("small"));
                ends.sort_unstable();
                let (from, to) = (ends[0].min(5), if ends[1] <= ends[0] { 6 } else { ends[1] });
                json!({"port": PORTS[from], "endPort": PORTS.get(to).map_or(65_535, |next| next - 1)})
            }
        };
        match self.0.below(6) {
            0 => port["protocol"] = json!(self.0.one(&PROTOCOLS)),
            1 => port["protocol"] = json!("TCP"),
            _ => {}
        }
        port
    }

    fn rule(&mut self, peers: &str) -> Value {
        let mut rule = json!({});
        if !self.is_one_in(12) {
            rule[peers] = (0..=self.0.below(3)).map(|_| self.peer()).collect();
        }
        if !self.is_one_in(3) {
            rule["ports"] = (0..=self.0.below(3)).map(|_| self.port()).collect();
        }
        rule
    }

    pub(super) fn policy(&mut self) -> Value {
        let types: [&[&str]; 3] = [&["Ingress"], &["Egress"], &["Ingress", "Egress"]];
        let namespace = if self.is_one_in(12) { "elsewhere" } else { "default" };
        let mut spec = json!({"podSelector": self.selector(&["app"]), "policyTypes": self.0.one(&types)});
        spec["ingress"] = (0..self.0.below(3)).map(|_| self.rule("from")).collect();
        spec["egress"] = (0..self.0.below(4)).map(|_| self.rule("to")).collect();
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "generated", "namespace": namespace}, "spec": spec,
        })
    }
}
