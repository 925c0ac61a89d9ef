//! Stores over events that the tests make up.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::watcher::{Error, Event};
use kube::runtime::{reflector, watcher};
use serde_json::json;

use super::{Cluster, labels_alone};

/// A cluster without an API server, and the writer of its store of NetworkPolicies.
fn cluster() -> (Cluster, reflector::store::Writer<NetworkPolicy>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nobody = kube::Config::new("http://127.0.0.1:9".parse().expect("a URL"));
    let (namespaces, _) = reflector::store();
    let (accounts, _) = reflector::store();
    let (policies, writer) = reflector::store();
    (Cluster::over(nobody.try_into().expect("a client"), namespaces, accounts, policies), writer)
}

fn policy(namespace: &str, name: &str) -> NetworkPolicy {
    serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).expect("a NetworkPolicy")
}

fn names(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let mut names: Vec<String> =
        cluster.isolation(namespace).policies.iter().map(|policy| policy.name.clone()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_made_of_policies_goes_when_one_changes() {
    let (cluster, mut writer) = cluster();
    let mut tell = |event: Event<NetworkPolicy>| {
        writer.apply_watcher_event(&event);
        cluster.policies_changed(&event);
    };
    for event in [Event::Init, Event::InitApply(policy("a", "one")), Event::InitApply(policy("b", "one"))] {
        tell(event);
    }
    assert_eq!(names(&cluster, "a"), [""; 0], "a list counts once it is whole");
    tell(Event::InitDone);
    assert_eq!(names(&cluster, "a"), ["one"]);
    let (a, b) = (cluster.isolation("a"), cluster.isolation("b"));
    assert!(Arc::ptr_eq(&a, &cluster.isolation("a")), "made once");

    tell(Event::Apply(policy("a", "two")));
    assert_eq!(names(&cluster, "a"), ["one", "two"]);
    assert!(Arc::ptr_eq(&b, &cluster.isolation("b")), "another namespace's stay");
    tell(Event::Delete(policy("a", "one")));
    tell(Event::Delete(policy("a", "two")));
    assert_eq!(names(&cluster, "a"), [""; 0]);
    tell(Event::Apply(policy("a", "three")));
    assert_eq!(names(&cluster, "a"), ["three"]);

    // The watch fell out of history and listed again: whatever happened meanwhile is in the new list.
    for event in [Event::Init, Event::InitApply(policy("c", "one")), Event::InitDone] {
        tell(event);
    }
    assert_eq!(names(&cluster, "a"), [""; 0]);
    assert_eq!(names(&cluster, "b"), [""; 0]);
    assert_eq!(names(&cluster, "c"), ["one"]);
}

#[test]
fn of_a_namespace_its_name_and_labels_alone_are_kept() {
    let read = |object: serde_json::Value| serde_json::from_value::<Namespace>(object).expect("a Namespace");
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "team": "shop"});
    let mut namespace = read(json!({
        "metadata": {
            "name": "a", "uid": "u", "annotations": {"a": "b"}, "managedFields": [{"manager": "m"}], "labels": labels,
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }));
    labels_alone(&mut namespace);
    assert_eq!(namespace, read(json!({"metadata": {"name": "a", "labels": labels}})));
}

#[tokio::test]
async fn names_that_callers_make_up_take_no_room() {
    let (cluster, _) = cluster();
    for number in 0..100 {
        cluster.isolation(&format!("made-up-{number}"));
    }
    assert!(super::lock(&cluster.isolation).is_empty());
}

#[tokio::test]
async fn a_watch_is_broken_until_it_brings_something_or_is_silent_for_long() {
    let (cluster, _) = cluster();
    let is_broken = || super::lock(&cluster.broken).contains_key("ServiceAccount");
    let follow = async |events: Vec<watcher::Result<Event<ServiceAccount>>>, resumed| {
        // It stays open, in silence.
        let events = stream::iter(events).chain(stream::pending());
        let followed = cluster.follow("ServiceAccount", events, resumed, |_| {}, |_| {});
        assert!(tokio::time::timeout(Duration::from_millis(100), followed).await.is_err());
    };
    let long = Duration::from_mins(10);
    let account = ServiceAccount::default;
    follow(vec![Ok(Event::Init), Ok(Event::InitDone)], long).await;
    assert_eq!(cluster.staleness(), Duration::ZERO);
    follow(vec![Err(Error::NoResourceVersion)], long).await;
    assert!(is_broken() && cluster.staleness() > Duration::ZERO);
    follow(vec![Ok(Event::Init)], long).await;
    assert!(is_broken(), "a list has begun, and may fail");
    follow(vec![Ok(Event::Init), Ok(Event::InitApply(account()))], long).await;
    assert!(!is_broken());
    follow(vec![Err(Error::NoResourceVersion), Ok(Event::Apply(account()))], long).await;
    assert!(!is_broken());
    // Resumed where it broke off, in a cluster where nothing happens.
    follow(vec![Err(Error::NoResourceVersion)], Duration::from_millis(10)).await;
    assert_eq!(cluster.staleness(), Duration::ZERO);
}
