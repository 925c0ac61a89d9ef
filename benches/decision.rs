//! Cost of a decision: decoding, policies, decision and the serialised event, for a review of a Pod with three
//! containers, compared with a bare scan of the same bytes.
//!
//! `cargo bench` prints both; quote the ratio, and the figure with its machine. At the end it prints what 1,000 exceptions
//! add to a decision on a Pod, and what the policies of `hardened` on other kinds than Pods add, measured in turns within one run.

use std::hint::black_box;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use portcullis::cluster::Manifests;
use portcullis::config::{compile, compile_profile};
use portcullis::decision::{Endpoint, Noticed, Verdict, decide_at_once};
use portcullis::document;
use portcullis::policy::Kinds;
use portcullis::policy::catalogue::CATALOGUE;
use portcullis::review::{decode, encode};
use portcullis::snapshot::Snapshot;
use portcullis::trail::{Caller, Chain, Event, Origin, Redaction};

const ADMITTED: &[u8] = include_bytes!("reviews/admitted.json");
const DENIED: &[u8] = include_bytes!("reviews/denied.json");

/// Exceptions beside which a decision is measured.
const EXCEPTIONS: usize = 1_000;
/// Turns that each configuration gets, and the decisions of one turn.
const TURNS: usize = 400;
const DECISIONS: u32 = 100;

fn main() {
    divan::main();
    compare_exceptions();
    compare_other_kinds();
}

/// Prints the cost of a decision with no exception and with many, for a Pod that is admitted, one that is refused, and one
/// that is refused but for an exception.
fn compare_exceptions() {
    let cluster = cluster();
    let (none, some) = (excepting(0, false), excepting(EXCEPTIONS, false));
    let (only, among) = (excepting(0, true), excepting(EXCEPTIONS, true));
    let cases = [
        ("admitted", ADMITTED, [&none, &some], Verdict::Allow),
        ("denied", DENIED, [&none, &some], Verdict::Deny),
        ("exempt", DENIED, [&only, &among], Verdict::Exempt),
    ];
    for (what, bytes, snapshots, verdict) in cases {
        let [without, with, ratio] = in_turns(what, bytes, snapshots, verdict, &cluster);
        println!("{what}: {without:.2} µs a decision, {with:.2} µs beside {EXCEPTIONS} exceptions, {ratio:.3} of it");
    }
}

/// Prints the cost of a decision on a Pod with `hardened`, and with `hardened` without the policies that do not judge Pods.
fn compare_other_kinds() {
    let cluster = cluster();
    let (alone, whole) = (configured(&on_other_kinds_off()), configured("profile: hardened\n"));
    for (what, bytes, verdict) in [("admitted", ADMITTED, Verdict::Allow), ("denied", DENIED, Verdict::Deny)] {
        let [without, with, ratio] = in_turns(what, bytes, [&alone, &whole], verdict, &cluster);
        println!(
            "{what}: {without:.2} µs a decision without the policies on other kinds than Pods, {with:.2} µs with them, \
             {ratio:.3} of it"
        );
    }
}

/// Decides in turns with one snapshot and the other. Returns the median cost of a decision with each, in microseconds, and the
/// median of the ratio of two successive turns.
fn in_turns(what: &str, bytes: &[u8], snapshots: [&Snapshot; 2], verdict: Verdict, cluster: &Manifests) -> [f64; 3] {
    for snapshot in snapshots {
        let review = decode(bytes, snapshot.workloads(), Timestamp::now()).ok();
        let decision = review.map(|review| decide_at_once(snapshot, &review.request, cluster));
        assert_eq!(decision.map(|decision| decision.verdict), Some(verdict), "{what}");
    }
    let (mut chain, mut lines) = (Chain::new("bench".to_owned()), Vec::new());
    let mut turn = |snapshot: &Snapshot| {
        let began = Instant::now();
        for _ in 0..DECISIONS {
            black_box(whole(snapshot, cluster, &mut chain, &mut lines, black_box(bytes)));
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
    };
    let mut spent = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let [one, other] = snapshots.map(&mut turn);
        for (spent, value) in spent.iter_mut().zip([one, other, other / one]) {
            spent.push(value);
        }
    }
    spent.map(|mut values| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// The profile `hardened` with so many exceptions in the Pod's namespace, for its kind and every other policy, by name and by
/// beginnings of names in turn, of which none matches it; and one that does, where `is_exempt`.
fn excepting(count: usize, is_exempt: bool) -> Snapshot {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * 30);
    let ids: Vec<&str> = CATALOGUE.iter().filter(|entry| entry.safety.is_none()).map(|entry| entry.meta.id).collect();
    let rest = format!("expires: \"{end}\", reason: r, owner: o}}\n");
    let mut text = "profile: hardened\nexceptions:\n".to_owned();
    for number in 0..count {
        let policy = ids[number % ids.len()];
        let name = match number % 2 {
            0 => format!("name: n{number}"),
            _ => format!("namePrefix: n{number}, images: [\"docker.io/**\"]"),
        };
        text += &format!(
            "- {{name: e{number}, policies: [{policy}], match: {{namespace: shop, kind: Pod, {name}}}, {rest}"
        );
    }
    if is_exempt {
        text += &format!("- {{name: all, policies: [{}], match: {{namespace: shop}}, {rest}", ids.join(", "));
    }
    if count == 0 && !is_exempt {
        text += "  []\n";
    }
    configured(&text)
}

/// The profile `hardened`, and every validator off that does not judge Pods.
fn on_other_kinds_off() -> String {
    let others = CATALOGUE.iter().filter(|entry| entry.safety.is_none() && !entry.meta.kinds.contains(&Kinds::Pods));
    let lines = others.map(|entry| format!("  {}: {{mode: off}}\n", entry.meta.id));
    format!("profile: hardened\npolicies:\n{}", lines.collect::<String>())
}

/// A configuration of what follows `kind:`.
#[expect(clippy::expect_used, reason = "a benchmark without its configuration measures nothing")]
fn configured(text: &str) -> Snapshot {
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    compile("bench", &format!("{head}{text}"), None).expect("compiles").snapshot
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
    decision.noticed.iter().for_each(Noticed::count);
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
