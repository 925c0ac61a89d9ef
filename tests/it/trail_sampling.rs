//! Sampling: what is not written is counted, and both together are what was asked.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis::trail::segments_of;
use serde_json::Value;

use crate::serve::client::{Protocol, block};
use crate::serve::{HARDENED, Serve, Server, bad_pod, good_pod, review, run, until};

const CLIENTS: usize = 4;
const EACH: usize = 60;

fn records(spool: &Path) -> Vec<Value> {
    let files = segments_of(spool).expect("segments");
    let text: String = files.iter().map(|file| fs::read_to_string(file).expect("read")).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn written(records: &[Value], decision: &str) -> u64 {
    records.iter().filter(|record| record["decision"] == decision).count() as u64
}

fn counted(records: &[Value]) -> u64 {
    let counters = records.iter().filter(|record| record["record"] == "counters");
    let rows = counters.flat_map(|record| record["omitted"].as_array().expect("a list"));
    rows.map(|row| row["count"].as_u64().expect("a number")).sum()
}

/// Several clients at once, each with its share of good Pods, and of bad ones.
fn ask(server: &Server) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                block(async {
                    let mut connection = server.client().connect(Protocol::Http2).await.expect("connected");
                    for turn in 0..EACH {
                        let namespace = format!("namespace-{}", turn % 3);
                        let pod = if turn % 10 == 7 { bad_pod() } else { good_pod() };
                        let asked = review(&format!("uid-{client}-{turn}"), &namespace, &pod);
                        let answer = connection.review("/validate", &asked).await.expect("an answer").response();
                        assert_eq!(answer["allowed"], turn % 10 != 7, "{answer}");
                    }
                });
            });
        }
    });
}

/// Number of requests that are refused, and of those that are not.
const REFUSED: u64 = (CLIENTS * EACH / 10) as u64;
const ALLOWED: u64 = (CLIENTS * EACH) as u64 - REFUSED;

#[test]
fn what_is_written_and_what_is_counted_are_what_was_asked() {
    let server = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool}}, sample: 1/10}}\n")).start();
    ask(&server);
    // While it runs, the counts follow.
    let spool = server.path("spool");
    until("the counts", || {
        let records = records(&spool);
        (written(&records, "allow") + counted(&records) == ALLOWED).then_some(())
    });
    ask(&server);
    // At once: what was not counted down yet is counted at the end.
    let (status, _, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let spool = folder.path().join("spool");
    let records = records(&spool);
    assert_eq!(written(&records, "deny"), 2 * REFUSED, "refused ones are always written");
    assert_eq!(written(&records, "allow"), (2 * ALLOWED).div_ceil(10));
    assert_eq!(written(&records, "allow") + counted(&records), 2 * ALLOWED);
    let counters: Vec<&Value> = records.iter().filter(|record| record["record"] == "counters").collect();
    let row = &counters[0]["omitted"][0];
    assert_eq!(
        (&counters[0]["sample"], &row["endpoint"], &row["operation"], &row["kind"]),
        (&10.into(), &"validate".into(), &"CREATE".into(), &"Pod".into())
    );
    assert!(row["namespace"].as_str().expect("text").starts_with("namespace-"));
    let (code, said, _) = run(&["trail", "verify", spool.to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_counts_of_the_last_moment_are_written_at_the_end() {
    let server = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool}}, sample: 1/1000000}}\n")).start();
    let (client, answered) = (server.client(), Arc::new(AtomicU64::new(0)));
    let counting = Arc::clone(&answered);
    // Until nobody answers any more: what was decided since the last counts came within the last second.
    let asking = std::thread::spawn(move || {
        block(async {
            while let Ok(mut connection) = client.connect(Protocol::Http1).await {
                let asked = review("uid", "default", &good_pod());
                while let Ok(answer) = connection.review("/validate", &asked).await {
                    assert_eq!(answer.response()["allowed"], true);
                    counting.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    });
    until("load", || (answered.load(Ordering::Relaxed) > 100).then_some(()));
    let (status, _, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    asking.join().expect("the client");
    let answered = answered.load(Ordering::Relaxed);
    let records = records(&folder.path().join("spool"));
    // The last one may have been decided and not answered.
    let decided = written(&records, "allow") + counted(&records);
    assert!((answered..=answered + 1).contains(&decided), "{answered} answered, {decided} recorded");
}

#[test]
fn nothing_is_sampled_unless_somebody_says_so() {
    for sample in ["", ", sample: \"1\""] {
        let server = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool}}{sample}}}\n")).start();
        ask(&server);
        let (_, _, _, folder, _) = server.stop();
        let records = records(&folder.path().join("spool"));
        assert_eq!((written(&records, "allow"), counted(&records)), (ALLOWED, 0));
    }
}

/// Asks about good Pods in namespaces of these names, twenty to a connection.
fn ask_in(server: &Server, namespaces: &[String]) {
    std::thread::scope(|scope| {
        for namespaces in namespaces.chunks(20) {
            scope.spawn(move || {
                block(async {
                    let mut connection = server.client().connect(Protocol::Http2).await.expect("connected");
                    for namespace in namespaces {
                        let asked = review("uid", namespace, &good_pod());
                        connection.review("/validate", &asked).await.expect("an answer");
                    }
                });
            });
        }
    });
}

#[test]
fn made_up_names_grow_no_record_and_a_full_disk_loses_no_count() {
    let serve = Serve::new(&format!("{HARDENED}trail: {{file: trail.jsonl, sample: 1/1000000}}\n"));
    let server = serve.file_limit(8192).start();
    let made_up = (0..500).map(|turn| format!("namespace-{turn}"));
    let hostile = (0..100).map(|turn| format!("{turn}-{}", "\u{1}".repeat(900)));
    let namespaces: Vec<String> = made_up.chain(hostile).collect();
    ask_in(&server, &namespaces);
    until("a full disk", || server.stderr().contains("counts of decisions could not be recorded").then_some(()));
    ask_in(&server, &namespaces);
    let pid = server.pid().to_string();
    let raised = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status();
    assert!(raised.expect("prlimit").success());
    let (status, _, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let file = folder.path().join("trail.jsonl");
    let text = fs::read_to_string(&file).expect("read");
    let records: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(written(&records, "allow") + counted(&records), 2 * namespaces.len() as u64);
    let longest = text.lines().map(str::len).max();
    assert!(longest < Some(64 << 10), "{longest:?}");
    let rows = |record: &Value| record["omitted"].as_array().map_or(0, Vec::len);
    assert!(records.iter().any(|record| rows(record) > 100) && records.iter().all(|record| rows(record) <= 256));
    let (code, said, _) = run(&["trail", "verify", file.to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0), "{said}");
}
