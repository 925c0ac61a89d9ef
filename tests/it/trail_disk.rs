//! Disks that take nothing more: what was promised decides, nothing panics, and space heals it without a restart.
//!
//! The disks are small ones of the test's own; root mounts them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::serve::client::{Protocol, block};
use crate::serve::{AUDIT, HARDENED, Serve, Server, bad_pod, good_pod, review, spawn, text, until, verify};
use crate::trail_spool::Files;

/// A disk that is gone when this is dropped.
struct Disk {
    path: PathBuf,
    _folder: TempDir,
}

/// True if disks can be mounted here; where every test has to run, they can.
fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    let is_root = output.stdout == b"0\n";
    assert!(is_root || std::env::var_os("CI").is_none(), "only root can mount the disks of this test");
    if !is_root {
        eprintln!("left out: only root can mount the disks of this test");
    }
    is_root
}

fn called(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Disk {
    fn in_memory() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Self { path: folder.path().to_owned(), _folder: folder };
        called("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.shown()]);
        disk
    }

    /// One that can fail as disks do.
    fn on_a_file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, path) = (folder.path().join("image"), folder.path().join("disk"));
        File::create(&image).and_then(|file| file.set_len(8 << 20)).expect("an image");
        fs::create_dir(&path).expect("a folder");
        let image = image.to_str().expect("UTF-8").to_owned();
        called("mkfs.ext4", &["-q", &image]);
        let disk = Self { path, _folder: folder };
        called("mount", &["-o", "loop", &image, disk.shown()]);
        disk
    }

    fn shown(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// Leaves no more than this many bytes.
    fn fill_but(&self, bytes: usize) {
        let mut ballast = File::create(self.path.join("ballast")).expect("a file");
        while ballast.write_all(&[1; 4_096]).is_ok() {}
        let length = ballast.metadata().expect("its size").len();
        ballast.set_len(length - bytes as u64).expect("shorter");
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("ballast")).expect("removed");
    }

    /// Whoever writes to it waits until it goes on.
    fn stalls(&self) {
        called("fsfreeze", &["--freeze", self.shown()]);
    }

    fn goes_on(&self) {
        called("fsfreeze", &["--unfreeze", self.shown()]);
    }

    /// Aborts the file system, with every file that is open, as an error of the device would.
    fn fails(&self) {
        called("mount", &["-o", "remount,abort", self.shown()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also where it stalls, and where a process still holds a file of it.
        let _ = Command::new("fsfreeze").args(["--unfreeze", self.shown()]).stderr(Stdio::null()).status();
        let _ = Command::new("umount").args(["-l", self.shown()]).status();
    }
}

fn served(base: &str, disk: &Disk, guarantee: &str) -> Server {
    let spool = disk.spool();
    let spool = format!("{{directory: {}, guarantee: {guarantee}}}", spool.display());
    Serve::new(&format!("{base}trail: {{spool: {spool}}}\n")).start()
}

fn ask(server: &Server, uid: &str, pod: &Value) -> Value {
    server.post("/validate", review(uid, "default", pod).to_string()).response()
}

/// Asks until a decision could not be recorded: the answer to that one, and how many were asked.
fn until_unrecorded(server: &Server, pod: &Value) -> (Value, usize) {
    let mut turn = 0;
    let answer = until("a disk that takes nothing", || {
        turn += 1;
        let answer = ask(server, &format!("uid-{turn}"), pod);
        (server.metric("portcullis_decisions_unrecorded_total") > Some(0.0)).then_some(answer)
    });
    (answer, turn)
}

fn recorded(disk: &Disk, uid: &str) -> bool {
    Files::read(&disk.spool()).records().iter().any(|record| record["uid"] == uid)
}

/// Together more than wait in memory.
const CLIENTS: u32 = 4;
const EACH: u32 = 1_500;

const TROUBLE: &str = "the decision could not be recorded; try again";

#[track_caller]
fn is_trouble(answer: &Value, refuses: bool) {
    assert_eq!(answer["allowed"], !refuses, "{answer}");
    if refuses {
        assert_eq!((&answer["status"]["code"], &answer["status"]["message"]), (&json!(503), &json!(TROUBLE)));
    } else {
        assert_eq!(answer["warnings"][0], format!("not judged: {TROUBLE}"));
    }
}

/// No thread of it panicked: the panic hook says so on standard error.
fn is_calm(server: &mut Server) {
    assert!(server.is_alive() && !server.stderr().contains("panicked"), "{}", server.stderr());
}

/// Asserts that the server comes to a clean end, and leaves a trail that is proven.
fn ends_whole(server: Server, disk: &Disk) {
    let (status, _, stderr, ..) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let (code, said) = verify(&disk.spool());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_full_disk_is_the_servers_own_trouble_and_space_heals_it() {
    if !is_root() {
        return;
    }
    for (base, refuses) in [(HARDENED, true), (AUDIT, false)] {
        let disk = Disk::in_memory();
        let mut server = served(base, &disk, "durable");
        disk.fill_but(40 << 10);
        let (answer, turn) = until_unrecorded(&server, &good_pod());
        is_trouble(&answer, refuses);
        is_trouble(&ask(&server, "still", &good_pod()), refuses);
        assert!(!recorded(&disk, &format!("uid-{turn}")) && !recorded(&disk, "still"));
        assert!(recorded(&disk, "uid-1"));
        let (code, said) = verify(&disk.spool());
        assert_eq!(code, Some(3), "no part of a line is left: {said}");
        disk.empty();
        let healed = ask(&server, "healed", &good_pod());
        assert!(healed["allowed"] == true && healed.get("warnings").is_none(), "{healed}");
        assert!(recorded(&disk, "healed"));
        is_calm(&mut server);
        ends_whole(server, &disk);
    }
}

#[test]
fn a_full_disk_under_buffered_loses_no_decision_uncounted() {
    if !is_root() {
        return;
    }
    let disk = Disk::in_memory();
    let mut server = served(HARDENED, &disk, "buffered");
    disk.fill_but(40 << 10);
    let (_, mut turns) = until_unrecorded(&server, &good_pod());
    for (pod, allowed) in [(good_pod(), true), (bad_pod(), false)] {
        turns += 1;
        let answer = ask(&server, &format!("uid-{turns}"), &pod);
        assert_eq!(answer["allowed"], allowed, "as decided: {answer}");
        assert_ne!(answer["status"]["code"], 503);
    }
    let (status, said) = server.get("/readyz?verbose");
    assert_eq!(status, 200);
    assert!(said.contains("decisions were not recorded"), "{said}");
    assert!(server.stderr().contains("decisions could not be recorded"));
    disk.empty();
    turns += 1;
    assert_eq!(ask(&server, &format!("uid-{turns}"), &good_pod())["allowed"], true);
    let is_there = |turn: usize| recorded(&disk, &format!("uid-{turn}"));
    until("the record", || is_there(turns).then_some(()));
    let missing = (1..=turns).filter(|turn| !is_there(*turn)).count();
    let counted = server.metric("portcullis_decisions_unrecorded_total");
    assert!(missing > 0 && counted == Some(f64::from(u32::try_from(missing).expect("few"))), "{missing}: {counted:?}");
    is_calm(&mut server);
    ends_whole(server, &disk);
}

#[test]
fn a_disk_that_became_read_only_is_answered_like_a_full_one() {
    if !is_root() {
        return;
    }
    for (base, guarantee, refuses) in
        [(HARDENED, "durable", true), (AUDIT, "durable", false), (HARDENED, "buffered", false)]
    {
        let disk = Disk::on_a_file();
        let mut server = served(base, &disk, guarantee);
        assert_eq!(ask(&server, "before", &good_pod())["allowed"], true);
        disk.fails();
        let (answer, _) = until_unrecorded(&server, &good_pod());
        if guarantee == "durable" {
            is_trouble(&answer, refuses);
        } else {
            assert_eq!(answer["allowed"], true);
            assert_eq!(ask(&server, "bad", &bad_pod())["status"]["code"], 403, "as decided");
        }
        assert!(server.get("/readyz?verbose").1.contains("decisions were not recorded"));
        is_calm(&mut server);
        let (status, _, stderr, ..) = server.stop();
        assert_eq!(status.code(), Some(2), "it has no clean end, and says so");
        assert!(stderr.contains("Read-only file system"), "{stderr}");
    }
}

#[test]
fn a_disk_that_stalls_is_waited_for_as_far_as_was_promised() {
    if !is_root() {
        return;
    }
    let disk = Disk::on_a_file();
    let mut server = served(HARDENED, &disk, "durable");
    assert_eq!(ask(&server, "before", &good_pod())["allowed"], true);
    disk.stalls();
    is_trouble(&ask(&server, "during", &good_pod()), true);
    disk.goes_on();
    until("the disk", || (ask(&server, "after", &good_pod())["allowed"] == true).then_some(()));
    assert!(recorded(&disk, "before") && recorded(&disk, "after"));
    is_calm(&mut server);
    assert_eq!(server.stop().0.code(), Some(0));
    assert_eq!(verify(&disk.spool()).0, Some(0));

    let disk = Disk::on_a_file();
    let mut server = served(HARDENED, &disk, "buffered");
    disk.stalls();
    for turn in 0..10 {
        assert_eq!(ask(&server, &format!("uid-{turn}"), &good_pod())["allowed"], true, "nobody waits");
    }
    disk.goes_on();
    // What nobody waited for is written all the same.
    until("the records", || (0..10).all(|turn| recorded(&disk, &format!("uid-{turn}"))).then_some(()));
    assert_eq!(server.metric("portcullis_decisions_unrecorded_total"), Some(0.0));
    is_calm(&mut server);
    assert_eq!(server.stop().0.code(), Some(0));
    assert_eq!(verify(&disk.spool()).0, Some(0));
}

#[test]
fn what_waits_for_a_stalled_disk_is_bounded_and_the_rest_is_counted() {
    if !is_root() {
        return;
    }
    let disk = Disk::on_a_file();
    let mut server = served(HARDENED, &disk, "buffered");
    disk.stalls();
    std::thread::scope(|threads| {
        for name in 0..CLIENTS {
            let client = server.client();
            threads.spawn(move || {
                block(async {
                    let mut connection = client.connect(Protocol::Http1).await.expect("connected");
                    for turn in 0..EACH {
                        let asked = review(&format!("uid-{name}-{turn}"), "default", &good_pod());
                        let answer = connection.review("/validate", &asked).await.expect("an answer").response();
                        assert_eq!(answer["allowed"], true, "nobody waits");
                    }
                });
            });
        }
    });
    let counted = server.metric("portcullis_decisions_unrecorded_total").expect("a number");
    assert!(counted > 0.0 && server.stderr().contains("a decision leaves without its record"), "{counted}");
    assert!(server.get("/readyz?verbose").1.contains(&format!("{counted} decisions were not recorded")));
    disk.goes_on();
    is_calm(&mut server);
    let (spool, all) = (disk.spool(), CLIENTS * EACH);
    let written = || {
        let records = Files::read(&spool).records();
        let uids: HashSet<String> = records.iter().filter_map(|record| Some(record["uid"].as_str()?.into())).collect();
        u32::try_from(uids.len()).expect("few")
    };
    let is_all = || (f64::from(written()) + counted - f64::from(all)).abs() < 0.5;
    until("what waited", || is_all().then_some(()));
    ends_whole(server, &disk);
    assert!(is_all());
}

#[test]
fn a_spool_on_a_read_only_disk_is_named_at_the_start() {
    if !is_root() {
        return;
    }
    let disk = Disk::in_memory();
    let (status, ..) = served(HARDENED, &disk, "durable").stop();
    assert_eq!(status.code(), Some(0));
    called("mount", &["-o", "remount,ro", disk.shown()]);
    let serve = Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: {}}}}}\n", disk.spool().display()));
    let (mut child, _, stderr) = spawn(&mut serve.command());
    assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(2));
    until("its words", || text(&stderr).contains("Read-only file system").then_some(()));
    assert!(text(&stderr).contains(&format!("the spool at {}", disk.spool().display())));
}
