//! Limits of a spool in size and time: the records that go first, those that stay for its sinks, and the counts.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use portcullis::trail::{Class, Guarantee, Index, SpoolSettings, Trail, TrailError};
use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, good_pod, review, until};
use crate::trail_spool::{Files, SEGMENT, event, fill, quick_folder, settings, verifier, with_trail};

/// Bytes of a small spool.
const ROOM: u64 = 8 * SEGMENT;

fn small(directory: &std::path::Path, guarantee: Guarantee) -> SpoolSettings {
    SpoolSettings { guarantee, max_bytes: ROOM, ..settings(directory) }
}

fn index(trail: &Trail) -> Arc<Index> {
    Arc::clone(trail.index().expect("an index"))
}

/// The first record of a stream that is there.
fn front(index: &Index, class: Class) -> u64 {
    index.records(class).0
}

/// Looks again until it is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

fn removals(files: &Files, class: Class) -> Vec<Value> {
    let lines = files.lines(class).into_iter().map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    lines.filter(|line| line["record"] == "retention").collect()
}

/// The trail is whole from its new front, and signed for.
fn is_proven(folder: &std::path::Path) -> Files {
    let files = Files::read(folder);
    let report = files.verify(&[verifier(1)]).expect("whole");
    assert!(report.is_proven(), "{report:?}");
    files
}

#[test]
fn the_oldest_that_every_sink_took_goes_first_when_there_is_no_room() {
    let folder = quick_folder();
    with_trail(&small(folder.path(), Guarantee::Durable), Some(1), async |trail| {
        let index = index(trail);
        index.register("sink", [u64::MAX; 3]);
        fill(trail, "uid", 300).await;
        assert!(index.bytes() <= ROOM + SEGMENT, "{} bytes", index.bytes());
        for class in Class::ALL {
            assert!(front(&index, class) > 0, "all three streams grew alike");
        }
        assert_eq!(trail.lost(), 0);
        // All of it went before its 24 hours, and is counted.
        for (class, early) in trail.early() {
            eventually("the count", || front(&index, class) == early).await;
        }
        trail.stop().await.expect("a clean end");
    });
    let files = is_proven(folder.path());
    for removal in Class::ALL.iter().flat_map(|class| removals(&files, *class)) {
        assert_eq!((&removal["reason"], &removal["lost"]), (&"size".into(), &0.into()), "{removal}");
        assert!(removal["removed"].as_u64() > Some(0) && removal["early"] == removal["removed"], "{removal}");
    }
}

#[test]
fn what_goes_before_its_time_is_shown_on_readiness_and_what_is_old_is_not() {
    for (retention, is_early) in [("90d", true), ("0s", false)] {
        let kept = format!("{{allow: {retention}, refused: {retention}, access: {retention}}}");
        let server = Serve::new(&format!(
            "{HARDENED}trail:\n  spool: {{directory: spool, guarantee: buffered, maxSize: 1Mi, segmentSize: 64Ki, retention: {kept}}}\n"
        ))
        .start();
        let metric =
            || server.metric("portcullis_spool_records_removed_early_total{class=\"refused\"}").unwrap_or_default();
        let mut pod = good_pod();
        pod["spec"]["containers"] = json!(vec![json!({"name": "c", "image": "x"}); 40]);
        for turn in 0..120 {
            server.post("/validate", review(&format!("uid-{turn}"), "default", &pod).to_string());
        }
        if is_early {
            until("the count", || (metric() > 0.0).then_some(()));
        }
        let (status, text) = server.get("/readyz?verbose");
        assert_eq!((status, text.contains("[!]retention: ")), (200, is_early), "{text}");
        assert_eq!(metric() > 0.0, is_early);
    }
}

#[test]
fn durable_refuses_rather_than_loses_what_a_sink_has_not_taken() {
    let folder = quick_folder();
    with_trail(&small(folder.path(), Guarantee::Durable), Some(1), async |trail| {
        let index = index(trail);
        index.register("quick", [u64::MAX; 3]);
        index.register("stuck", [0; 3]);
        let mut recorded = 0;
        let error = loop {
            assert!(recorded < 10_000, "it does not refuse");
            match trail.record(Class::Allow, None, event(&format!("uid-{recorded}"))).await {
                Ok(_) => recorded += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, TrailError::Full);
        assert!(recorded > 50 && index.bytes() <= ROOM, "{recorded} records, {} bytes", index.bytes());
        assert_eq!((front(&index, Class::Allow), trail.lost()), (0, 0));
        assert_eq!(trail.record(Class::Refused, None, event("other")).await, Err(TrailError::Full));
        // As soon as it takes what comes first, there is room.
        let first = index.segments(Class::Allow)[0].end;
        index.taken("stuck", Class::Allow, first);
        trail.record(Class::Allow, None, event("healed")).await.expect("room");
        assert_eq!((front(&index, Class::Allow), trail.lost()), (first, 0));
        trail.stop().await.expect("a clean end");
    });
    is_proven(folder.path());
}

#[test]
fn buffered_loses_the_oldest_and_counts_exactly() {
    let folder = quick_folder();
    let fronts = with_trail(&small(folder.path(), Guarantee::Buffered), Some(1), async |trail| {
        let index = index(trail);
        // It took ten records of one stream, and nothing else.
        index.register("stuck", [10, 0, 0]);
        index.register("quick", [u64::MAX; 3]);
        fill(trail, "uid", 300).await;
        assert!(index.bytes() <= ROOM + SEGMENT, "{} bytes", index.bytes());
        let fronts = Class::ALL.map(|class| front(&index, class));
        let lost = fronts.iter().sum::<u64>() - 10;
        assert!(fronts.iter().all(|front| *front > 10), "{fronts:?}");
        eventually("the count", || trail.lost() == lost).await;
        trail.stop().await.expect("a clean end");
        fronts
    });
    let files = is_proven(folder.path());
    for (class, front) in Class::ALL.into_iter().zip(fronts) {
        let removals = removals(&files, class);
        // The last of them says where the stream begins; those before it may be gone themselves.
        assert_eq!(removals.last().expect("a removal")["first"], front);
        let lost: u64 = removals.iter().filter_map(|removal| removal["lost"].as_u64()).sum();
        assert!(lost > 0 && lost <= front, "{removals:?}");
    }
}

#[test]
fn one_class_is_kept_for_its_time_and_every_stream_verifies_from_its_new_front() {
    let folder = quick_folder();
    let mut settings = settings(folder.path());
    settings.retention[0] = SignedDuration::from_secs(1);
    with_trail(&settings, Some(1), async |trail| {
        let index = index(trail);
        fill(trail, "uid", 60).await;
        let end = index.segments(Class::Allow).last().expect("a segment").first;
        eventually("retention", || front(&index, Class::Allow) >= end).await;
        assert_eq!([front(&index, Class::Refused), front(&index, Class::Access)], [0, 0]);
        // What is young stays, and a segment that holds no event does not age.
        let segments = || index.segments(Class::Allow).len();
        eventually("the last segment", || segments() == 1).await;
        let before = front(&index, Class::Allow);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(front(&index, Class::Allow), before, "nothing comes, and nothing goes");
        trail.stop().await.expect("a clean end");
    });
    let files = is_proven(folder.path());
    assert!(removals(&files, Class::Allow).iter().all(|removal| removal["reason"] == "age" && removal["lost"] == 0));
    assert!(!files.records().iter().any(|record| record["uid"] == "uid-allow-0"));
    assert!(files.records().iter().any(|record| record["uid"] == "uid-refused-0"));
    // And a restart finds it so.
    with_trail(&settings, Some(1), async |trail| trail.stop().await.expect("a clean end"));
    is_proven(folder.path());
}

#[test]
fn what_a_sink_has_not_taken_stays_beyond_its_time() {
    let folder = quick_folder();
    let settings = SpoolSettings { retention: [SignedDuration::from_secs(1); 3], ..settings(folder.path()) };
    with_trail(&settings, Some(1), async |trail| {
        let index = index(trail);
        let taken = 40;
        index.register("behind", [taken, u64::MAX, u64::MAX]);
        fill(trail, "uid", 60).await;
        eventually("retention", || front(&index, Class::Refused) > 0 && front(&index, Class::Allow) > 0).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let first = &index.segments(Class::Allow)[0];
        assert!(first.first <= taken && taken < first.end, "{first:?} holds the first that is needed");
        index.taken("behind", Class::Allow, u64::MAX);
        eventually("the rest", || front(&index, Class::Allow) > taken).await;
        trail.stop().await.expect("a clean end");
    });
    is_proven(folder.path());
}
