//! Ends without a `stop`, and what somebody may do to a spool before the next start: said, named, or of no effect.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use portcullis::trail::{Class, Report};
use serde_json::Value;

use crate::serve::{HARDENED, Serve, Server, bad_pod, review, run};
use crate::trail_spool::{Files, event, finished, pem, settings, verified, verifier, with_trail};

/// Records after which one is signed for.
const CHECKPOINT_RECORDS: usize = 1_024;

/// Writes to a spool that then has no clean end.
fn killed(folder: &Path, class: Class, count: usize) {
    let settings = portcullis::trail::SpoolSettings { segment_bytes: 1 << 20, ..settings(folder) };
    with_trail(&settings, Some(1), async |trail| {
        for turn in 0..count {
            trail.record(class, None, event(&format!("uid-{turn}"))).await.expect("a record");
        }
        // All of it is written, and what signs for it; then it is gone.
        let is_written = || {
            let lines = Files::read(folder).lines(class);
            let signed = lines.iter().filter(|line| line.contains("\"record\":\"checkpoint\"")).count();
            let last = format!("\"uid-{}\"", count - 1);
            signed > count / CHECKPOINT_RECORDS && lines.iter().any(|line| line.contains(&last))
        };
        while !is_written() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// A start, one decision, and a clean end.
fn restarted(folder: &Path) {
    with_trail(&settings(folder), Some(1), async |trail| {
        trail.record(Class::Refused, None, event("after")).await.expect("a record");
        trail.stop().await.expect("a clean end");
    });
}

/// Cuts a class back to its first records.
fn cut(folder: &Path, class: Class, kept: usize) {
    let folder = folder.join(class.as_str());
    let mut segments: Vec<_> =
        fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    segments.sort();
    let mut rest = kept;
    for segment in segments {
        let text = fs::read_to_string(&segment).expect("read");
        let lines: Vec<&str> = text.split_inclusive('\n').take(rest).collect();
        rest -= lines.len();
        if lines.is_empty() {
            fs::remove_file(&segment).expect("removed");
        } else {
            fs::write(&segment, lines.concat()).expect("written");
        }
    }
}

#[test]
fn a_signed_checkpoint_that_is_cut_off_before_a_restart_is_missed_by_its_idle_sisters() {
    let folder = tempfile::tempdir().expect("a folder");
    killed(folder.path(), Class::Refused, 1_100);
    assert_eq!(verified(folder.path()).0, Some(3));
    cut(folder.path(), Class::Refused, 3);
    restarted(folder.path());
    let (code, said) = verified(folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was replaced: the checkpoint") || said.contains("are missing from the end"), "{said}");
}

#[test]
fn what_no_checkpoint_covered_when_it_ended_is_said_to_be_taken_as_it_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    killed(folder.path(), Class::Refused, 20);
    cut(folder.path(), Class::Refused, 12);
    restarted(folder.path());
    let (code, said) = verified(folder.path());
    assert_eq!(code, Some(0), "nothing contradicts it: {said}");
    let wanted = "went on 1 time(s) after an end without a stop, the last time at record 12: what came after the \
                  checkpoint before it, record 1, was taken as it was found";
    assert!(said.contains(wanted), "{said}");
    let report: Report = Files::read(folder.path()).verify(&[verifier(1)]).expect("whole");
    let restarts: Vec<_> = report.streams.values().map(|stream| stream.restarts).collect();
    assert_eq!(restarts, [1; 3]);
    // A clean end is none.
    let (folder, _) = finished(5);
    restarted(folder.path());
    assert!(!verified(folder.path()).1.contains("went on"));
}

#[test]
fn the_age_of_a_record_is_its_own_and_not_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let now = || Value::from(jiff::Timestamp::now().to_string());
    let young = |uid: &str| {
        let mut event: Value = serde_json::from_slice(&event(uid)).expect("JSON");
        event["time"] = now();
        event.to_string().into_bytes()
    };
    with_trail(&settings, Some(1), async |trail| {
        for turn in 0..100 {
            trail.record(Class::Refused, None, young(&format!("uid-{turn}"))).await.expect("a record");
        }
        trail.stop().await.expect("a clean end");
    });
    let before = Files::read(folder.path());
    assert!(before.of(Class::Refused).len() > 2);
    for (name, _) in &before.0 {
        let file = File::options().append(true).open(folder.path().join(name)).expect("opened");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("touched");
    }
    with_trail(&settings, Some(1), async |trail| {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        trail.stop().await.expect("a clean end");
    });
    let after = Files::read(folder.path());
    assert!(!after.records().iter().any(|record| record["record"] == "retention"));
    assert_eq!(after.of(Class::Refused).len(), before.of(Class::Refused).len());
    // And what retention takes, `verify` says.
    let settings = portcullis::trail::SpoolSettings { retention: [SignedDuration::from_secs(1); 3], ..settings };
    with_trail(&settings, Some(1), async |trail| {
        while !Files::read(folder.path()).records().iter().any(|record| record["record"] == "retention") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trail.stop().await.expect("a clean end");
    });
    let (code, said) = verified(folder.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("were removed by retention, 0 of them before every sink had them"), "{said}");
}

fn with_copy(folder: &Path) -> Server {
    let config = format!(
        "{HARDENED}trail:\n  spool: {{directory: {spool}}}\n  key: {{file: {key}}}\n  sinks:\n  - {{name: copy, type: file, path: {copy}}}\n",
        spool = folder.join("spool").display(),
        key = folder.join("key.pem").display(),
        copy = folder.join("copy.jsonl").display(),
    );
    fs::write(folder.join("key.pem"), pem(1)).expect("written");
    Serve::new(&config).start()
}

fn ask(server: &Server, name: &str) {
    for turn in 0..20 {
        server.post("/validate", review(&format!("{name}-{turn}"), "default", &bad_pod()).to_string()).response();
    }
}

#[test]
fn a_sink_that_had_more_than_there_is_is_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_copy(folder.path());
    ask(&server, "one");
    assert_eq!(server.stop().0.code(), Some(0));
    cut(&folder.path().join("spool"), Class::Refused, 5);
    let (status, _, stderr, ..) = with_copy(folder.path()).stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("a sink had more records than there are"), "{stderr}");
    let records = Files::read(&folder.path().join("spool")).records();
    let ahead: Vec<&Value> = records.iter().filter(|record| record["record"] == "sink-ahead").collect();
    assert_eq!(ahead.len(), 1);
    assert_eq!((&ahead[0]["sink"], &ahead[0]["had"], &ahead[0]["end"]), (&"copy".into(), &23.into(), &5.into()));
}

#[test]
fn a_copy_may_hold_a_record_twice_and_no_other_in_its_place() {
    let (_, files) = finished(20);
    let lines: Vec<String> = Class::ALL.into_iter().flat_map(|class| files.lines(class)).collect();
    // What was brought and not noted down is brought again, and then the rest.
    let twice = [&lines[..10], &lines[4..]].concat().concat();
    let key = verifier(1).to_string();
    let verify = |more: &[&str], text: &str| {
        let (code, stdout, stderr) = run(&[&["trail", "verify", "--key", &key, "-"], more].concat(), text);
        (code, stdout + &stderr)
    };
    let (code, said) = verify(&[], &twice);
    assert!(code == Some(1) && said.contains("was repeated or moved"), "{said}");
    let (code, said) = verify(&["--copy"], &twice);
    assert!(code == Some(0) && said.contains("6 record(s) came again, as they were"), "{said}");
    let (_, others) = finished(20);
    let other = [&lines[..10], &others.lines(Class::ALL[0])[4..5], &lines[10..]].concat().concat();
    let (code, said) = verify(&["--copy", "--excerpt"], &other);
    assert_ne!(code, Some(0), "{said}");
    let forged = lines[5].replace("uid-", "uie-");
    let (code, said) = verify(&["--copy"], &[&lines[..10], &[forged], &lines[10..]].concat().concat());
    assert!(code == Some(1) && said.contains("was changed"), "{said}");
}
