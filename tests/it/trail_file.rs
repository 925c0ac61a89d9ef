//! A trail in a file: continued, repaired, guarded, and verified.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, Server, bad_pod, review, run, spawn, text, until, verify};

fn config(rest: &str) -> String {
    format!("{HARDENED}{rest}trail: {{file: trail.jsonl, cluster: prod-1}}\n")
}

fn ask(server: &Server, uid: &str) -> Value {
    server.post("/validate", review(uid, "default", &bad_pod()).to_string()).response()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("read");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A server whose trail was there before.
fn start_with(trail: &[u8]) -> Serve {
    let serve = Serve::new(&config(""));
    fs::write(serve.path("trail.jsonl"), trail).expect("written");
    serve
}

/// Error output of a server that does not start.
fn refuses_to_start(serve: &Serve) -> String {
    let (mut child, _, stderr) = spawn(&mut serve.command());
    let status = until("the end", || child.try_wait().expect("its state"));
    assert_eq!(status.code(), Some(2));
    until("its words", || text(&stderr).contains("the trail at").then_some(()));
    text(&stderr)
}

/// The trail of a server that made three decisions.
fn three() -> Vec<u8> {
    let server = Serve::new(&config("")).start();
    for uid in ["one", "two", "three"] {
        ask(&server, uid);
    }
    let (_, stdout, _, folder, _) = server.stop();
    assert_eq!(stdout, "");
    fs::read(folder.path().join("trail.jsonl")).expect("read")
}

#[test]
fn a_restart_continues_the_stream() {
    let first = three();
    let server = start_with(&first).start();
    ask(&server, "four");
    let (_, _, _, folder, _) = server.stop();
    let file = folder.path().join("trail.jsonl");
    let all = lines(&file);
    assert!(all.iter().all(|line| line["stream"] == all[0]["stream"] && line["cluster"] != "other"));
    let kinds: Vec<&str> = all.iter().map(|line| line["record"].as_str().unwrap_or("-")).collect();
    assert_eq!(kinds, ["start", "-", "-", "-", "stop", "start", "-", "stop"]);
    assert_eq!(all.iter().map(|line| line["seq"].as_u64()).collect::<Vec<_>>(), (0..8).map(Some).collect::<Vec<_>>());
    let (code, said) = verify(&file);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("records 0 to 7,"), "{said}");
}

#[test]
fn a_kill_leaves_a_trail_that_is_whole_and_unproven() {
    let mut server = Serve::new(&config("")).start();
    ask(&server, "one");
    server.signal("KILL");
    server.ended();
    let (code, said) = verify(&server.path("trail.jsonl"));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("unproven") && said.contains("records 0 to 1,"), "{said}");
}

#[test]
fn a_torn_last_line_is_cut_off_and_said() {
    let whole = three();
    let second = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let text = String::from_utf8(whole.clone()).expect("UTF-8");
    let last = text.lines().last().expect("a line");
    let before = whole.len() - last.len() - 1;
    for torn in [&last.as_bytes()[..last.len() / 2], &last.as_bytes()[..1], last.as_bytes(), &[0; 100]] {
        let server = start_with(&[&whole[..before], torn].concat()).start();
        let (_, _, stderr, folder, _) = server.stop();
        let file = folder.path().join("trail.jsonl");
        let all = lines(&file);
        assert_eq!((&all[4]["record"], &all[4]["torn"]), (&json!("start"), &json!(torn.len())));
        assert!(stderr.contains("the trail ended in part of a line"), "{stderr}");
        assert_eq!(verify(&file).0, Some(0));
    }
    // Not even the first line is whole.
    let server = start_with(&whole[..second - 2]).start();
    let all = lines(&server.path("trail.jsonl"));
    assert_eq!((&all[0]["torn"], &all[0]["seq"]), (&json!(second - 2), &json!(0)));
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_is() {
    let whole = three();
    let foreign: [(&[u8], &str); 5] = [
        (b"one line\n", "trail.jsonl:1: is not a line of a trail"),
        (b"no line end, and dear to somebody", "trail.jsonl:1: is not a line of a trail"),
        (b"{\"a\":1}\n{\"stream\":\"x\",\"seq\":0}\n", "trail.jsonl:2: is not a line of a trail"),
        (&[&whole[..], b"a note"].concat(), "trail.jsonl:6: is not a line of a trail"),
        (&[&whole[..], b"a note\n"].concat(), "trail.jsonl:6: is not a line of a trail"),
    ];
    for (bytes, wanted) in foreign {
        let serve = start_with(bytes);
        let said = refuses_to_start(&serve);
        assert!(said.contains(wanted) && said.contains("name another file"), "{said}");
        assert_eq!(fs::read(serve.path("trail.jsonl")).expect("read"), bytes);
    }
}

#[test]
fn a_device_a_folder_and_a_file_in_use_are_refused() {
    for (file, wanted) in
        [("/dev/full", "is not a regular file"), ("/", "is not a regular file"), ("/no/where", "/no/where")]
    {
        let serve = Serve::new(&format!("{HARDENED}trail: {{file: {file}}}\n"));
        let said = refuses_to_start(&serve);
        assert!(said.contains(wanted), "{said}");
    }
    let serve = Serve::new(&config(""));
    let shared = serve.path("trail.jsonl");
    let server = serve.start();
    let second = Serve::new(&format!("{HARDENED}trail: {{file: {}}}\n", shared.display()));
    assert!(refuses_to_start(&second).contains("another process writes to it"));
    let _folder = server.stop();
    second.start();
}

#[test]
fn whatever_is_changed_is_named() {
    let whole = String::from_utf8(three()).expect("UTF-8");
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 5);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    let says = |text: &str, wanted: &str| {
        fs::write(&file, text).expect("written");
        let (code, said) = verify(&file);
        assert_eq!(code, Some(1), "{wanted}: {said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    };
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let with = |changed: usize, line: &str| {
        let mut lines = lines.clone();
        lines[changed] = line;
        joined(&lines)
    };
    for (position, line) in lines.iter().enumerate() {
        let later = line.replacen("Z\"", "Y\"", 1);
        says(&with(position, &later), &format!("line {}: ", position + 1));
        says(&with(position, &later), "was changed: its hash does not fit its bytes");
    }
    says(&with(2, &lines[2].replace("\"allowed\":false", "\"allowed\":true ")), ":2: was changed");
    // Removed: from the front, from the middle.
    says(&joined(&lines[1..]), "records 0 to 0 are missing from the front");
    says(&joined(&[lines[0], lines[1], lines[3], lines[4]]), "line 3: record ");
    says(&joined(&[lines[0], lines[1], lines[3], lines[4]]), "1 record(s) from 2 on were removed or moved");
    // Inserted, repeated, exchanged, cut.
    says(&joined(&[lines[0], "{\"decision\":\"allow\"}", lines[1]]), "line 2: is not a record of a trail");
    says(&joined(&[lines[0], "", lines[1]]), "line 2: is not a record of a trail");
    says(&joined(&[lines[0], lines[1], lines[1], lines[2]]), "line 3: record ");
    says(&joined(&[lines[0], lines[1], lines[1], lines[2]]), "was repeated or moved");
    says(&joined(&[lines[0], lines[2], lines[1], lines[3]]), "line 2: record ");
    says(&whole[..whole.len() - 1], "line 5: is not whole");
    // A record of another stream, and one that was changed together with its hash.
    let other = String::from_utf8(three()).expect("UTF-8");
    says(&joined(&[lines[0], other.lines().nth(1).expect("a line"), lines[1]]), "missing from the front");
    let (covered, _) = lines[2].split_once(",\"hash\":\"").expect("a hash");
    let covered = covered.replace("\"allowed\":false", "\"allowed\":true");
    let hash =
        digest(&SHA256, covered.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    says(&with(2, &format!("{covered},\"hash\":\"{hash}\"}}")), "line 4: record ");
}

#[test]
fn every_single_byte_counts() {
    let whole = three();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    // The library's own verifier: a process for each byte would take minutes.
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        let result = portcullis::trail::verify(bytes.as_slice()).expect("read");
        assert!(result.is_err(), "byte {position} of {:?}", String::from_utf8_lossy(&whole));
    }
    fs::write(&file, &whole).expect("written");
    assert_eq!(verify(&file).0, Some(0));
}

#[test]
fn an_empty_or_missing_trail_is_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    assert_eq!(verify(&file).0, Some(2));
    fs::write(&file, "").expect("written");
    let (code, said) = verify(&file);
    assert_eq!(code, Some(2));
    assert!(said.contains("no record of a trail is there"), "{said}");
    assert_eq!(run(&["trail", "verify", "-"], "").0, Some(2));
}
