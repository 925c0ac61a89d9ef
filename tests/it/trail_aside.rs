//! Records that a sink refuses for good: they are set aside and told of, and those after them are delivered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::trail::sink::{Batch, Refused, Sink};
use portcullis::trail::{Class, Couriers};
use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, bad_pod, review, run, until};
use crate::sinks::moto::{Bucket, Moto};
use crate::sinks::proxy::{Fate, Proxy};
use crate::sinks::receiver::{Receiver, Reply};
use crate::sinks::{CLUSTER, PATIENCE, Spooled, block_on, caught_up, eventually, settings};
use crate::trail_spool::{Files, with_trail};

/// Size of the largest request that a receiver takes, in bytes.
const LIMIT: usize = 1 << 20;
const SECRET: &str = "a-secret-of-some-length";

/// An event as versions before the bound left them.
fn old(uid: &str, bytes: usize) -> Vec<u8> {
    let time = jiff::Timestamp::now().to_string();
    let event = json!({"time": time, "uid": uid, "decision": "deny", "name": "x".repeat(bytes)});
    event.to_string().into_bytes()
}

/// Records so many of them, which are small.
async fn fill(spooled: &Spooled, count: usize) {
    for number in 0..count {
        let event = old(&format!("uid-{number}"), 10);
        spooled.trail.record(Class::Refused, None, event).await.expect("a record");
    }
}

/// The files that a sink's records were set aside in.
fn set_aside(spool: &Path, sink: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(spool.join("set-aside").join(sink)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn counted(couriers: &Couriers) -> (u64, u64) {
    let (_, counters) = couriers.counters().next().expect("one");
    (counters.delivered.load(Ordering::Relaxed), counters.lost.load(Ordering::Relaxed))
}

/// Waits until the trail tells of so many.
async fn told(spooled: &Spooled, count: usize) -> Vec<Value> {
    eventually("records of what was set aside", async || {
        let records = spooled.all().into_iter().map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
        let told: Vec<Value> = records.filter(|record| record["record"] == "set-aside").collect();
        (told.len() >= count).then_some(told)
    })
    .await
}

/// The settings of a webhook or a collector.
fn sink(kind: &str, receiver: &Receiver, spooled: &Spooled) -> Value {
    let url = format!("http://{}", receiver.address);
    match kind {
        "webhook" => {
            json!({"type": kind, "url": url, "insecure": true, "secretFile": spooled.file("secret", SECRET)})
        }
        _ => json!({"type": kind, "endpoint": url, "insecure": true}),
    }
}

#[test]
fn a_record_larger_than_a_receiver_takes_holds_nothing_up_at_a_webhook_or_a_collector() {
    for kind in ["webhook", "otlp"] {
        block_on(async {
            let receiver = Receiver::start(None, |_, got| match got.body.len() {
                0..=LIMIT => Reply::Take(Vec::new()),
                _ => Reply::Refuse(413, Vec::new(), Vec::new()),
            })
            .await;
            let spooled = Spooled::new(1 << 20);
            let sink = sink(kind, &receiver, &spooled);
            // As they lie in the spool of an earlier version, when the program is replaced.
            for (number, bytes) in [(1, 10), (2, 1_400_000), (3, 10), (4, 3_800_000), (5, 1_100_000)] {
                let event = old(&format!("old-{number}"), bytes);
                spooled.trail.record(Class::Refused, None, event).await.expect("a record");
            }
            let couriers = spooled.carry(&[("it", &settings(&sink))]).await;
            fill(&spooled, 20).await;
            let aside = told(&spooled, 3).await;
            spooled.trail.stop().await.expect("a clean end");
            couriers.finish(PATIENCE).await;
            let sent: Vec<u8> = receiver.taken().iter().flat_map(|got| got.body.to_vec()).collect();
            let sent = String::from_utf8_lossy(&sent);
            for uid in (0..20).map(|number| format!("uid-{number}")).chain(["old-1".into(), "old-3".into()]) {
                assert!(sent.contains(&format!("\"uid\":\"{uid}\"")), "{kind}: {uid} was not delivered");
            }
            let files = set_aside(&spooled.path("spool"), "it");
            let kept: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).expect("read")).collect();
            let lines = String::from_utf8(spooled.lines(Class::Refused)).expect("UTF-8");
            assert!(kept.len() == 3 && kept.iter().all(|line| lines.contains(line.as_str())), "{files:?}");
            for record in aside {
                let seq = record["refused"].as_u64().expect("a number");
                let line: Value =
                    serde_json::from_str(lines.lines().nth(usize::try_from(seq).expect("small")).expect("it"))
                        .expect("JSON");
                assert!(line["uid"].as_str().expect("a uid").starts_with("old-") && record["stream"] == line["stream"]);
                assert!(record["why"].as_str().expect("why").contains("413"), "{record}");
                assert_eq!(record["sink"], "it");
            }
            let records = spooled.all().len() as u64;
            assert_eq!(counted(&couriers), (records - 3, 0));
            assert_eq!(spooled.index.aside().counts()["it"], 3);
        });
    }
}

#[test]
fn a_record_that_a_receiver_calls_wrong_is_found_among_the_others() {
    for kind in ["webhook", "otlp"] {
        block_on(async {
            let receiver = Receiver::start(None, |_, got| {
                let is_bad = String::from_utf8_lossy(&got.body).contains("\"uid-17\"");
                if is_bad { Reply::Refuse(400, Vec::new(), Vec::new()) } else { Reply::Take(Vec::new()) }
            })
            .await;
            let spooled = Spooled::new(1 << 20);
            let sink = sink(kind, &receiver, &spooled);
            fill(&spooled, 400).await;
            let couriers = spooled.carry(&[("it", &settings(&sink))]).await;
            told(&spooled, 1).await;
            caught_up(&couriers, "it").await;
            assert_eq!(spooled.index.aside().counts()["it"], 1);
            let kept = std::fs::read_to_string(&set_aside(&spooled.path("spool"), "it")[0]).expect("read");
            assert!(kept.contains("\"uid-17\""), "{kept}");
        });
    }
}

#[test]
fn a_receiver_that_calls_everything_wrong_costs_no_more_than_a_few_and_gets_the_rest_later() {
    block_on(async {
        let is_wrong = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let wrong = std::sync::Arc::clone(&is_wrong);
        let receiver = Receiver::start(None, move |_, _| {
            if wrong.load(Ordering::SeqCst) {
                Reply::Refuse(400, Vec::new(), Vec::new())
            } else {
                Reply::Take(Vec::new())
            }
        })
        .await;
        let spooled = Spooled::new(1 << 20);
        let sink = sink("webhook", &receiver, &spooled);
        fill(&spooled, 200).await;
        let couriers = spooled.carry(&[("it", &settings(&sink))]).await;
        eventually("what it costs", async || (spooled.index.aside().counts().get("it") >= Some(&8)).then_some(()))
            .await;
        let failures = || crate::sinks::failures(&couriers, "it");
        let before = failures();
        eventually("further failures", async || (failures() > before + 3).then_some(())).await;
        // Eight of each stream at most.
        let aside = || spooled.index.aside().counts()["it"];
        assert!((8..=24).contains(&aside()), "{}", aside());
        is_wrong.store(false, Ordering::SeqCst);
        caught_up(&couriers, "it").await;
        assert!((8..=24).contains(&aside()), "{}", aside());
    });
}

#[test]
fn a_bucket_that_takes_no_object_so_large_gets_smaller_ones() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        // So many are too large.
        let large = std::sync::Arc::new(AtomicUsize::new(0));
        let left = std::sync::Arc::clone(&large);
        let proxy = Proxy::new(moto.address, move |_| {
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                Fate::Answer("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            } else {
                Fate::Pass
            }
        });
        let spooled = Spooled::new(1 << 20);
        let key = spooled.file("key", "key");
        let sink = json!({"type": "s3", "endpoint": format!("http://{}", proxy.address), "insecure": true, "bucket": "trail",
                          "objectLock": "ignore", "accessKeyIdFile": key, "secretAccessKeyFile": key});
        let mut sink: Box<dyn Sink> = settings(&sink).open(CLUSTER).await.expect("opened");
        let lines: Vec<String> = (0..9).map(|number| format!("{{\"number\":{number}}}\n")).collect();
        let whole = lines.concat();
        let batch = Batch { stream: "a1", class: Class::Allow, first: 0, bytes: whole.as_bytes() };
        sink.deliver(&Batch { bytes: lines[0].as_bytes(), ..batch }).await.expect("taken");
        large.store(2, Ordering::SeqCst);
        let later = Batch { first: 1, bytes: lines[1..5].concat().leak().as_bytes(), ..batch };
        sink.deliver(&later).await.expect("taken in pieces");
        let objects = moto.objects(("key", "key")).await;
        let taken: Vec<&[u8]> = objects.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        let pieces = [&lines[..1], &lines[1..2], &lines[2..5]].map(<[String]>::concat);
        assert_eq!(taken, pieces.each_ref().map(String::as_bytes));
        let later = Batch { first: 5, bytes: lines[5..6].concat().leak().as_bytes(), ..batch };
        sink.deliver(&later).await.expect("taken");
        large.store(usize::MAX, Ordering::SeqCst);
        let later = Batch { first: 6, bytes: lines[6..].concat().leak().as_bytes(), ..batch };
        let error = sink.deliver(&later).await.expect_err("too large");
        assert!(error.to_string().starts_with("record a1:6: "), "{error}");
        assert_eq!(error.refused, Some(Refused { records: vec![6], next: 7, is_certain: true }));
        large.store(0, Ordering::SeqCst);
        let rest = Batch { first: 7, bytes: lines[7..].concat().leak().as_bytes(), ..batch };
        sink.deliver(&rest).await.expect("taken");
    });
}

#[test]
fn what_an_older_version_left_is_set_aside_by_the_served_program_and_readiness_says_so() {
    block_on(async {
        let receiver = Receiver::start(None, |_, got| match got.body.len() {
            0..=LIMIT => Reply::Take(Vec::new()),
            _ => Reply::Refuse(413, Vec::new(), Vec::new()),
        })
        .await;
        let serve = Serve::new(&format!(
            "{HARDENED}trail:\n  spool: {{directory: spool}}\n  sinks:\n  \
             - {{name: hook, type: webhook, url: \"http://{}/\", insecure: true, secretFile: secret}}\n",
            receiver.address
        ));
        std::fs::write(serve.path("secret"), SECRET).expect("written");
        let made = crate::trail_spool::settings(&serve.path("spool"));
        let served = tokio::task::spawn_blocking(move || {
            with_trail(&made, None, async |trail| {
                for (uid, bytes) in [("small", 10), ("large", 1_400_000), ("next", 10)] {
                    trail.record(Class::Refused, None, old(uid, bytes)).await.expect("a record");
                }
                trail.stop().await.expect("a clean end");
            });
            let server = serve.start();
            for turn in 0..20 {
                server.post("/validate", review(&format!("uid-{turn}"), "default", &bad_pod()).to_string());
            }
            let gauge = "portcullis_sink_records_set_aside{sink=\"hook\"}";
            until("the gauge", || (server.metric(gauge) == Some(1.0)).then_some(()));
            let (status, text) = server.get("/readyz?verbose");
            assert!(status == 200 && text.contains("[!]set-aside: ") && text.contains("1 by hook"), "{text}");
            let spool = server.path("spool");
            let tells = |record: &Value| record["record"] == "set-aside" && record["sink"] == "hook";
            until("the record", || Files::read(&spool).records().iter().any(tells).then_some(()));
            until("the sink", || {
                (server.metric("portcullis_sink_records_behind{sink=\"hook\"}") == Some(0.0)).then_some(())
            });
            assert!(server.stderr().contains("a sink refuses a record for good"), "{}", server.stderr());
            server.stop()
        });
        let (status, _, stderr, folder, _) = served.await.expect("served");
        assert_eq!(status.code(), Some(0), "{stderr}");
        let sent: Vec<u8> = receiver.taken().iter().flat_map(|got| got.body.to_vec()).collect();
        let sent = String::from_utf8_lossy(&sent);
        for uid in (0..20).map(|turn| format!("uid-{turn}")).chain(["small".into(), "next".into()]) {
            assert!(sent.contains(&format!("\"uid\":\"{uid}\"")), "{uid} was not delivered");
        }
        let spool = folder.path().join("spool");
        let (code, said, _) = run(&["trail", "verify", spool.to_str().expect("UTF-8")], "");
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(set_aside(&spool, "hook").len(), 1);
    });
}
