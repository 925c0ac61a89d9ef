//! A generator of pods over all that the Pod Security Standards look at, and what looks like it.
//!
//! Left out: `null` as an item of a list. Go reads it as an empty item; it is unreadable to the policies, and so refused.

mod containers;
mod contexts;
mod sound;
mod volumes;

pub(super) use sound::sound;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Stands for a field that is not there.
const ABSENT: &str = "\0";

/// Weights of the values of a field: good, bad (the standards forbid it), odd (the API server would reject it).
#[derive(Clone, Copy)]
struct Taste {
    good: u32,
    bad: u32,
    odd: u32,
}

/// A pod near to the border: in most, a few fields are bad.
const CALM: Taste = Taste { good: 60, bad: 2, odd: 1 };
const MIXED: Taste = Taste { good: 12, bad: 2, odd: 1 };
const WILD: Taste = Taste { good: 2, bad: 2, odd: 2 };
/// For a real API server.
const SOUND: Taste = Taste { good: 30, bad: 1, odd: 0 };

impl Taste {
    /// One of these values. Smaller counterexamples have the first.
    fn of(self, good: Vec<Value>, bad: Vec<Value>, odd: Vec<Value>) -> BoxedStrategy<Value> {
        let lists = [(self.good, good), (self.bad, bad), (self.odd, odd)];
        let lists = lists.into_iter().filter(|(weight, list)| *weight > 0 && !list.is_empty());
        let lists = lists.map(|(weight, list)| (weight, prop::sample::select(list).boxed()));
        prop::strategy::Union::new_weighted(lists.collect()).boxed()
    }

    /// Not there, a `null`, or one of these.
    fn perhaps(self, good: Vec<Value>, bad: Vec<Value>, odd: Vec<Value>) -> BoxedStrategy<Value> {
        self.of([vec![absent(), absent(), Value::Null], good].concat(), bad, odd)
    }

    fn is_sound(self) -> bool {
        self.odd == 0
    }
}

/// Not there, or what the strategy makes.
fn rarely(one_in: u32, what: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![one_in - 1 => Just(absent()), 1 => what].boxed()
}

fn absent() -> Value {
    json!(ABSENT)
}

/// An object of those fields that are there.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| *value != ABSENT);
    fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// Each as a list of its own.
fn lists(items: &[&str]) -> Vec<Value> {
    items.iter().map(|item| json!([item])).collect()
}

fn texts(items: &[&str]) -> Vec<Value> {
    items.iter().map(|item| json!(item)).collect()
}

/// Pods as Kubernetes' evaluator reads them, whether or not an API server would take them.
pub(super) fn any() -> BoxedStrategy<Value> {
    prop_oneof![5 => pod(CALM), 3 => pod(MIXED), 1 => pod(WILD)].boxed()
}

fn pod(taste: Taste) -> BoxedStrategy<Value> {
    let os = taste.perhaps(
        vec![json!({"name": "linux"})],
        vec![json!({"name": "windows"})],
        vec![
            json!({}),
            json!({"name": ""}),
            json!({"name": null}),
            json!({"name": "Windows"}),
            json!({"name": "plan9"}),
        ],
    );
    let os = prop_oneof![4 => os, 1 => Just(json!({"name": "windows"}))];
    let selector = taste.perhaps(
        vec![json!({}), json!({"kubernetes.io/os": "linux"})],
        vec![json!({"kubernetes.io/os": "windows"})],
        vec![json!({"kubernetes.io/os": ""}), json!({"kubernetes.io/os": null})],
    );
    let users = prop::sample::select(vec![absent(), absent(), json!(true), json!(false), Value::Null]);
    let shares = || taste.perhaps(vec![json!(false)], vec![json!(true)], vec![]);
    let context = contexts::of_pod(taste);
    let lists = (containers::regular(taste), containers::init(taste), containers::ephemeral(taste));
    let fields = (os, selector, users, (shares(), shares(), shares()), context, lists, volumes::list(taste));
    (fields, annotations(taste))
        .prop_map(|(fields, annotations)| {
            let (os, selector, users, (network, pid, ipc), context, (regular, init, ephemeral), volumes) = fields;
            let spec = object([
                ("securityContext", context),
                ("initContainers", init),
                ("containers", regular),
                ("ephemeralContainers", ephemeral),
                ("os", os),
                ("nodeSelector", selector),
                ("hostUsers", users),
                ("hostNetwork", network),
                ("hostPID", pid),
                ("hostIPC", ipc),
                ("volumes", volumes),
            ]);
            let metadata = object([("name", json!("web")), ("annotations", annotations)]);
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        })
        .boxed()
}

/// AppArmor and seccomp by annotations: of containers that are there, of others, and what merely looks like them.
fn annotations(taste: Taste) -> BoxedStrategy<Value> {
    let armor = "container.apparmor.security.beta.kubernetes.io/";
    let seccomp = "container.seccomp.security.alpha.kubernetes.io/";
    let keys = [
        format!("{armor}c0"),
        format!("{armor}c1"),
        format!("{armor}i0"),
        format!("{armor}nobody"),
        "seccomp.security.alpha.kubernetes.io/pod".to_owned(),
        format!("{seccomp}c0"),
        format!("{seccomp}c1"),
        format!("{seccomp}i1"),
        format!("{seccomp}nobody"),
    ];
    let odd = [
        format!("{armor}e0"),
        armor.to_owned(),
        "Container.apparmor.security.beta.kubernetes.io/c0".to_owned(),
        "apparmor.security.beta.kubernetes.io/pod".to_owned(),
        format!("{seccomp}e0"),
        seccomp.to_owned(),
        "seccomp.security.alpha.kubernetes.io/pod/".to_owned(),
        "container.seccomp.security.alpha.kubernetes.io".to_owned(),
    ];
    let key = taste.of(keys.map(Value::from).to_vec(), vec![], odd.map(Value::from).to_vec());
    let value = taste.of(
        texts(&["runtime/default", "localhost/profile", "docker/default"]),
        texts(&["unconfined"]),
        [
            texts(&["", "localhost/", "localhost", "Runtime/Default", "RuntimeDefault", "runtime/default "]),
            vec![Value::Null],
        ]
        .concat(),
    );
    let key = key.prop_map(|key| key.as_str().unwrap_or_default().to_owned());
    let map = prop::collection::btree_map(key, value, 1..4);
    let map = map.prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()).boxed();
    prop_oneof![6 => Just(absent()), 1 => Just(Value::Null), 4 => map].boxed()
}
