//! Storms: many creations at once under `failurePolicy: Fail`, while the configuration is reloaded, and while Portcullis
//! itself is restarted. Nothing that breaks the posture is stored, and a reload fails no call.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::objects::{broken_pod, pod, spec};
use super::plane::Plane;
use super::process::{PROGRAM, Portcullis};
use super::space::Space;
use super::{PATIENCE, eventually};

/// Creations of one storm, at least; every other one is to be refused.
const CREATIONS: usize = 500;
/// Callers at once.
const CALLERS: usize = 16;
/// Time that a caller waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);
/// Maximum number of tries of a caller.
const TRIES: usize = (PATIENCE.as_millis() / PAUSE.as_millis()) as usize;

#[test]
fn a_reload_during_a_storm_fails_no_call_over_http2() {
    storm_and_reload("it-reload-http2", &[]);
}

#[test]
fn a_reload_during_a_storm_fails_no_call_over_http1() {
    storm_and_reload("it-reload-http1", &["--http1"]);
}

#[test]
fn a_restart_during_a_storm_lets_nothing_through_over_http2() {
    storm_and_restart("it-restart-http2", &[]);
}

#[test]
fn a_restart_during_a_storm_lets_nothing_through_over_http1() {
    storm_and_restart("it-restart-http1", &["--http1"]);
}

fn storm_and_reload(name: &str, arguments: &[&str]) {
    let plane = Plane::for_storms();
    let space = Space::new(&plane, name);
    let portcullis = Portcullis::guard(&plane, &[&space], "profile: hardened\n", arguments);
    let (over, reloaded) = (AtomicBool::new(false), AtomicBool::new(false));
    let (reloads, started) = (AtomicUsize::new(0), Instant::now());
    let has_reloaded = || {
        let records = portcullis.records();
        let count = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
        count("configuration") >= 3 && count("configuration-refused") >= 1
    };
    let (good, failed) = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let count = reloads.fetch_add(1, Ordering::Relaxed);
                // Good ones that differ, and in between one that is refused as a whole.
                portcullis.configure(&match count % 3 {
                    2 => "profile: no-such-profile\n".to_owned(),
                    _ => format!("profile: hardened # {count}\n"),
                });
                std::thread::sleep(Duration::from_millis(60));
                if count % 3 == 2 && (has_reloaded() || started.elapsed() > PATIENCE) {
                    reloaded.store(true, Ordering::Relaxed);
                }
            }
        });
        let result = storm(&space, 1, &reloaded);
        over.store(true, Ordering::Relaxed);
        result
    });
    assert_eq!(failed, [] as [String; 0]);
    let connections = portcullis.metric("portcullis_connections").expect("a metric");
    let is_http1 = connections > 2.0;
    assert_eq!(is_http1, arguments.contains(&"--http1"), "{CALLERS} callers were served on {connections} connections");
    assert_stored(&space, good);
    assert!(has_reloaded(), "the storm was over before the configuration was reloaded");
    let records = portcullis.records();
    assert!(records.iter().all(|record| record["decision"] != "error"));
}

fn storm_and_restart(name: &str, arguments: &[&str]) {
    let plane = Plane::for_storms();
    let space = Space::new(&plane, name);
    let mut portcullis = Portcullis::guard(&plane, &[&space], "profile: hardened\n", arguments);
    let restarted = AtomicBool::new(false);
    let (good, failed) = std::thread::scope(|threads| {
        let storm = threads.spawn(|| storm(&space, TRIES, &restarted));
        eventually("the storm is on", || (portcullis.records().len() > CREATIONS / 10).then_some(()));
        portcullis.restart();
        restarted.store(true, Ordering::Relaxed);
        storm.join().expect("the storm ends")
    });
    for m in &failed {
        eprintln!("FAILED {m}");
    }
    // Where nobody answers, `Fail` fails the call, and says so; nothing else may go wrong.
    let unexplained: Vec<_> = failed.iter().filter(|message| !message.contains("failed calling webhook")).collect();
    assert_eq!(unexplained, [] as [&String; 0]);
    assert_stored(&space, good);

    let records = portcullis.records();
    let starts = records.iter().filter(|record| record["record"] == "start").count();
    assert_eq!(starts, 2, "the storm was over before the restart");
    assert!(portcullis.end().success());
    let verified = Command::new(PROGRAM).args(["trail", "verify"]).arg(portcullis.trail()).output().expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// A storm in which each call is made once, until `may_end`: nothing fails, and nothing that breaks the posture is stored.
#[track_caller]
pub(crate) fn fails_nothing(space: &Space, may_end: &AtomicBool) {
    let (good, failed) = storm(space, 1, may_end);
    assert_eq!(failed, [] as [String; 0]);
    assert_stored(space, good);
}

/// Creates `good-N` and `bad-N` until there were enough and `may_end`. Returns how many good ones, and what went wrong
/// with calls that were neither admitted nor refused. Such a call is tried again until it has been tried `tries` times.
fn storm(space: &Space, tries: usize, may_end: &AtomicBool) -> (usize, Vec<String>) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..CALLERS {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    create(space, number, tries, &failed);
                    if number >= CREATIONS && may_end.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
    });
    // Numbers are given out without gaps, from 0.
    (next.into_inner().div_ceil(2), failed.into_inner().expect("no caller panicked"))
}

fn create(space: &Space, number: usize, tries: usize, failed: &Mutex<Vec<String>>) {
    let is_good = number.is_multiple_of(2);
    let object = if is_good { pod(&format!("good-{number}"), spec()) } else { broken_pod(&format!("bad-{number}")) };
    for _ in 0..tries {
        let answer = space.create("pods", &object);
        match answer.code {
            201 if is_good => return,
            403 if !is_good => {
                answer.refused();
                return;
            }
            _ => failed.lock().expect("no caller panicked").push(format!("{}: {}", answer.code, answer.message())),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Every good pod is there, and no other.
#[track_caller]
fn assert_stored(space: &Space, good: usize) {
    let stored = space.list("pods");
    let is_bad =
        |pod: &&serde_json::Value| pod["metadata"]["name"].as_str().is_none_or(|name| !name.starts_with("good-"));
    assert_eq!(stored.iter().filter(is_bad).count(), 0, "a pod that breaks the posture was stored");
    assert_eq!(stored.len(), good);
}
