//! Couriers: in order, at least once, whatever the sink, the file that says where they were, or the process does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::trail::sink::{Batch, Delivery, Sink, SinkError};
use portcullis::trail::{Class, Courier, Couriers, Guarantee, SpoolSettings, Trail};
use serde_json::json;

use crate::serve::{HARDENED, PATIENCE, Serve, bad_pod, good_pod, review, run, until};
use crate::trail_spool::{Files, beginning, event, fill, open, pem, quick_folder, settings, verifier};

/// Records that a sink took, in order of delivery.
type Taken = Arc<Mutex<Vec<(String, u64, Vec<u8>)>>>;

/// A sink in memory.
struct Memory {
    taken: Taken,
    /// Deliveries that fail, after the sink took a part of them.
    fails: Arc<AtomicUsize>,
}

impl Memory {
    fn sink() -> (Box<dyn Sink>, Taken, Arc<AtomicUsize>) {
        let (taken, fails) = (Taken::default(), Arc::<AtomicUsize>::default());
        (Box::new(Self { taken: Arc::clone(&taken), fails: Arc::clone(&fails) }), taken, fails)
    }
}

impl Sink for Memory {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        let fails = self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let count = if fails { batch.records().count() / 2 } else { usize::MAX };
        let records = batch.records().take(count);
        let records = records.map(|(seq, line)| (batch.stream.to_owned(), seq, line.to_vec()));
        self.taken.lock().expect("a lock").extend(records);
        Box::pin(async move { if fails { Err(SinkError::of("no luck")) } else { Ok(()) } })
    }
}

/// A sink that never answers.
struct Hanging;

impl Sink for Hanging {
    fn deliver<'s>(&'s mut self, _: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(std::future::pending())
    }
}

fn durable(directory: &Path) -> SpoolSettings {
    SpoolSettings { guarantee: Guarantee::Durable, ..settings(directory) }
}

/// A trail with couriers, for as long as `scene` takes. Its end is no clean one unless `scene` makes it so.
fn with_couriers<T>(
    settings: &SpoolSettings,
    sinks: Vec<(&str, Box<dyn Sink>)>,
    scene: impl AsyncFnOnce(&Trail, &Couriers) -> T,
) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let spool = open(settings, Some(1));
        let index = Arc::clone(spool.index());
        let courier = |(name, sink)| Courier::new(name, sink, &index, &settings.directory).expect("a courier");
        let couriers = sinks.into_iter().map(courier).collect();
        let trail = Trail::spooled(spool, &beginning()).expect("a trail");
        let couriers = Couriers::send(couriers);
        scene(&trail, &couriers).await
    })
}

async fn all_taken(couriers: &Couriers) {
    couriers.finish(PATIENCE).await;
    assert!(couriers.behind().iter().all(|(_, behind)| *behind == 0), "{:?}", couriers.behind());
}

/// Records of each stream, in order and without repetitions. Panics on a gap, or if a repeated record differs.
fn in_order(taken: &Taken) -> BTreeMap<String, Vec<(u64, Vec<u8>)>> {
    let mut streams: BTreeMap<String, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for (stream, seq, line) in taken.lock().expect("a lock").iter() {
        let known = streams.entry(stream.clone()).or_default();
        let next = known.last().map_or(*seq, |(last, _)| last + 1);
        assert!(*seq <= next, "{stream}: {seq} came where {next} was due");
        let first = known.first().map_or(*seq, |(first, _)| *first);
        match known.get(usize::try_from(seq.saturating_sub(first)).expect("small")) {
            Some((_, before)) => assert_eq!(before, line, "{stream}:{seq} came as something else"),
            None => known.push((*seq, line.clone())),
        }
    }
    streams
}

/// Everything that is in the spool, and nothing else, from the first record on.
#[track_caller]
fn is_everything(taken: &Taken, folder: &Path) {
    let streams = in_order(taken);
    for class in Class::ALL {
        let lines = Files::read(folder).lines(class);
        let stream = crate::trail_spool::field(&lines[0], "stream");
        let came: Vec<String> =
            streams[&stream].iter().map(|(_, line)| format!("{}\n", String::from_utf8_lossy(line))).collect();
        assert!(came == lines, "{}: {} of {} came", class.as_str(), came.len(), lines.len());
    }
}

#[test]
fn everything_comes_in_order_at_least_once_also_after_an_outage() {
    let folder = quick_folder();
    let (sink, taken, fails) = Memory::sink();
    with_couriers(&durable(folder.path()), vec![("it", sink)], async |trail, couriers| {
        fill(trail, "before", 40).await;
        fails.store(3, Ordering::SeqCst);
        fill(trail, "during", 40).await;
        trail.stop().await.expect("a clean end");
        all_taken(couriers).await;
        let (_, counters) = couriers.counters().next().expect("one");
        assert_eq!(counters.failures.load(Ordering::Relaxed), 3);
        assert_eq!(counters.lost.load(Ordering::Relaxed), 0);
    });
    is_everything(&taken, folder.path());
}

#[test]
fn the_end_does_not_wait_out_a_long_pause() {
    let folder = quick_folder();
    let (sink, taken, fails) = Memory::sink();
    with_couriers(&durable(folder.path()), vec![("it", sink)], async |trail, couriers| {
        fails.store(usize::MAX, Ordering::SeqCst);
        fill(trail, "uid", 5).await;
        let failures = || couriers.counters().next().expect("one").1.failures.load(Ordering::Relaxed);
        // By then it pauses for 6.4 seconds.
        while failures() < 7 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fails.store(0, Ordering::SeqCst);
        trail.stop().await.expect("a clean end");
        couriers.finish(Duration::from_secs(5)).await;
        assert!(couriers.behind().iter().all(|(_, behind)| *behind == 0), "{:?}", couriers.behind());
    });
    is_everything(&taken, folder.path());
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let folder = quick_folder();
    let all = Taken::default();
    for turn in 0..4 {
        let (sink, taken, fails) = Memory::sink();
        // The first two are cut short in the middle of an outage.
        let is_cut = turn < 2;
        with_couriers(&durable(folder.path()), vec![("it", sink)], async |trail, couriers| {
            fill(trail, &format!("turn-{turn}"), 30).await;
            if is_cut {
                fails.store(usize::MAX, Ordering::SeqCst);
                fill(trail, &format!("late-{turn}"), 30).await;
                couriers.finish(Duration::from_millis(50)).await;
            } else {
                trail.stop().await.expect("a clean end");
                all_taken(couriers).await;
            }
        });
        let taken = std::mem::take(&mut *taken.lock().expect("a lock"));
        if turn == 3 {
            assert!(taken.iter().all(|(_, seq, _)| *seq > 100), "what was taken before does not come again");
        }
        all.lock().expect("a lock").extend(taken);
    }
    is_everything(&all, folder.path());
}

#[test]
fn a_cursor_that_is_damaged_or_gone_or_beyond_the_end_costs_repetition_alone() {
    let folder = quick_folder();
    let run = |events: usize| {
        let (sink, taken, _) = Memory::sink();
        with_couriers(&durable(folder.path()), vec![("it", sink)], async |trail, couriers| {
            fill(trail, "uid", events).await;
            trail.stop().await.expect("a clean end");
            all_taken(couriers).await;
        });
        taken
    };
    run(30);
    let cursor = folder.path().join("cursors/it.json");
    let good = std::fs::read_to_string(&cursor).expect("a cursor");
    for wrong in ["", "\0\0\0\0", "{}", "[[1, 2]]", &good[..good.len() / 2]] {
        std::fs::write(&cursor, wrong).expect("written");
        is_everything(&run(2), folder.path());
    }
    std::fs::remove_file(&cursor).expect("removed");
    is_everything(&run(2), folder.path());
    // Another stream's place is no place; a place beyond the end is the end: what comes then, comes.
    let mut beyond: Vec<(String, u64)> = serde_json::from_str(&good).expect("JSON");
    for (_, next) in &mut beyond {
        *next = 1_000_000;
    }
    std::fs::write(&cursor, json!(beyond).to_string()).expect("written");
    let streams = in_order(&run(2));
    assert!(streams.len() == 3 && streams.values().all(|records| records.len() >= 4), "{streams:?}");
}

#[test]
fn a_sink_that_hangs_for_ever_delays_neither_another_nor_a_record() {
    let folder = quick_folder();
    let (sink, taken, _) = Memory::sink();
    with_couriers(
        &durable(folder.path()),
        vec![("hangs", Box::new(Hanging)), ("quick", sink)],
        async |trail, couriers| {
            fill(trail, "uid", 60).await;
            let quick_is_done = || couriers.behind().iter().any(|(name, behind)| name == "quick" && *behind == 0);
            while !quick_is_done() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            trail.stop().await.expect("a clean end");
            couriers.finish(Duration::from_secs(1)).await;
            assert!(quick_is_done());
            assert!(couriers.behind().iter().any(|(name, behind)| name == "hangs" && *behind > 180));
        },
    );
    is_everything(&taken, folder.path());
}

#[test]
fn lines_that_somebody_took_out_of_the_spool_are_counted_and_hold_up_nothing() {
    let folder = quick_folder();
    with_couriers(&durable(folder.path()), Vec::new(), async |trail, _| fill(trail, "uid", 60).await);
    let files = Files::read(folder.path());
    let places = files.of(Class::Allow);
    let (name, bytes) = &files.0[places[1]];
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(folder.path().join(name), lines[..lines.len() - 3].concat()).expect("written");
    let (sink, taken, _) = Memory::sink();
    with_couriers(&durable(folder.path()), vec![("it", sink)], async |trail, couriers| {
        trail.record(Class::Allow, None, event("last")).await.expect("a record");
        trail.stop().await.expect("a clean end");
        all_taken(couriers).await;
        assert_eq!(couriers.counters().next().expect("one").1.lost.load(Ordering::Relaxed), 3);
    });
    let taken = taken.lock().expect("a lock");
    assert!(taken.iter().any(|(_, _, line)| String::from_utf8_lossy(line).contains("\"uid\":\"last\"")));
    for (stream, seq, line) in taken.iter() {
        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        assert_eq!((&line["stream"], &line["seq"]), (&json!(stream), &json!(seq)), "records keep their numbers");
    }
}

#[test]
fn sigterm_brings_everything_to_the_sinks() {
    let config = format!(
        "{HARDENED}trail:\n  spool: {{directory: spool, segmentSize: 64Ki}}\n  key: {{file: key.pem}}\n  \
         sinks:\n    - {{name: out, type: stdout}}\n    - {{name: kept, type: file, path: kept.jsonl}}\n"
    );
    let serve = Serve::new(&config)
        .with_authority(|folder, _| std::fs::write(folder.join("key.pem"), pem(1)).expect("written"));
    let server = serve.start();
    for turn in 0..40 {
        let (path, pod) = if turn % 2 == 0 { ("/validate", bad_pod()) } else { ("/mutate", good_pod()) };
        server.post(path, review(&format!("uid-{turn}"), "default", &pod).to_string());
    }
    let (status, stdout, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let key = verifier(1).to_string();
    let kept = folder.path().join("kept.jsonl");
    let lines = std::fs::read_to_string(&kept).expect("read");
    for (from, text) in [(kept.to_str().expect("UTF-8"), &lines), ("-", &stdout)] {
        let (code, said, _) = run(&["trail", "verify", "--key", &key, from], text);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(text.lines().count(), Files::read(&folder.path().join("spool")).records().len());
    }
}

#[test]
fn an_output_that_nobody_reads_holds_up_neither_answers_nor_the_end() {
    let config = format!("{HARDENED}trail: {{spool: {{directory: spool}}, sinks: [{{name: out, type: stdout}}]}}\n");
    let serve = Serve::new(&config).grace(2);
    let mut command = serve.command();
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("started");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut unread = child.stdout.take().expect("a pipe");
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line") > 0);
    }
    let reading = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let log: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = log["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    let client = crate::serve::client::Client::new(address, serve.authority());
    for turn in 0..60 {
        let body = review(&format!("uid-{turn}"), "default", &bad_pod()).to_string().into_bytes();
        let answer =
            client.post(crate::serve::client::Protocol::Http2, "/validate", body).expect("an answer").response();
        assert_eq!(answer["status"]["code"], 403);
    }
    let killed = std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(killed.success());
    let status = until("the end", || child.try_wait().expect("its state"));
    assert_eq!(status.code(), Some(0), "its trail has a clean end; the sink goes on after a restart");
    let mut first = Vec::new();
    std::io::Read::read_to_end(&mut unread, &mut first).expect("what was written of it");
    let _ = reading.join();
    // Which begins with the first that was not taken.
    let server = serve.start();
    let events = until("the rest", || {
        let lines = String::from_utf8_lossy(&first).into_owned() + &server.stdout();
        let uids: Vec<String> = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["uid"].as_str().map(str::to_owned))
            .collect();
        (0..60).all(|turn| uids.contains(&format!("uid-{turn}"))).then_some(server.events())
    });
    assert!(!events.is_empty());
}
