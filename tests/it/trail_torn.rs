//! Torn ends of a spool: cut off and counted, wherever a crash tore them. Damage that no crash causes is refused.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::trail::{Class, OutputError, Spool, SpoolSettings};
use serde_json::json;

use crate::serve::{HARDENED, Serve, spawn, text, until};
use crate::trail_spool::{Files, event, fill, finished, open, quick_folder, settings, verifier, with_trail};

/// A copy of a spool in a folder of its own.
struct Copy {
    folder: tempfile::TempDir,
    whole: Files,
}

impl Copy {
    /// The spool, and its streams' identities.
    fn of(from: &Path) -> Self {
        let folder = quick_folder();
        let whole = Files::read(from);
        whole.write(folder.path());
        for class in Class::ALL {
            let identity = format!("{}/stream", class.as_str());
            fs::copy(from.join(&identity), folder.path().join(&identity)).expect("copied");
        }
        Self { folder, whole }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The last segment of a class: its file, and what it holds.
    fn last(&self, class: Class) -> (PathBuf, &[u8]) {
        let place = *self.whole.of(class).last().expect("a segment");
        (self.path().join(&self.whole.0[place].0), &self.whole.0[place].1)
    }

    fn opened(&self) -> Result<Spool, OutputError> {
        // A process that another test starts has every open file for a moment, and with it the lock.
        until("the lock", || match Spool::open(settings(self.path()), None) {
            Err(OutputError::Taken(_)) => None,
            opened => Some(opened),
        })
    }

    /// Starts and stops it; what it cut off is in its start records, and it verifies.
    fn goes_on(&self, torn: usize) {
        with_trail(&settings(self.path()), Some(1), async |trail| {
            trail.record(Class::Refused, None, event("after")).await.expect("a record");
            trail.stop().await.expect("a clean end");
        });
        let files = Files::read(self.path());
        let report = files.verify(&[verifier(1)]).expect("whole");
        assert!(report.is_proven(), "{report:?}");
        let records = files.records();
        let sum: u64 = records
            .iter()
            .filter(|record| record["record"] == "start")
            .filter_map(|record| record["torn"].as_u64())
            .sum();
        assert_eq!(sum, torn as u64);
        assert!(records.iter().any(|record| record["uid"] == "after"));
    }
}

/// A spool whose last records no other stream speaks of.
fn killed() -> tempfile::TempDir {
    let folder = quick_folder();
    with_trail(&settings(folder.path()), Some(1), async |trail| {
        fill(trail, "uid", 40).await;
        trail.stop().await.expect("a clean end");
    });
    // And so that the last segment holds enough.
    let settings = SpoolSettings { segment_bytes: 1 << 20, ..settings(folder.path()) };
    with_trail(&settings, Some(1), async |trail| {
        for turn in 0..4 {
            trail.record(Class::Refused, None, event(&format!("last-{turn}"))).await.expect("a record");
        }
    });
    folder
}

#[test]
fn a_cut_at_every_byte_of_the_last_records_leaves_whole_lines() {
    let folder = killed();
    let copy = Copy::of(folder.path());
    let (file, bytes) = copy.last(Class::Refused);
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    let from = ends[ends.len() - 4];
    for cut in from..bytes.len() {
        let whole = *ends.iter().rfind(|end| **end <= cut).expect("a line");
        fs::write(&file, &bytes[..cut]).expect("written");
        assert_eq!(copy.opened().expect("a spool").torn(), (cut - whole) as u64, "cut at {cut}");
        assert!(fs::read(&file).expect("read") == bytes[..whole], "cut at {cut}");
        if cut % 97 == 0 {
            let copy = Copy::of(folder.path());
            fs::write(copy.last(Class::Refused).0, &bytes[..cut]).expect("written");
            copy.goes_on(cut - whole);
        }
    }
}

#[test]
fn zeros_where_nothing_was_written_yet_are_cut_off_with_what_follows() {
    let folder = killed();
    let whole = Copy::of(folder.path());
    let (_, bytes) = whole.last(Class::Refused);
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    let before = ends[ends.len() - 3];
    let mut hole = bytes.to_vec();
    hole[before - 10..before + 20].fill(0);
    let cases = [
        ([bytes, &[0; 1]].concat(), bytes.len()),
        ([bytes, &vec![0; 70_000]].concat(), bytes.len()),
        ([&bytes[..before + 50], &[0; 4_096]].concat(), before),
        ([&bytes[..before], &[0; 100], b"\n"].concat(), before),
        // The second page came to the disk, and the first did not.
        (hole, ends[ends.len() - 4]),
    ];
    for (torn, kept) in cases {
        let copy = Copy::of(folder.path());
        let (file, _) = copy.last(Class::Refused);
        fs::write(&file, &torn).expect("written");
        copy.goes_on(torn.len() - kept);
        assert!(fs::read(&file).expect("read").starts_with(&bytes[..kept]));
    }
}

#[test]
fn a_segment_that_was_just_begun_is_no_obstacle() {
    let folder = killed();
    let whole = Copy::of(folder.path());
    let lines = whole.whole.lines(Class::Refused);
    let next = lines.len();
    let part = &lines[next - 1].as_bytes()[..100];
    for (begun, torn) in [(&b""[..], 0), (part, part.len()), (&[0; 512][..], 512)] {
        let copy = Copy::of(folder.path());
        fs::write(copy.path().join(format!("refused/{next:020}.jsonl")), begun).expect("written");
        // One that could not be made use of stays empty, with others after it.
        fs::write(copy.path().join(format!("refused/{:020}.jsonl", next - 2)), "").expect("written");
        copy.goes_on(torn);
    }
}

#[test]
fn a_lost_identity_is_in_every_record() {
    let folder = killed();
    for lost in [None, Some(""), Some("0123456789abcdef"), Some("what?\n")] {
        let copy = Copy::of(folder.path());
        let file = copy.path().join("allow/stream");
        let before = fs::read(&file).expect("read");
        match lost {
            None => fs::remove_file(&file).expect("removed"),
            Some(text) => fs::write(&file, text).expect("written"),
        }
        copy.goes_on(0);
        assert_eq!(fs::read(&file).expect("read"), before);
        assert_eq!(Files::read(copy.path()).verify(&[verifier(1)]).expect("whole").streams.len(), 3);
    }
    // Another stream's is no loss.
    let copy = Copy::of(folder.path());
    fs::write(copy.path().join("allow/stream"), "0123456789abcdef\n").expect("written");
    assert!(matches!(copy.opened(), Err(OutputError::Foreign { .. })));
    assert!(Files::read(copy.path()) == copy.whole, "it is left as it is");
}

#[test]
fn what_no_crash_leaves_is_refused_and_left_as_it_is() {
    let folder = killed();
    let whole = Copy::of(folder.path());
    let (_, bytes) = whole.last(Class::Refused);
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let changed = text.replacen("last-1", "lest-1", 1);
    let removed = [&lines[..lines.len() - 2], &lines[lines.len() - 1..]].concat().concat();
    let (_folder, other) = finished(3);
    let foreign = [&text[..], &other.lines(Class::Refused)[1]].concat();
    for wrong in [changed, removed, foreign] {
        let copy = Copy::of(folder.path());
        let (file, _) = copy.last(Class::Refused);
        fs::write(&file, &wrong).expect("written");
        assert!(matches!(copy.opened(), Err(OutputError::Foreign { .. })), "{wrong}");
        assert_eq!(fs::read_to_string(&file).expect("read"), wrong);
    }
}

#[test]
fn foreign_files_beside_the_segments_stay_and_disturb_nobody() {
    let folder = killed();
    let copy = Copy::of(folder.path());
    let names = ["README", "00000000000000000001.jsonl.bak", "1.jsonl", "+0000000000000000001.jsonl", "lost+found"];
    for name in names {
        fs::write(copy.path().join("allow").join(name), "not ours").expect("written");
    }
    copy.goes_on(0);
    for name in names {
        assert_eq!(fs::read_to_string(copy.path().join("allow").join(name)).expect("read"), "not ours");
    }
}

#[test]
fn a_spool_has_one_writer() {
    let serve = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool}}}}\n"));
    let spool = serve.path("spool");
    let server = serve.start();
    let error = Spool::open(settings(&spool), None).err().expect("refused").to_string();
    assert!(error.contains("another process writes to it"), "{error}");
    let second = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: {}}}}}\n", spool.display()));
    let (mut child, _, stderr) = spawn(&mut second.command());
    assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(2));
    until("its words", || text(&stderr).contains("another process writes to it").then_some(()));
    let _folder = server.stop();
    let files = Files::read(&spool);
    assert!(files.verify(&[]).expect("whole").is_proven());
    assert_eq!(files.records().iter().filter(|record| record["record"] == json!("start")).count(), 3);
    drop(open(&settings(&spool), None));
}
