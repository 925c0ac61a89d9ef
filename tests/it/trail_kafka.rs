//! The trail in Kafka: a real broker that is stopped, killed and cut off, and what is in its topic afterwards.

mod broker;
mod failures;
mod proxy;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::SignedDuration;
use portcullis::trail::sink::Sink;
use portcullis::trail::{self, Beginning, Class, Courier, Couriers, Guarantee, Spool, Trail};
use serde_json::{Value, json};

use broker::{Broker, Message, PASSWORD, USER};
use proxy::Proxy;

const TOPIC: &str = "audit.portcullis";
/// Decisions that are made through every outage.
const DECISIONS: u64 = 50_000;
/// Maximum time to wait for anything: a broker on a busy machine starts slowly.
const PATIENCE: Duration = Duration::from_mins(5);

/// Asks until there is an answer.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Settings of the sink, as they stand in a configuration, with their files in `folder`.
fn settings(folder: &Path, broker: &Broker, address: &str, topic: &str) -> Value {
    fs::write(folder.join("password"), format!("{PASSWORD}\n")).expect("written");
    fs::write(folder.join("ca.pem"), &broker.authority.pem).expect("written");
    json!({
        "type": "kafka", "brokers": [address], "topic": topic, "user": USER,
        "passwordFile": folder.join("password"), "caFile": folder.join("ca.pem"),
    })
}

async fn open(settings: &Value) -> Box<dyn Sink> {
    let settings: trail::sink::Settings = serde_json::from_value(settings.clone()).expect("settings");
    settings.open("").await.expect("a sink")
}

fn spool(directory: &Path) -> Spool {
    let settings = trail::SpoolSettings {
        directory: directory.to_owned(),
        guarantee: Guarantee::Durable,
        segment_bytes: 4 << 20,
        max_bytes: 1 << 30,
        retention: [SignedDuration::from_hours(24); 3],
    };
    Spool::open(settings, None).expect("a spool")
}

fn begin(spool: Spool) -> Trail {
    let beginning = Beginning { cluster: "test".to_owned(), configuration: "0".repeat(64) };
    Trail::spooled(spool, &beginning).expect("a trail")
}

/// Makes decisions, most of them good ones, of many lengths and alphabets.
async fn decide(trail: &Trail, count: u64) {
    let records = futures::stream::iter(0..count).map(|number| async move {
        let class = match number % 20 {
            0 => Class::Access,
            1..4 => Class::Refused,
            _ => Class::Allow,
        };
        let text = "pod \u{1f6e1} \u{e9}\t\"\\ ".repeat(usize::try_from(number * 7 % 90).expect("a small number"));
        trail.record(class, None, json!({"number": number, "text": text}).to_string().into_bytes()).await
    });
    records.buffer_unordered(256).for_each(|id| async { drop(id.expect("recorded")) }).await;
}

/// The lines of a spool, by stream.
fn lines(directory: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for segment in trail::segments_of(directory).expect("segments") {
        for line in fs::read_to_string(segment).expect("read").lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            let lines = found.entry(record["stream"].as_str().expect("a stream").to_owned()).or_default();
            assert_eq!(record["seq"], lines.len());
            lines.push(line.to_owned());
        }
    }
    found
}

/// Checks that all of a spool came, byte for byte and in order, once what came again is told apart by its headers.
/// Returns how many did.
fn came_again(spool: &BTreeMap<String, Vec<String>>, messages: &[Message]) -> usize {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    let mut partitions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut again = 0;
    for message in messages {
        let headers: BTreeMap<&str, &str> = message.headers.split(',').filter_map(|one| one.split_once(':')).collect();
        let (stream, seq) = (headers["stream"], headers["seq"].parse::<usize>().expect("a number"));
        assert_eq!(message.key, stream);
        assert!(Class::ALL.iter().any(|class| class.as_str() == headers["class"]));
        assert_eq!(message.value, spool[stream][seq], "{stream}:{seq}");
        partitions.entry(stream).or_default().insert(&message.partition);
        let next = next.entry(stream).or_default();
        assert!(seq <= *next, "{stream}:{seq} came before {stream}:{next}");
        if seq == *next { *next += 1 } else { again += 1 }
    }
    for (stream, lines) in spool {
        assert_eq!(next[stream.as_str()], lines.len(), "{stream} is not whole");
        assert_eq!(partitions[stream.as_str()].len(), 1, "{stream} is in more than one partition");
    }
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_once_and_in_order_through_every_outage() {
    let proxy = Proxy::start();
    let mut broker = Broker::start(Some(proxy.address));
    proxy.lead_to(broker.outside);
    broker.create(TOPIC, None).await;
    broker.allow_write(TOPIC);
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("spool");
    let spool = spool(&directory);
    let index = spool.index().clone();
    let trail = begin(spool);
    let sink = open(&settings(folder.path(), &broker, &proxy.address.to_string(), TOPIC)).await;
    let couriers = Couriers::send(vec![Courier::new("kafka", sink, &index, &directory).expect("a courier")]);
    let delivered = || couriers.counters().next().expect("one").1.delivered.load(Ordering::Relaxed);
    let more = |what: &str| {
        let before = delivered();
        until(what, || (delivered() > before).then_some(()));
    };

    let mut left = DECISIONS;
    let mut decided = async |count| {
        left -= count;
        decide(&trail, count).await;
        left
    };
    decided(4_000).await;
    until("the first records", || (delivered() > 0).then_some(()));
    broker.kill();
    decided(6_000).await;
    broker.resume();
    more("the end of the first outage");
    for cut in 1..=4 {
        proxy.cut_after(70_000 * cut);
        decided(3_000).await;
        until("a cut", || (proxy.cuts() >= u64::try_from(cut).expect("small")).then_some(()));
        more("the end of the cut");
    }
    for _ in 0..4 {
        proxy.lose_answers();
        decided(2_000).await;
        until("a lost answer", || (proxy.lost() > 0).then_some(()));
        proxy.cut();
        more("the end of the silence");
    }
    broker.stop();
    decided(5_000).await;
    broker.resume();
    let last = decided(3_000).await;
    broker.kill();
    decided(last).await;
    broker.resume();

    trail.stop().await.expect("stopped");
    couriers.finish(PATIENCE).await;
    assert_eq!(couriers.behind(), [("kafka".to_owned(), 0)]);
    let (spooled, messages) = (lines(&directory), broker.read(TOPIC));
    let records: usize = spooled.values().map(Vec::len).sum();
    assert!(records as u64 > DECISIONS);
    let again = came_again(&spooled, &messages);
    eprintln!("{records} records, {again} came twice");
    // No process of ours ended: the brokers told each repetition apart.
    assert_eq!(again, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_brings_some_twice_and_their_headers_tell() {
    let broker = Broker::start(None);
    broker.create(TOPIC, None).await;
    broker.allow_write(TOPIC);
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("spool");
    let spool = spool(&directory);
    let index = spool.index().clone();
    let trail = begin(spool);
    let settings = settings(folder.path(), &broker, &broker.outside.to_string(), TOPIC);
    let cursor = directory.join("cursors/kafka.json");
    let mut known = None;
    for _ in 0..3 {
        let courier = Courier::new("kafka", open(&settings).await, &index, &directory).expect("a courier");
        let couriers = Couriers::send(vec![courier]);
        decide(&trail, 1_500).await;
        couriers.finish(PATIENCE).await;
        assert_eq!(couriers.behind(), [("kafka".to_owned(), 0)]);
        // As if it had ended before it wrote down how far it had come.
        let now = fs::read(&cursor).expect("a cursor");
        fs::write(&cursor, known.replace(now.clone()).unwrap_or(now)).expect("written");
    }
    let again = came_again(&lines(&directory), &broker.read(TOPIC));
    eprintln!("{again} came twice");
    assert!(again >= 1_500, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_topic_does_not_take_is_set_aside_and_the_next_ones_come() {
    let broker = Broker::start(None);
    // Less than what goes out together.
    broker.create(TOPIC, Some(("max.message.bytes", "100000"))).await;
    broker.allow_write(TOPIC);
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("spool");
    let spool = spool(&directory);
    let index = spool.index().clone();
    let trail = begin(spool);
    decide(&trail, 100).await;
    // The largest that there may be now.
    for event in crate::trail_bound::worst() {
        trail.record(Class::Refused, None, event).await.expect("recorded");
    }
    // Some of an earlier version. The last goes out among smaller ones: more than the client takes apart by itself.
    let large = async |bytes| {
        let event = json!({"time": "2026-05-04T03:02:01Z", "large": "x".repeat(bytes)}).to_string().into_bytes();
        trail.record(Class::Refused, None, event).await.expect("recorded");
    };
    large(1_400_000).await;
    large(400_000).await;
    decide(&trail, 150).await;
    large(150_000).await;
    decide(&trail, 100).await;
    trail.stop().await.expect("stopped");
    let sink = open(&settings(folder.path(), &broker, &broker.outside.to_string(), TOPIC)).await;
    let couriers = Couriers::send(vec![Courier::new("kafka", sink, &index, &directory).expect("a courier")]);
    couriers.finish(PATIENCE).await;
    assert_eq!(couriers.behind(), [("kafka".to_owned(), 0)]);
    let mut wanted: Vec<String> = lines(&directory).into_values().flatten().collect();
    let all = wanted.len();
    wanted.retain(|line| !line.contains("\"large\""));
    assert_eq!((wanted.len(), index.aside().counts()["kafka"]), (all - 3, 3));
    let mut came: Vec<String> = broker.read(TOPIC).into_iter().map(|message| message.value).collect();
    came.sort();
    wanted.sort();
    assert!(came == wanted, "{} of {}", came.len(), wanted.len());
}
