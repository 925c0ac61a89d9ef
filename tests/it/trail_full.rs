//! A trail whose disk is full: no decision passes as recorded that is not, and space heals it.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::json;

use crate::serve::client::{Client, Protocol};
use crate::serve::{HARDENED, Serve, good_pod, review, until, verify};

/// Raises the size that its files may have.
fn unlimited(pid: u32) {
    let raised =
        std::process::Command::new("prlimit").args(["--pid", &pid.to_string(), "--fsize=unlimited:unlimited"]).status();
    assert!(raised.expect("prlimit").success());
}

#[test]
fn a_full_disk_refuses_where_policies_refuse_and_space_heals_it() {
    for (rest, refuses) in [("", true), ("ceiling: audit\n", false)] {
        let mut server =
            Serve::new(&format!("{HARDENED}{rest}trail: {{file: trail.jsonl}}\n")).file_limit(8192).start();
        let good = |uid: &str| server.post("/validate", review(uid, "default", &good_pod()).to_string()).response();
        let mut turn = 0;
        let answer = until("a full disk", || {
            turn += 1;
            let answer = good(&format!("uid-{turn}"));
            (server.metric("portcullis_decisions_unrecorded_total") > Some(0.0)).then_some(answer)
        });
        let message = "the decision could not be recorded; try again";
        assert_eq!(answer["allowed"], !refuses, "{answer}");
        if refuses {
            assert_eq!((&answer["status"]["code"], &answer["status"]["message"]), (&json!(503), &json!(message)));
        } else {
            assert_eq!(answer["warnings"][0], format!("not judged: {message}"));
        }
        // What was answered so is not in the trail, and no part of it either.
        assert_eq!(verify(&server.path("trail.jsonl")).0, Some(3), "it goes on");
        assert!(!fs::read_to_string(server.path("trail.jsonl")).expect("read").contains(&format!("uid-{turn}\"")));
        unlimited(server.pid());
        assert_eq!(good("healed")["allowed"], true);
        assert!(good("healed again").get("warnings").is_none());
        assert!(server.is_alive());
        let (status, _, _, folder, _) = server.stop();
        assert_eq!(status.code(), Some(0));
        let (code, said) = verify(&folder.path().join("trail.jsonl"));
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("unproven"));
    }
}

#[test]
fn standard_output_into_a_full_disk_stays_a_chain() {
    let serve = Serve::new(HARDENED).file_limit(8192);
    let out = serve.path("stdout");
    let mut command = serve.command();
    command.stdout(File::create(&out).expect("a file")).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line") > 0);
    }
    let reading = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let log: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let client =
        Client::new(log["address"].as_str().and_then(|text| text.parse().ok()).expect("an address"), serve.authority());
    let mut turn = 0;
    let mut good = || {
        turn += 1;
        let body = review(&format!("uid-{turn}"), "default", &good_pod()).to_string().into_bytes();
        client.post(Protocol::Http2, "/validate", body).expect("an answer").response()["allowed"] == true
    };
    until("a full disk", || (!good()).then_some(()));
    assert!(!good(), "it stays full");
    let cut = fs::read_to_string(&out).expect("read");
    assert!(cut.len() == 8192 && !cut.ends_with('\n'), "part of a line was written");
    unlimited(child.id());
    until("the end of a full disk", || good().then_some(()));
    assert!(good());
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(0));
    let _ = reading.join();
    let (code, said) = verify(&out);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("unproven"), "{said}");
}
