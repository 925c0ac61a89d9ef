//! The store over events that the tests make up.

use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::core::Status;
use kube::runtime::watcher::{Error, Event};
use serde_json::json;

use super::{Pods, State};
use crate::facts::Answer;

fn pod(namespace: &str, name: &str, app: &str) -> PartialObjectMeta<Pod> {
    let metadata = json!({"namespace": namespace, "name": name, "labels": {"app": app}, "annotations": {"a": "b"}});
    serde_json::from_value(
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}),
    )
    .expect("metadata")
}

/// The groups of a namespace: label, example and number.
fn groups(pods: &Pods, namespace: &str) -> Vec<(String, String, usize)> {
    let Some(Answer::RunningPods(found)) = pods.known(namespace) else { panic!("not known") };
    let group = |group: &crate::facts::PodGroup| {
        (group.labels.get("app").unwrap_or_default().to_owned(), group.example.clone(), group.count)
    };
    found.0.iter().map(group).collect()
}

fn row(app: &str, example: &str, count: usize) -> (String, String, usize) {
    (app.to_owned(), example.to_owned(), count)
}

/// A store with two Pods of one app and one of another.
fn listed() -> Pods {
    let pods = Pods::default();
    let list = [pod("shop", "web-1", "web"), pod("shop", "web-0", "web"), pod("shop", "db-0", "db")];
    for event in std::iter::once(Event::Init).chain(list.map(Event::InitApply)) {
        pods.apply(&event);
        assert_eq!(pods.known("shop"), None, "a list counts once it is whole");
    }
    pods.apply(&Event::InitDone);
    pods
}

#[test]
fn a_list_that_ends_and_a_question_wait_for_each_other_for_a_moment_alone() {
    let pods = listed();
    std::thread::scope(|threads| {
        threads.spawn(|| (0..20_000).for_each(|_| pods.apply(&Event::InitDone)));
        threads.spawn(|| (0..20_000).for_each(|_| assert!(pods.known("shop").is_some())));
        threads.spawn(|| (0..20_000).for_each(|_| assert_eq!(pods.gap(&std::collections::HashMap::new()), None)));
    });
}

#[test]
fn pods_with_the_same_labels_are_one_group() {
    let pods = listed();
    assert_eq!(groups(&pods, "shop"), [row("db", "db-0", 1), row("web", "web-0", 2)]);
    assert_eq!(groups(&pods, "other"), []);
}

#[test]
fn a_pod_that_changes_its_labels_or_ends_changes_its_group() {
    let pods = listed();
    pods.apply(&Event::Apply(pod("shop", "web-0", "db")));
    assert_eq!(groups(&pods, "shop"), [row("db", "db-0", 2), row("web", "web-1", 1)]);
    let kept = || super::lock(&pods.stored).now.namespaces["shop"].counts.values().sum::<usize>();
    assert_eq!(kept(), 3);
    pods.apply(&Event::Delete(pod("shop", "web-1", "web")));
    assert_eq!(groups(&pods, "shop"), [row("db", "db-0", 2)]);
    assert_eq!(super::lock(&pods.stored).now.namespaces["shop"].counts.len(), 1, "labels that no Pod has are not kept");
    for name in ["db-0", "web-0", "unheard-of"] {
        pods.apply(&Event::Delete(pod("shop", name, "db")));
    }
    assert_eq!(groups(&pods, "shop"), []);
    assert!(super::lock(&pods.stored).now.namespaces.is_empty(), "nothing is left behind");
    // A new list replaces all.
    for event in [Event::Init, Event::InitApply(pod("pay", "bank", "bank")), Event::InitDone] {
        pods.apply(&event);
    }
    assert_eq!((groups(&pods, "shop"), groups(&pods, "pay")), (vec![], vec![row("bank", "bank", 1)]));
}

fn refused(code: u16) -> Error {
    let status = Status::failure("no", "No").with_code(code);
    Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

#[tokio::test]
async fn a_forbidden_list_is_a_gap_and_any_other_error_is_waited_for() {
    let pods = Pods::default();
    pods.settled().await;
    pods.state.send_replace(State::Listing);
    pods.failed(&refused(500));
    assert_eq!((pods.known("shop"), pods.gap(&std::collections::HashMap::new())), (None, None));
    pods.failed(&refused(403));
    pods.settled().await;
    let why = "forbidden: grant list and watch on it".to_owned();
    assert_eq!(pods.ask("shop").await, Answer::Unavailable(why.clone()));
    assert_eq!(pods.gap(&std::collections::HashMap::new()), Some(format!("pods: {why}")));
    // It was granted.
    for event in [Event::Init, Event::InitDone] {
        pods.apply(&event);
    }
    assert_eq!(pods.gap(&std::collections::HashMap::new()), None);
    let broken = [("pods".to_owned(), std::time::Instant::now())].into();
    assert_eq!(pods.gap(&broken), Some("pods: the watch is broken; the last state is kept".to_owned()));
    pods.failed(&refused(403));
    assert_eq!(groups(&pods, "shop"), [], "the last state is kept");
}
