//! Checks of Pods from lists that are made up, with the limits and faults that a cluster rarely has.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Change, Check, Limits, PodPages};
use crate::cluster::{NoCluster, PageError};
use crate::config::{compile, compile_at};
use crate::decision::{Decision, Endpoint, Trouble};
use crate::facts::{Answer, Question, World};
use crate::lock::lock;
use crate::mode::Mode;
use crate::review::{decode, warnings};
use crate::snapshot::Snapshot;

const RAISED: &str = "ceiling: audit\npolicies: {host-namespaces: {mode: enforce}, host-ports: {mode: enforce}}\n\
                      namespaces: [{match: {labels: {tier: pci}}, ceiling: enforce}]\n";
const LIMITS: Limits = Limits { pods: 100, page: 2, waiting: 1 << 20 };

/// A list of Pods.
#[derive(Default)]
struct Listed {
    pods: Vec<Value>,
    /// Largest page that is not too large.
    largest: Option<usize>,
    /// Fails from this Pod on.
    fails: Option<(usize, PageError)>,
    /// Never answers from this Pod on.
    hangs: Option<usize>,
    /// Limits that were asked for.
    limits: Mutex<Vec<usize>>,
}

impl PodPages for Listed {
    fn page<'p>(
        &'p self,
        namespace: &'p str,
        limit: usize,
        token: Option<&'p str>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<str>, PageError>> + Send + 'p>> {
        assert_eq!(namespace, "shop");
        lock(&self.limits).push(limit);
        Box::pin(async move {
            let begin: usize = token.map_or(0, |token| token.parse().expect("ours"));
            let end = (begin + limit).min(self.pods.len());
            if self.hangs.is_some_and(|from| begin >= from) {
                std::future::pending::<()>().await;
            }
            match self.fails {
                Some((from, error)) if begin >= from => return Err(error),
                _ if self.largest.is_some_and(|largest| limit > largest) => return Err(PageError::TooLarge),
                _ => {}
            }
            let remaining = self.pods.len() - end;
            let token = if remaining > 0 { end.to_string() } else { String::new() };
            let metadata = json!({"continue": token, "remainingItemCount": remaining});
            Ok(json!({"items": self.pods[begin..end], "metadata": metadata}).to_string().into())
        })
    }
}

impl Listed {
    fn of(pods: Vec<Value>) -> Self {
        Self { pods, ..Self::default() }
    }
}

/// A Pod on the network of its node if `offends`.
fn pod(name: &str, offends: bool) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"hostPID": offends, "containers": [{"name": "web", "image": "web"}]}})
}

/// The same, made by a ReplicaSet.
fn replica(name: &str, controller: &str) -> Value {
    let mut pod = pod(name, true);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": controller,
        "uid": controller, "controller": true}]);
    pod
}

fn snapshot(lines: &str) -> Snapshot {
    let text = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n{lines}");
    compile("test", &text, None).expect("compiles").snapshot
}

/// The change between these labels.
fn change(snapshot: &Snapshot, before: &Value, after: &Value) -> Option<Change> {
    let namespace = |labels: &Value| json!({"metadata": {"name": "shop", "labels": labels}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Namespace"}, "resource": {"resource": "namespaces"},
        "name": "shop", "namespace": "shop", "operation": "UPDATE", "dryRun": true,
        "object": namespace(after), "oldObject": namespace(before)}});
    let review = review.to_string();
    let review = decode(review.as_bytes(), snapshot.workloads(), Timestamp::UNIX_EPOCH).expect("a review");
    Change::of(snapshot, &review.request)
}

/// The warnings when the namespace gets the label that raises policies.
async fn raise(pods: &dyn PodPages, limits: Limits, until: Instant) -> Vec<String> {
    let snapshot = snapshot(RAISED);
    let change = change(&snapshot, &json!({}), &json!({"tier": "pci"})).expect("it raises");
    let world: &dyn World = &NoCluster::Missed;
    Check { snapshot: &snapshot, world, pods, change: &change, limits, until }.warnings(12).await
}

fn later() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

#[tokio::test]
async fn pods_are_counted_by_what_they_would_be_refused_for() {
    let mut both = pod("both", true);
    both["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let mut twice = pod("twice", false);
    twice["spec"]["hostIPC"] = true.into();
    let pods = Listed::of(vec![pod("a", true), both, pod("fine", false), pod("d", true), twice, pod("e", true)]);
    let found = raise(&pods, LIMITS, later()).await;
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(found[0], "5 of 6 Pods in namespace shop would be refused with the new labels if created again");
    assert!(
        found[1].starts_with("4 Pods (a, both, and 2 more): host-namespaces: spec.hostPID must not be "),
        "{found:#?}"
    );
    let rest = found[2..].join("\n");
    assert!(rest.contains("Pod both: host-ports: spec.containers[0].ports[0].hostPort must not be "), "{rest}");
    assert_eq!(raise(&Listed::of(vec![pod("fine", false)]), LIMITS, later()).await, [""; 0]);
}

#[tokio::test]
async fn what_was_refused_before_is_not_said_again() {
    let snapshot = snapshot("podSecurityLabels: tighten\n");
    let label = |level: &str| json!({"pod-security.kubernetes.io/enforce": level});
    let change = change(&snapshot, &label("baseline"), &label("restricted")).expect("it tightens");
    let pods = Listed::of(vec![pod("a", true)]);
    let (world, until) = (&NoCluster::Missed, later());
    let check = Check { snapshot: &snapshot, world, pods: &pods, change: &change, limits: LIMITS, until };
    let found = check.warnings(12).await.join("\n");
    assert!(found.contains("Pod a: root-users: ") && found.contains("(enforce=restricted:latest)"), "{found}");
    assert!(!found.contains("host-namespaces"), "{found}");
}

#[test]
fn only_labels_after_which_more_is_refused_are_a_change() {
    let raised = snapshot(RAISED);
    let (none, pci) = (json!({}), json!({"tier": "pci"}));
    assert!(change(&raised, &none, &pci).is_some());
    for (before, after) in [(&pci, &none), (&pci, &pci), (&none, &json!({"tier": "dev"})), (&none, &json!({"a": "b"}))]
    {
        assert!(change(&raised, before, after).is_none(), "{before} {after}");
    }
    let label = |key: &str, level: &str| json!({format!("pod-security.kubernetes.io/{key}"): level});
    let tightened = snapshot("podSecurityLabels: tighten\n");
    assert!(change(&tightened, &label("enforce", "baseline"), &label("enforce", "restricted")).is_some());
    for (before, after) in [
        (label("enforce", "restricted"), label("enforce", "baseline")),
        (label("warn", "baseline"), label("warn", "restricted")),
        (label("enforce", "baseline"), label("enforce", "privileged")),
    ] {
        assert!(change(&tightened, &before, &after).is_none(), "{before} {after}");
    }
    assert!(change(&snapshot("profile: hardened\n"), &none, &label("enforce", "restricted")).is_none());
}

#[tokio::test]
async fn one_pod_of_each_controller_comes_first_and_the_others_count_as_far_as_the_limit_goes() {
    let pods = || Listed::of(vec![replica("a-1", "a"), replica("a-2", "a"), replica("a-3", "a"), replica("b-1", "b")]);
    let found = raise(&pods(), Limits { pods: 2, ..LIMITS }, later()).await;
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[1].starts_with("2 Pods (a-1, b-1): host-namespaces: "), "{found:#?}");
    assert_eq!(found[2], "checked 2 of 4 Pods: 2 Pods are checked at most");
    let found = raise(&pods(), LIMITS, later()).await;
    assert!(found.len() == 2 && found[1].starts_with("4 Pods (a-1, b-1, and 2 more): "), "{found:#?}");
    // Without room to wait they come in the order of the list.
    let found = raise(&pods(), Limits { pods: 2, waiting: 0, ..LIMITS }, later()).await;
    assert!(found[1].starts_with("2 Pods (a-1, a-2): "), "{found:#?}");
}

#[tokio::test]
async fn a_list_that_fails_is_said_with_what_was_checked_until_then() {
    let pods = |from, error| Listed { fails: Some((from, error)), ..Listed::of(vec![pod("a", true); 5]) };
    let found = raise(&pods(4, PageError::Expired), LIMITS, later()).await;
    assert_eq!(found.last().map(String::as_str), Some("checked 4 of 5 Pods: the list of Pods expired"));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert_eq!(
        raise(&pods(0, PageError::Forbidden), LIMITS, later()).await,
        [
            "Pods in namespace shop were not checked with the new labels: the ServiceAccount of Portcullis needs the right to list pods"
        ]
    );
}

#[tokio::test]
async fn the_time_is_a_limit_of_the_list_and_of_the_pods() {
    let unchecked = "Pods in namespace shop were not checked with the new labels: the time for the check was over";
    let silent = Listed { hangs: Some(0), ..Listed::of(vec![pod("a", true)]) };
    assert_eq!(raise(&silent, LIMITS, Instant::now() + Duration::from_millis(20)).await, [unchecked]);
    assert_eq!(raise(&Listed::of(vec![pod("a", true)]), LIMITS, Instant::now()).await, [unchecked]);
}

#[tokio::test]
async fn large_pods_come_in_smaller_pages() {
    let pods = Listed { largest: Some(2), ..Listed::of(vec![pod("a", true); 5]) };
    let found = raise(&pods, Limits { page: 100, ..LIMITS }, later()).await;
    assert!(found[0].starts_with("5 of 5 Pods "), "{found:#?}");
    assert_eq!(*lock(&pods.limits), [100, 13, 2, 2, 2]);
    let pods = Listed { largest: Some(0), ..Listed::of(vec![pod("a", true)]) };
    let found = raise(&pods, LIMITS, later()).await;
    assert!(found.len() == 1 && found[0].ends_with(": a Pod is larger than 4 MiB"), "{found:#?}");
}

/// Answers a question about an owner once it is asked.
struct Owners(AtomicUsize);

impl World for Owners {
    fn known(&self, question: &Question) -> Option<Answer> {
        if matches!(question, Question::Owner { .. }) { None } else { NoCluster::Missed.known(question) }
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let template = json!({"spec": {"hostPID": true, "containers": [{"name": "web", "image": "web"}]}});
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "spared", "namespace": "shop",
            "uid": "spared"}, "spec": {"template": template}});
        Box::pin(std::future::ready(Answer::Object(owner.to_string().into())))
    }
}

#[tokio::test]
async fn pods_whose_owner_has_an_exception_do_not_count_and_the_owner_is_asked_for_once() {
    let exceptions = "exceptions: [{name: spared, policies: [host-namespaces], match: {namespace: shop, kind: ReplicaSet, name: spared}, \
                      expires: 1970-06-01T00:00:00Z, reason: r, owner: o}]\n";
    let text = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n{RAISED}{exceptions}");
    let snapshot = compile_at("test", &text, None, Timestamp::UNIX_EPOCH).expect("compiles").snapshot;
    let change = change(&snapshot, &json!({}), &json!({"tier": "pci"})).expect("it raises");
    let pods = Listed::of(vec![replica("a", "spared"), pod("b", true), replica("c", "spared")]);
    let world = Owners(AtomicUsize::new(0));
    let (world_ref, until): (&dyn World, _) = (&world, later());
    let check = Check { snapshot: &snapshot, world: world_ref, pods: &pods, change: &change, limits: LIMITS, until };
    let found = check.warnings(12).await;
    assert!(found.len() == 2 && found[0].starts_with("1 of 3 Pods ") && found[1].starts_with("Pod b: "), "{found:#?}");
    assert_eq!(world.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn hostile_names_are_bounded_and_escaped() {
    let hostile = format!("\u{202e}\r\n\"<script>{}", "x".repeat(300));
    let mut named = pod(&hostile, true);
    named["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let found = raise(&Listed::of(vec![named, json!(7), json!({"metadata": 7})]), LIMITS, later()).await;
    assert_eq!(found.last().map(String::as_str), Some("checked 1 of 3 Pods: the others could not be judged"));
    let snapshot = snapshot(RAISED);
    let mut decision = Decision::troubled(&snapshot, Endpoint::Validate, Mode::Off, Trouble::Failed, String::new());
    (decision.trouble, decision.offenders) = (None, found.clone());
    let told = warnings(&decision, None);
    assert_eq!(told.len(), found.len());
    for warning in &told {
        assert!(warning.chars().count() <= 256, "{warning}");
        assert!(!warning.chars().any(|one| one.is_control() || one == '\u{202e}'), "{warning:?}");
    }
    assert!(
        told.iter().any(|warning| warning.contains(": host-ports: spec.containers[0].ports[0].hostPort ")),
        "{told:#?}"
    );
}
