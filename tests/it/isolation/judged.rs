//! Settings, and where the answer comes from: the store, or the API server when the store knows of nothing.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::decision::{Decision, decide};
use portcullis::facts::{Answer, NetworkPolicies, NetworkPolicy, Question, World};
use portcullis::request::Source;
use serde_json::{Value, json};

use super::{Here, configured, missing};
use crate::judging::with_creation;

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {}})
}

fn made(policies: Vec<NetworkPolicy>) -> Arc<NetworkPolicies> {
    Arc::new(policies.into())
}

fn read(spec: Value) -> Arc<NetworkPolicies> {
    made(vec![NetworkPolicy::read(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a NetworkPolicy")])
}

#[test]
fn directions_that_are_not_set_are_not_asked_for() {
    let ingress = Here(read(json!({"policyTypes": ["Ingress"]})));
    assert_eq!(missing(&configured(&["ingress"], true), &pod(), &ingress), [""; 0]);
    assert_eq!(missing(&configured(&["egress"], true), &pod(), &ingress), ["egress"]);
    assert_eq!(missing(&configured(&["ingress", "egress"], true), &pod(), &ingress), ["egress"]);
}

#[test]
fn an_open_policy_counts_unless_it_is_set_not_to() {
    let open = Here(read(
        json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{"ports": [{"port": 1}]}]}),
    ));
    let both = ["ingress", "egress"];
    assert_eq!(missing(&configured(&both, true), &pod(), &open), [""; 0]);
    assert_eq!(missing(&configured(&both, false), &pod(), &open), ["ingress"]);
    // Every port of one protocol is everything, and policies add up.
    let halves: Vec<NetworkPolicy> =
        [json!({"ports": [{"endPort": 1023, "port": 1}]}), json!({"ports": [{"port": 1024, "endPort": 65535}]})]
            .into_iter()
            .map(|rule| NetworkPolicy::read(json!({"spec": {"policyTypes": ["Ingress", "Egress"], "egress": [rule]}})))
            .collect::<Result<_, _>>()
            .expect("NetworkPolicies");
    assert_eq!(missing(&configured(&both, false), &pod(), &Here(made(halves[..1].to_vec()))), [""; 0]);
    assert_eq!(missing(&configured(&both, false), &pod(), &Here(made(halves))), ["egress"]);
}

/// A store that has not heard of anything, and an API server that says something else, or nothing.
struct Late {
    stored: Arc<NetworkPolicies>,
    live: Option<Answer>,
    asked: AtomicUsize,
}

impl World for Late {
    fn known(&self, question: &Question) -> Option<Answer> {
        let Question::NetworkPolicies { live, .. } = question else { return Some(Answer::NotFound) };
        (!live).then(|| Answer::NetworkPolicies(Arc::clone(&self.stored)))
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match &self.live {
            Some(answer) => Box::pin(ready(answer.clone())),
            None => Box::pin(pending()),
        }
    }
}

fn judge(stored: Arc<NetworkPolicies>, live: Option<Answer>) -> (Decision, usize) {
    let world = Late { stored, live, asked: AtomicUsize::new(0) };
    let snapshot = configured(&["ingress", "egress"], true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let decision = with_creation(&snapshot, &pod(), Source::ApiServer, |request| {
        runtime.block_on(decide(&snapshot, request, &world, Instant::now() + Duration::from_millis(50)))
    });
    (decision.expect("a Pod"), world.asked.into_inner())
}

fn everything() -> Arc<NetworkPolicies> {
    read(json!({"policyTypes": ["Ingress", "Egress"]}))
}

#[test]
fn what_the_store_knows_is_not_asked_for() {
    let (decision, asked) = judge(everything(), None);
    assert!(decision.allowed);
    assert_eq!(asked, 0);
}

#[test]
fn what_the_store_lacks_is_asked_for_once_before_anything_is_refused() {
    let (decision, asked) = judge(Arc::default(), Some(Answer::NetworkPolicies(everything())));
    assert!(decision.allowed, "{decision:?}");
    assert_eq!(asked, 1);
    let (decision, asked) = judge(Arc::default(), Some(Answer::NetworkPolicies(Arc::default())));
    assert_eq!((decision.allowed, decision.code(), asked), (false, 403, 1));
}

#[test]
fn not_to_be_learnt_is_another_answer_than_none() {
    let (decision, _) = judge(Arc::default(), Some(Answer::Unavailable("the API server did not say".to_owned())));
    let message = &decision.findings[0].message;
    assert!(message.ends_with("those of namespace \"default\" could not be read (the API server did not say)"));
    let (decision, _) = judge(Arc::default(), None);
    assert!(decision.findings[0].failed, "{decision:?}");
    assert_eq!((decision.allowed, decision.code()), (false, 503));
}
