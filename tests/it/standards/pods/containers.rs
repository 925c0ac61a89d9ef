//! Containers of every list, with their ports, probes and lifecycle hooks.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::contexts;
use super::{ABSENT, Taste, absent, object, rarely, texts};

/// `containers`
pub(super) fn regular(taste: Taste) -> BoxedStrategy<Value> {
    list(taste, "c", 1, 4, Just(absent()).boxed())
}

/// `initContainers`, with sidecars among them.
pub(super) fn init(taste: Taste) -> BoxedStrategy<Value> {
    let restart = prop::sample::select(vec![absent(), absent(), json!("Always")]).boxed();
    let some = list(taste, "i", 0, 3, restart);
    prop_oneof![1 => Just(absent()), 2 => some].boxed()
}

/// `ephemeralContainers`, which a pod cannot be created with: a real API server refuses them.
pub(super) fn ephemeral(taste: Taste) -> BoxedStrategy<Value> {
    if taste.is_sound() {
        return Just(absent()).boxed();
    }
    let some = list(taste, "e", 0, 3, Just(absent()).boxed());
    prop_oneof![2 => Just(absent()), 1 => some].boxed()
}

fn list(
    taste: Taste,
    prefix: &'static str,
    fewest: usize,
    most: usize,
    restart: BoxedStrategy<Value>,
) -> BoxedStrategy<Value> {
    let some = prop::collection::vec(container(taste, restart), fewest..most).prop_map(move |mut list| {
        for (position, container) in list.iter_mut().enumerate() {
            // A name of its own, unless it was made odd.
            if container["name"] == ABSENT {
                container["name"] = json!(format!("{prefix}{position}"));
            }
        }
        Value::from(list)
    });
    if taste.is_sound() { some.boxed() } else { prop_oneof![40 => some, 1 => Just(Value::Null)].boxed() }
}

fn container(taste: Taste, restart: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let name = taste.of(vec![absent()], vec![], texts(&["", "nobody", "c0"]));
    let probe = || rarely(6, handler(taste, false));
    let probes = (probe(), probe(), probe());
    let hook = || rarely(3, handler(taste, true));
    let hooks = (hook(), hook()).prop_map(|(start, stop)| object([("postStart", start), ("preStop", stop)])).boxed();
    let hooks = prop_oneof![6 => Just(absent()), 1 => Just(Value::Null), 2 => hooks];
    (name, contexts::of_container(taste), restart, ports(taste), probes, hooks)
        .prop_map(|(name, context, restart, ports, (live, ready, start), hooks)| {
            let mut container = object([
                ("image", json!("registry.example/app")),
                ("securityContext", context),
                ("restartPolicy", restart),
                ("ports", ports),
                ("livenessProbe", live),
                ("readinessProbe", ready),
                ("startupProbe", start),
                ("lifecycle", hooks),
            ]);
            container["name"] = name;
            container
        })
        .boxed()
}

fn ports(taste: Taste) -> BoxedStrategy<Value> {
    let host = taste.perhaps(vec![json!(0)], vec![json!(8080), json!(53)], vec![json!(-1), json!(70000)]);
    let protocol = taste.perhaps(texts(&["TCP", "UDP"]), vec![], texts(&["tcp"]));
    let port = (host, protocol).prop_map(|(host, protocol)| {
        object([("containerPort", json!(8080)), ("hostPort", host), ("protocol", protocol)])
    });
    let list = prop::collection::vec(port, 0..3).prop_map(Value::from);
    prop_oneof![3 => Just(absent()), 1 => Just(Value::Null), 3 => list].boxed()
}

/// Handler of a probe or a hook.
fn handler(taste: Taste, is_hook: bool) -> BoxedStrategy<Value> {
    let host = || taste.perhaps(texts(&[""]), texts(&["10.0.0.1", "localhost", "metadata.example"]), texts(&[" "]));
    let http = host().prop_map(|host| {
        let headers = json!([{"name": "Host", "value": "metadata.example"}]);
        json!({"httpGet": object([("path", json!("/")), ("port", json!(80)), ("host", host), ("httpHeaders", headers)])})
    });
    let tcp = host().prop_map(|host| json!({"tcpSocket": object([("port", json!(80)), ("host", host)])}));
    let exec = Just(json!({"exec": {"command": ["true"]}}));
    let other = if is_hook { json!({"sleep": {"seconds": 1}}) } else { json!({"grpc": {"port": 80}}) };
    let one = prop_oneof![3 => http.clone(), 3 => tcp.clone(), 1 => exec, 1 => Just(other)];
    if taste.is_sound() {
        return one.boxed();
    }
    let both = (http, tcp).prop_map(|(http, tcp)| json!({"httpGet": http["httpGet"], "tcpSocket": tcp["tcpSocket"]}));
    let odd = vec![Value::Null, json!({}), json!({"httpGet": null, "tcpSocket": null}), json!({"httpGet": {}})];
    prop_oneof![8 => one, 1 => both, 1 => prop::sample::select(odd)].boxed()
}
