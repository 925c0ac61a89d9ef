//! The model, straight on the JSON, and a generator of policies and labels, `null` wherever Go takes it.

use serde_json::{Map, Value, json};

const KEYS: [&str; 3] = ["app", "tier", "example.com/zone"];
const VALUES: [&str; 4] = ["", "a", "b", "c"];
const OPERATORS: [&str; 12] =
    ["In", "In", "In", "NotIn", "NotIn", "NotIn", "Exists", "Exists", "DoesNotExist", "DoesNotExist", "Gt", "in"];

/// True if some policy of the namespace `default` isolates the Pod in that direction.
pub(super) fn is_isolated(policies: &[Value], pod: &Value, direction: &str, counts_open: bool) -> bool {
    let affecting = policies.iter().filter(|policy| is_in_default(policy) && affects(&policy["spec"], direction));
    let mut selecting =
        affecting.filter(|policy| selects(&policy["spec"]["podSelector"], &pod["metadata"]["labels"])).peekable();
    // Policies are additive: one that allows everything undoes the others.
    selecting.peek().is_some() && (counts_open || !selecting.any(|policy| is_open(&policy["spec"], direction)))
}

pub(super) fn is_in_default(policy: &Value) -> bool {
    matches!(policy["metadata"]["namespace"].as_str(), None | Some("default"))
}

/// "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
/// contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
/// section) are assumed to affect ingress."
fn affects(spec: &Value, direction: &str) -> bool {
    let written = list(&spec["policyTypes"]);
    match (written.as_slice(), direction) {
        ([], "ingress") => true,
        ([], _) => !list(&spec["egress"]).is_empty(),
        (written, "ingress") => written.contains(&json!("Ingress")),
        (written, _) => written.contains(&json!("Egress")),
    }
}

/// "If this field is empty or missing, this rule matches all sources (traffic not restricted by source)"; the same of
/// ports. No peer of the generator is everybody, and no port of it is all.
fn is_open(spec: &Value, direction: &str) -> bool {
    let peers = if direction == "ingress" { "from" } else { "to" };
    list(&spec[direction]).iter().any(|rule| list(&rule[peers]).is_empty() && list(&rule["ports"]).is_empty())
}

/// By brute force: a label is absent or has one of [`VALUES`], and each requirement leaves some of these over.
fn selects(selector: &Value, labels: &Value) -> bool {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
    let requirements: Vec<Value> = pairs.chain(list(&selector["matchExpressions"])).collect();
    KEYS.iter().all(|key| {
        let mut left: Vec<Option<&str>> = VALUES.into_iter().map(Some).chain([None]).collect();
        for requirement in requirements.iter().filter(|requirement| requirement["key"] == *key) {
            let values = list(&requirement["values"]);
            let is_listed = |value: &str| values.iter().any(|one| one.as_str().unwrap_or_default() == value);
            left.retain(|label| match (requirement["operator"].as_str(), values.is_empty()) {
                // "If the operator is In or NotIn, the values array must be non-empty."
                (Some("In"), false) => label.is_some_and(is_listed),
                (Some("NotIn"), false) => !label.is_some_and(is_listed),
                // "If the operator is Exists or DoesNotExist, the values array must be empty."
                (Some("Exists"), true) => label.is_some(),
                (Some("DoesNotExist"), true) => label.is_none(),
                _ => false,
            });
        }
        left.contains(&labels.get(key).map(|value| value.as_str().unwrap_or_default()))
    })
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        let index = self.below(of.len() as u64);
        &of[usize::try_from(index).expect("an index")]
    }

    /// Sets a field; or leaves it out, or sets it to `null`.
    fn set(&mut self, object: &mut Value, field: &str, make: impl FnOnce(&mut Self) -> Value) {
        match self.below(8) {
            0 => {}
            1 => object[field] = Value::Null,
            _ => object[field] = make(self),
        }
    }

    /// A list, often empty.
    fn some(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> Value) -> Value {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// A value, now and then `null`, which is the empty one.
    fn value(&mut self) -> Value {
        if self.below(12) == 0 { Value::Null } else { json!(self.one(&VALUES)) }
    }

    fn map(&mut self, most: u64) -> Value {
        let count = self.below(most + 1);
        (0..count).map(|_| ((*self.one(&KEYS)).to_owned(), self.value())).collect::<Map<_, _>>().into()
    }

    pub(super) fn labels(&mut self) -> Value {
        if self.below(12) == 0 { Value::Null } else { self.map(3) }
    }

    pub(super) fn policy(&mut self) -> Value {
        let mut policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "generated"},
        });
        match self.below(8) {
            0 => policy["metadata"]["namespace"] = json!("elsewhere"),
            1 => policy["metadata"]["namespace"] = json!("default"),
            _ => {}
        }
        let mut spec = json!({});
        self.set(&mut spec, "podSelector", Self::selector);
        self.set(&mut spec, "policyTypes", |random| {
            let types: [&[&str]; 7] = [
                &[],
                &["Ingress"],
                &["Egress"],
                &["Ingress", "Egress"],
                &["Egress", "Ingress"],
                &["egress"],
                &["Other"],
            ];
            json!(random.one(&types))
        });
        for direction in super::DIRECTIONS {
            self.set(&mut spec, direction, |random| random.some(2, Self::rule));
        }
        if self.below(30) > 0 {
            policy["spec"] = spec;
        }
        policy
    }

    fn selector(&mut self) -> Value {
        let mut selector = json!({});
        self.set(&mut selector, "matchLabels", |random| random.map(1));
        self.set(&mut selector, "matchExpressions", |random| random.some(3, Self::requirement));
        selector
    }

    fn requirement(&mut self) -> Value {
        let operator = *self.one(&OPERATORS);
        let mut requirement = json!({"key": self.one(&KEYS), "operator": operator});
        // What belongs to the operator, most of the time.
        if operator.ends_with("In") != (self.below(12) == 0) {
            requirement["values"] = self.some(3, Self::value);
        } else if self.below(3) == 0 {
            requirement["values"] = self.one(&[Value::Null, json!([])]).clone();
        }
        requirement
    }

    fn rule(&mut self) -> Value {
        if self.below(12) == 0 {
            return Value::Null;
        }
        let mut rule = json!({});
        for (field, items) in [("from", json!({"podSelector": {}})), ("to", json!({})), ("ports", json!({"port": 443}))]
        {
            self.set(&mut rule, field, |random| random.some(1, |_| items.clone()));
        }
        rule
    }
}
