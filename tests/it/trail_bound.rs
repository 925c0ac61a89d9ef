//! The bound on a record: whatever a user sends, one line stays small, tells the finding that matters, and is taken.

pub(crate) mod objects;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use jiff::Timestamp;
use portcullis::cluster::NoCluster;
use portcullis::decision::{Decision, Endpoint, Trouble, decide_at_once};
use portcullis::mode::Mode;
use portcullis::mutation::mutate;
use portcullis::review::{self, Review};
use portcullis::snapshot::{Change, Snapshot, Weaker};
use portcullis::trail::query::Row;
use portcullis::trail::{Caller, Chain, Class, Event, Origin, RECORD, Record, Redaction, Sampler, Verification};
use serde_json::{Value, json};

use crate::judging::configured;
use crate::serve::{AUDIT, Serve, good_pod, review};
use crate::sinks::receiver::{Receiver, Reply};
use crate::sinks::{CLUSTER, PATIENCE, Spooled, block_on, failures, settings};
use crate::trail_spool::Random;

/// Everything that finds and sets something.
static STRICT: LazyLock<Snapshot> = LazyLock::new(|| configured("profile: hardened\ndefaults: all\n"));

/// The largest review that is read, in bytes.
const BODY: usize = 8 << 20;
/// Size of the largest request that the receiver takes, in bytes: some queues take no more than this.
const TAKEN: usize = 256 << 10;

/// A decision about a review, and its event, as the server makes them.
struct Recorded {
    decision: Decision,
    event: Vec<u8>,
    answer: Vec<u8>,
}

fn recorded(body: &[u8], endpoint: Endpoint, cluster: &str) -> Recorded {
    let review: Review<'_> = review::decode(body, STRICT.workloads(), Timestamp::UNIX_EPOCH).expect("it has a uid");
    let decision = match (&review.unreadable, endpoint) {
        (Some(message), _) => {
            Decision::troubled(&STRICT, endpoint, Mode::Enforce, Trouble::Unreadable, message.clone())
        }
        (None, Endpoint::Validate) => decide_at_once(&STRICT, &review.request, &NoCluster::Missed),
        (None, Endpoint::Mutate) => mutate(&STRICT, &review.request).decision,
    };
    let redaction = Redaction::default();
    let origin = Origin { cluster, redaction: &redaction };
    let event = Event::new(&review.request, endpoint, Caller::Unknown, origin, &decision, u64::MAX).to_bytes();
    let answer = review::encode(&review, endpoint, &Decision { patch: Vec::new(), ..decision.clone() }, None);
    Recorded { decision, event, answer }
}

/// The line of an event in a stream, as far on as a stream may be.
fn line(event: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    Chain::after("0123456789abcdef".to_owned(), u64::MAX - 2, "f".repeat(64)).seal(event, &mut line);
    line
}

/// Names of policies, and how often each is told and counted.
fn told(event: &Value) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for finding in event["findings"].as_array().expect("a list") {
        *found.entry(finding["policy"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    for (policy, count) in event["findingsOmitted"].as_object().into_iter().flatten() {
        *found.entry(policy.clone()).or_default() += usize::try_from(count.as_u64().expect("a count")).expect("small");
    }
    found
}

/// Records of what generated users send, each within its bound. The largest of them are handed out.
pub(crate) fn worst() -> Vec<Vec<u8>> {
    let mut random = Random::seeded(11);
    let mut events = Vec::new();
    for case in 0..36 {
        let body = objects::review(&mut random, case);
        assert!(body.len() <= BODY, "{} bytes", body.len());
        let cluster = if case % 3 == 0 { "c\u{1}".repeat(20_000) } else { CLUSTER.to_owned() };
        for endpoint in [Endpoint::Validate, Endpoint::Mutate] {
            let Recorded { decision, event, answer } = recorded(body.as_bytes(), endpoint, &cluster);
            let line = line(&event);
            assert!(line.len() <= RECORD, "case {case}: {} bytes of {} findings", line.len(), decision.findings.len());
            let uid = serde_json::from_slice::<Value>(&answer).expect("JSON")["response"]["uid"].to_string().len();
            assert!(answer.len() - uid <= RECORD, "case {case}: {} bytes of an answer", answer.len());
            let event_read: Value = serde_json::from_slice(&event).expect("JSON");
            let mut counted: BTreeMap<String, usize> = BTreeMap::new();
            for finding in &decision.findings {
                *counted.entry(finding.meta.id.to_owned()).or_default() += finding.count;
            }
            assert_eq!(told(&event_read), counted, "case {case}");
            let omitted = event_read["patchOmitted"].as_object();
            let omitted: u64 = omitted.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
            let paths = event_read["patch"].as_array().expect("a list").len();
            assert_eq!(paths as u64 + omitted, decision.patch.len() as u64, "case {case}");
            events.push(event);
        }
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.len()));
    eprintln!("the largest of {} records: {} bytes", events.len(), events[0].len());
    events.truncate(16);
    events
}

#[test]
fn no_object_makes_a_record_larger_than_its_bound_and_all_take_it() {
    let events = worst();
    // Every sink of ours that has no program of its own at the other end; the others have tests of their own.
    block_on(async {
        let receiver = Receiver::start(None, |_, got| {
            if got.body.len() > TAKEN { Reply::Refuse(413, Vec::new(), Vec::new()) } else { Reply::Take(Vec::new()) }
        })
        .await;
        let spooled = Spooled::new(1 << 20);
        let url = format!("http://{}", receiver.address);
        let secret = spooled.file("secret", "a-secret-of-some-length");
        let sinks = [
            json!({"type": "webhook", "url": url, "insecure": true, "secretFile": secret}),
            json!({"type": "otlp", "endpoint": url, "insecure": true}),
            json!({"type": "file", "path": spooled.path("copy.jsonl")}),
        ];
        let sinks: Vec<_> = sinks.iter().map(settings).collect();
        for event in &events {
            spooled.trail.record(Class::Refused, None, event.clone()).await.expect("a record");
        }
        spooled.trail.stop().await.expect("a clean end");
        let names = ["hook", "otlp", "file"];
        let couriers = spooled.carry(&names.into_iter().zip(&sinks).collect::<Vec<_>>()).await;
        couriers.finish(PATIENCE).await;
        assert!(couriers.behind().iter().all(|(_, behind)| *behind == 0), "{:?}", couriers.behind());
        assert_eq!(failures(&couriers, "file"), 0);
        assert!(spooled.all().iter().all(|line| line.len() < RECORD));
        let mut verification = Verification::default();
        let copy = std::fs::read(spooled.path("copy.jsonl")).expect("read");
        verification.copied();
        verification.read("copy", copy.as_slice(), &mut 0).expect("read").expect("whole");
        assert!(verification.finish(false).expect("whole").is_proven());
        let rows = copy.split(|byte| *byte == b'\n').filter_map(Row::read);
        let shown: usize = rows.map(|row| row.lines().len()).sum();
        assert!(shown > events.len(), "{shown} lines");
    });
}

#[test]
fn every_kind_of_record_has_a_bound() {
    let (time, awkward) = (Timestamp::UNIX_EPOCH, "\u{1}".repeat(3_000));
    let weaker: Vec<Weaker> = (0..5_000)
        .map(|number| Weaker {
            policy: if number == 4_999 { "host-paths" } else { "root-users" },
            namespace: awkward.clone(),
            change: Change::Settings,
            from: awkward.clone(),
            to: awkward.clone(),
        })
        .collect();
    let lines = vec![awkward.clone(); 5_000];
    let (cluster, configuration) = (awkward.as_str(), &*"c".repeat(64));
    let records = [
        Record::Start { time, cluster, configuration, version: "1", torn: u64::MAX },
        Record::Configuration { time, old: configuration, configuration, weaker: &weaker },
        Record::Webhooks {
            time,
            configuration,
            lag: &lines,
            missing: &lines,
            drift: &lines,
            provider: &lines,
            repaired: &lines,
        },
        Record::Refused { time, configuration, errors: &lines },
    ];
    for record in &records {
        let bytes = record.to_bytes();
        assert!(line(&bytes).len() <= RECORD, "{} bytes", bytes.len());
    }
    let read = |record: &Record<'_>| serde_json::from_slice::<Value>(&record.to_bytes()).expect("JSON");
    let told = read(&records[1]);
    let omitted = told["weakerOmitted"].as_object().expect("counts").values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(told["weaker"].as_array().expect("a list").len() as u64 + omitted, 5_000);
    assert!(told["weaker"].to_string().contains("host-paths"), "every policy is named");
    for (record, list) in [(2, "lag"), (3, "errors")] {
        let told = read(&records[record]);
        let omitted = told[format!("{list}Omitted")].as_u64().expect("a count");
        assert_eq!(told[list].as_array().expect("a list").len() as u64 + omitted, 5_000);
    }
    // Names that are within Kubernetes' bounds and that JSON writes at twice their length.
    let sampler = Sampler::new(u64::MAX);
    let names: Vec<String> = (0..1_024).map(|number| format!("{number:04}{}", "\"".repeat(249))).collect();
    for name in &names {
        sampler.is_written("validate", "CREATE", &"\"".repeat(253), name);
    }
    let counted = std::cell::Cell::new(0);
    let write = |omitted: &[portcullis::trail::Omitted]| {
        let bytes = Record::Counters { time, sample: u64::MAX, omitted }.to_bytes();
        assert!(line(&bytes).len() <= RECORD, "{} bytes", bytes.len());
        counted.set(counted.get() + omitted.iter().map(|row| row.count).sum::<u64>());
        std::future::ready(Ok::<(), ()>(()))
    };
    block_on(sampler.write_down(write)).expect("written");
    assert_eq!(counted.get(), 1_023, "the first was written itself");
}

#[test]
fn the_finding_that_matters_is_told_whatever_stands_before_it() {
    let mut pod = good_pod();
    let good = pod["spec"]["containers"][0].clone();
    let containers: Vec<Value> = (0..1_000)
        .map(|number| {
            let mut container = good.clone();
            container["name"] = json!(format!("c{number}"));
            container["securityContext"]["readOnlyRootFilesystem"] = json!(false);
            container["resources"] = json!({});
            if number == 999 {
                container["securityContext"]["privileged"] = json!(true);
                container["securityContext"]["allowPrivilegeEscalation"] = json!(true);
            }
            container
        })
        .collect();
    pod["spec"]["containers"] = json!(containers);
    let body = review("many", "default", &pod).to_string();
    let started = Instant::now();
    let Recorded { event, answer, .. } = recorded(body.as_bytes(), Endpoint::Validate, CLUSTER);
    eprintln!("{} bytes of a review, {} of its record, {:?}", body.len(), event.len(), started.elapsed());
    let event: Value = serde_json::from_slice(&event).expect("JSON");
    let findings = event["findings"].as_array().expect("a list");
    assert_eq!((findings.len(), &findings[0]["policy"]), (64, &json!("privileged-containers")));
    assert_eq!(findings[0]["path"], "spec.containers[999].securityContext.privileged");
    let told = told(&event);
    assert_eq!((told["writable-root-filesystems"], told["privileged-containers"]), (1_000, 1));
    assert!(event["findingsOmitted"].get("privileged-containers").is_none());
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let message = answer["response"]["status"]["message"].as_str().expect("a message");
    let refusing: usize = told.iter().filter(|(policy, _)| *policy != "unbounded-containers").map(|(_, all)| all).sum();
    assert!(message.ends_with(&format!("and {} more", refusing - 64)), "{message}");
}

#[test]
fn one_dry_run_of_a_thousand_containers_leaves_a_small_record_of_each_decision() {
    let server = Serve::new(&format!("{AUDIT}defaults: all\n")).start();
    // Nothing is set in more than a patch has room for.
    for (uid, path, most) in [("judged", "/validate", 1_000), ("set", "/mutate", 300)] {
        let containers: Vec<Value> =
            (0..most).map(|number| json!({"name": format!("c{number}"), "image": "x"})).collect();
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}});
        let mut asked = review(uid, "default", &pod);
        asked["request"]["dryRun"] = json!(true);
        server.post(path, asked.to_string());
        let event = server.event(uid);
        assert!(event.to_string().len() < 32 << 10, "{} bytes", event.to_string().len());
        assert_eq!(event["findings"].as_array().expect("a list").len(), 64);
        assert!(told(&event).values().any(|count| *count >= most), "{}", event["findingsOmitted"]);
    }
}
