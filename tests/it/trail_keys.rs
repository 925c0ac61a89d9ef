//! Keys: another one takes over without a break, and public tools read what they signed.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use portcullis::trail::Class;
use serde_json::{Value, json};

use crate::go_tool;
use crate::serve::{HARDENED, Serve, bad_pod, review, run, until};
use crate::trail_spool::{Files, fill, pem, settings, signer, verifier, with_trail};

/// A spool whose key changed while it was open.
fn rotated() -> Files {
    let folder = tempfile::tempdir().expect("a folder");
    with_trail(&settings(folder.path()), Some(1), async |trail| {
        fill(trail, "before", 30).await;
        trail.sign_with(signer(2)).await;
        fill(trail, "after", 30).await;
        trail.stop().await.expect("a clean end");
    });
    Files::read(folder.path())
}

fn notes(files: &Files) -> Vec<String> {
    files.records().iter().filter_map(|record| record["note"].as_str().map(str::to_owned)).collect()
}

fn signatures(note: &str) -> usize {
    note.split_once("\n\n").expect("signatures").1.lines().count()
}

#[test]
fn the_change_is_signed_by_both_keys_and_the_missing_one_is_said() {
    let files = rotated();
    for class in Class::ALL {
        let lines = files.lines(class);
        let notes: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let both = notes.iter().filter(|line| line["note"].as_str().is_some_and(|note| signatures(note) == 2)).count();
        assert_eq!(both, 1, "one checkpoint of the stream {} has both signatures", class.as_str());
    }
    assert!(files.verify(&[verifier(1), verifier(2)]).expect("whole").is_proven());
    for (known, missing) in [(1, 2), (2, 1)] {
        let missing = verifier(missing).to_string();
        let fault = files.verify(&[verifier(known)]).expect_err("a key is missing");
        let wanted =
            format!("is signed by {}, which is not one of the keys", missing.rsplit_once('+').expect("a key").0);
        assert!(fault.message.contains(&wanted), "{fault}");
    }
}

#[test]
fn public_tools_read_the_notes() {
    let program = go_tool::build("signed-note");
    let opened = |notes: &[String], keys: &[String]| -> Vec<Value> {
        let mut child =
            Command::new(&program).args(keys).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines: String = notes.iter().map(|note| format!("{}\n", json!({"note": note}))).collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output().expect("its end");
        writing.join().expect("a thread").expect("it reads");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let notes = notes(&rotated());
    let keys = [verifier(1).to_string(), verifier(2).to_string()];
    let read = opened(&notes, &keys);
    assert_eq!(read.len(), notes.len());
    for (note, read) in notes.iter().zip(&read) {
        assert_eq!(read["text"].as_str().map(|text| note.starts_with(text)), Some(true), "{read}");
        assert_eq!(read["signatures"].as_u64(), Some(signatures(note) as u64), "{note}");
    }
    // And they refuse what we refuse.
    let altered: Vec<String> = notes.iter().map(|note| note.replacen("record ", "record  ", 1)).collect();
    assert!(opened(&altered, &keys).iter().all(|read| read["error"].is_string()));
    let unknown = opened(&notes, &[verifier(3).to_string()]);
    assert!(unknown.iter().all(|read| read["error"].is_string()));
}

#[test]
fn a_served_trail_is_signed_and_a_mounted_key_may_change() {
    let config = format!("{HARDENED}trail: {{spool: {{directory: spool}}, key: {{file: trail.pem, name: it}}}}\n");
    let serve = Serve::new(&config);
    let key = |seed: u8| {
        fs::write(serve.path("new.pem"), pem(seed)).expect("written");
        fs::rename(serve.path("new.pem"), serve.path("trail.pem")).expect("replaced");
        let file = serve.path("trail.pem");
        let (code, said, _) = run(&["trail", "key", "--name", "it", file.to_str().expect("UTF-8")], "");
        assert_eq!(code, Some(0));
        said.trim().to_owned()
    };
    let second = key(2);
    let first = key(1);
    let server = serve.start();
    server.post("/validate", review("one", "default", &bad_pod()).to_string());
    assert!(server.stderr().contains(&first) && !server.stderr().contains("PRIVATE"), "the key to verify with is said");
    fs::write(server.path("new.pem"), pem(2)).expect("written");
    fs::rename(server.path("new.pem"), server.path("trail.pem")).expect("replaced");
    until("the other key", || server.stderr().contains(&second).then_some(()));
    server.post("/validate", review("two", "default", &bad_pod()).to_string());
    let (status, _, _, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    let spool = folder.path().join("spool");
    let verify = |keys: &[&str]| {
        let keys = keys.iter().flat_map(|key| ["--key", key]);
        let args: Vec<&str> = ["trail", "verify"].into_iter().chain(keys).chain(spool.to_str()).collect();
        run(&args, "")
    };
    assert_eq!(verify(&[&first, &second]).0, Some(0));
    assert_eq!(verify(&[&first]).0, Some(1));
    // Keys may stand in a file, one a line.
    let file = folder.path().join("keys");
    fs::write(&file, format!("{first}\n\n{second}\n")).expect("written");
    let (code, said, _) = verify(&[file.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("signed up to record") && said.ends_with("ok: every record that is here is as it was written\n")
    );
}
