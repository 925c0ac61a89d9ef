//! Cost of a decision: decoding, policies, decision and the serialised event, for a review of a Pod with three
//! containers, compared with a bare scan of the same bytes.
//!
//! `cargo bench` prints both; quote the ratio, and the figure with its machine.

use std::hint::black_box;

use jiff::Timestamp;
use portcullis::cluster::Manifests;
use portcullis::config::compile_profile;
use portcullis::decision::{Endpoint, Verdict, decide_at_once};
use portcullis::document;
use portcullis::review::{decode, encode};
use portcullis::snapshot::Snapshot;
use portcullis::trail::{Caller, Chain, Event, Origin, Redaction};

const ADMITTED: &[u8] = include_bytes!("reviews/admitted.json");
const DENIED: &[u8] = include_bytes!("reviews/denied.json");

fn main() {
    divan::main();
}

#[expect(clippy::expect_used, reason = "a benchmark without its profile measures nothing")]
fn hardened() -> Snapshot {
    compile_profile("hardened", None).expect("the profile compiles").snapshot
}

/// A cluster in which the Pod is isolated.
#[expect(clippy::expect_used, reason = "a benchmark without its cluster measures nothing")]
fn cluster() -> Manifests {
    let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: shop}, \
                  spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}}";
    let mut cluster = Manifests::whole(true);
    cluster.add(&document::read(policy).expect("YAML")[0], "shop");
    cluster
}

/// From the review's bytes to the answer's, with the event serialised and chained on the way.
fn whole(
    snapshot: &Snapshot,
    cluster: &Manifests,
    chain: &mut Chain,
    lines: &mut Vec<u8>,
    bytes: &[u8],
) -> Option<Vec<u8>> {
    let review = decode(bytes, snapshot.workloads(), Timestamp::now()).ok()?;
    let decision = decide_at_once(snapshot, &review.request, cluster);
    let origin = Origin { cluster: "", redaction: &Redaction::default() };
    let event = Event::new(&review.request, Endpoint::Validate, Caller::Certificate, origin, &decision, 0).to_bytes();
    lines.clear();
    let seq = chain.seal(&event, lines);
    let id = chain.id(seq);
    Some(encode(&review, Endpoint::Validate, &decision, Some(&id)))
}

#[divan::bench(args = ["admitted", "denied"])]
fn decision_and_event(bencher: divan::Bencher<'_, '_>, which: &str) {
    let bytes = if which == "admitted" { ADMITTED } else { DENIED };
    let (snapshot, cluster) = (hardened(), cluster());
    let review = decode(bytes, snapshot.workloads(), Timestamp::now()).ok();
    let decision = review.map(|review| decide_at_once(&snapshot, &review.request, &cluster));
    assert_eq!(
        decision.map(|decision| decision.verdict),
        Some(if which == "admitted" { Verdict::Allow } else { Verdict::Deny })
    );
    let (mut chain, mut lines) = (Chain::new("bench".to_owned()), Vec::new());
    bencher
        .counter(divan::counter::BytesCount::new(bytes.len()))
        .bench_local(|| black_box(whole(&snapshot, &cluster, &mut chain, &mut lines, black_box(bytes))));
}

/// The least that any reader of the review must do.
#[divan::bench]
fn bare_scan(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(divan::counter::BytesCount::new(ADMITTED.len()))
        .bench_local(|| serde_json::from_slice::<serde::de::IgnoredAny>(black_box(ADMITTED)).is_ok());
}
