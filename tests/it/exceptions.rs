//! Exceptions: what they cover, what they never cover, and where they are seen; and findings that existed before.

mod algebra;
mod break_glass;
mod errors;
mod existing;
mod matching;
mod output;
mod owners;
mod requires;
mod served;
mod standing;
mod time;
mod uses;
mod volumes;
mod weaker;

use jiff::Timestamp;
use portcullis::cluster::Manifests;
use portcullis::config::compile_at;
use portcullis::decision::{Decision, Exemption, ModedFinding, decide_at_once};
use portcullis::exception::Seen;
use portcullis::facts::{Answer, Question, World};
use portcullis::review;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging::HEAD;

/// The time at which the configurations of these tests are read.
const NOW: &str = "2026-11-26T12:00:00Z";
/// The end of their exceptions.
const END: &str = "2027-01-31T00:00:00Z";

/// A cluster that never answers.
struct Silent;
impl World for Silent {
    fn known(&self, _: &Question) -> Option<Answer> {
        None
    }

    fn ask<'w>(&'w self, _: &'w Question) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(std::future::pending())
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// The configuration of these lines, read at [`NOW`].
fn configured(lines: &str) -> Snapshot {
    compile_at("config.yaml", &format!("{HEAD}{lines}"), None, time(NOW)).expect(lines).snapshot
}

/// An exception in flow style: of these policies, for these objects.
fn exception(name: &str, policies: &str, matching: &str) -> String {
    format!(
        "{{name: {name}, policies: [{policies}], match: {{{matching}}}, expires: {END}, reason: moving, owner: shop}}"
    )
}

/// These policies, enforced, and these exceptions.
fn enforced(policies: &[&str], exceptions: &[String]) -> Snapshot {
    let policies: Vec<String> = policies.iter().map(|id| format!("{id}: {{mode: enforce}}")).collect();
    configured(&format!("policies: {{{}}}\nexceptions: [{}]\n", policies.join(", "), exceptions.join(", ")))
}

fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image})
}

/// A Pod of the namespace `shop` with these containers.
fn pod(name: &str, containers: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": containers}})
}

/// A Deployment of the namespace `shop` whose Pods have these containers.
fn deployment(name: &str, containers: &[Value]) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": containers}}}})
}

/// The review of a user's operation on an object.
fn review_of(operation: &str, user: &str, object: &Value, old: Option<&Value>) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "name": text("name"), "namespace": text("namespace"), "operation": operation,
        "userInfo": {"username": user}, "object": object, "oldObject": old, "dryRun": false,
    }})
}

/// The decision about a review that arrives at this time.
fn answer(snapshot: &Snapshot, review: &Value, world: &dyn World, received: Timestamp) -> Decision {
    let bytes = review.to_string();
    let review = review::decode(bytes.as_bytes(), snapshot.workloads(), received).expect("has a uid");
    assert_eq!(review.unreadable, None);
    decide_at_once(snapshot, &review.request, world)
}

/// The decision about jane's creation of an object at [`NOW`], in a cluster that nothing is known of.
fn create(snapshot: &Snapshot, object: &Value) -> Decision {
    answer(snapshot, &review_of("CREATE", "jane", object, None), &Manifests::default(), time(NOW))
}

/// Policy of each finding, with the name of the exception that covers it.
fn covered(decision: &Decision) -> Vec<(&'static str, Option<&str>)> {
    let findings = decision.findings.iter();
    findings.map(|one| (one.meta.id, exception_of(one))).collect()
}

/// Name of the exception that covers a finding.
fn exception_of(finding: &ModedFinding) -> Option<&str> {
    finding.exemption.as_ref().and_then(Exemption::exception).map(|exception| exception.name.as_str())
}

/// Name of each exception that a decision noticed, with the result.
fn seen(decision: &Decision) -> Vec<(&str, Seen)> {
    decision.noticed.iter().map(|one| (one.exception.name.as_str(), one.seen)).collect()
}
