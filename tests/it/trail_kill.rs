//! SIGKILL at random points under load: every decision that was answered is in the spool.
//!
//! PORTCULLIS_KILLS says how often, PORTCULLIS_SEED when.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::serve::client::{Client, Protocol, block};
use crate::serve::{AUDIT, Serve, Server, bad_pod, good_pod, review, until};
use crate::trail_spool::{Files, Random, pem, quick_folder, verified};

/// Kills, unless the environment says otherwise.
const KILLS: usize = 200;
/// The most that a server lives under load, in milliseconds.
const LIFE: usize = 120;
const CLIENTS: usize = 4;
/// Number of kills between two verifications of the spool while it is written.
const EVERY: usize = 20;

fn started(spool: &Path) -> Server {
    let key = spool.with_file_name("key.pem");
    Serve::new(&format!(
        "{AUDIT}trail:\n  spool: {{directory: {}, guarantee: durable, segmentSize: 256Ki}}\n  key: {{file: {}}}\n",
        spool.display(),
        key.display()
    ))
    .grace(1)
    .start()
}

/// A review that ends in each of the streams in turn.
fn asked(uid: &str, turn: usize) -> (&'static str, Value) {
    match turn % 4 {
        0 => ("/validate", review(uid, "default", &bad_pod())),
        1 => ("/validate", review(uid, "default", &good_pod())),
        2 => ("/mutate", review(uid, "default", &bad_pod())),
        _ => {
            let mut exec = review(uid, "default", &json!(null));
            exec["request"]["operation"] = json!("CONNECT");
            exec["request"]["subResource"] = json!("exec");
            exec["request"]["kind"]["kind"] = json!("PodExecOptions");
            exec["request"]["object"] = json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]});
            ("/validate", exec)
        }
    }
}

/// Asks in one connection until it breaks; notes what was answered as decided and recorded.
async fn load(client: Client, name: String, turns: &AtomicUsize, answered: &Mutex<Vec<String>>) {
    let Ok(mut connection) = client.connect(Protocol::Http1).await else { return };
    loop {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let uid = format!("{name}-{turn}");
        let (path, asked) = asked(&uid, turn);
        let Ok(answer) = connection.review(path, &asked).await else { return };
        if !answer.text().contains("could not be recorded") {
            assert_eq!(answer.response()["uid"], uid.as_str());
            answered.lock().expect("a lock").push(uid);
        }
    }
}

#[test]
fn whatever_was_answered_before_a_kill_is_in_the_spool() {
    let kills = std::env::var("PORTCULLIS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut random = Random::seeded(u64::from(std::process::id()));
    let folder = quick_folder();
    std::fs::write(folder.path().join("key.pem"), pem(1)).expect("written");
    let spool = folder.path().join("spool");
    let (answered, mut warned) = (Mutex::new(Vec::new()), 0);
    for kill in 0..kills {
        let mut server = started(&spool);
        let (client, turns) = (server.client(), AtomicUsize::new(0));
        let life = Duration::from_millis(random.below(LIFE) as u64);
        std::thread::scope(|threads| {
            for number in 0..CLIENTS {
                let (client, turns, answered) = (client.clone(), &turns, &answered);
                threads.spawn(move || block(load(client, format!("kill-{kill}-{number}"), turns, answered)));
            }
            // Every other one lives long enough for one answer at least, however slow the machine is.
            if kill % 2 == 0 {
                let first = format!("kill-{kill}-");
                let is_first = |uid: &String| uid.starts_with(&first);
                until("an answer", || answered.lock().expect("a lock").iter().rev().any(is_first).then_some(()));
            }
            std::thread::sleep(life);
            if kill % EVERY == EVERY - 1 {
                let (code, said) = verified(&spool);
                assert_eq!(code, Some(3), "while it is written: {said}");
            }
            server.signal("KILL");
        });
        server.ended();
        warned += server.stderr().matches("the trail ended in part of a record").count();
    }
    let (status, _, stderr, ..) = started(&spool).stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    warned += stderr.matches("the trail ended in part of a record").count();

    let (code, said) = verified(&spool);
    assert_eq!(code, Some(0), "{said}");
    let records = Files::read(&spool).records();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for uid in records.iter().filter_map(|record| record["uid"].as_str()) {
        *seen.entry(uid).or_default() += 1;
    }
    let answered = answered.into_inner().expect("a lock");
    for uid in &answered {
        assert_eq!(seen.get(uid.as_str()), Some(&1), "{uid} was answered");
    }
    let starts = records.iter().filter(|record| record["record"] == "start");
    assert_eq!(starts.clone().count(), 3 * (kills + 1));
    let torn = starts.filter(|record| record["torn"] != 0).count();
    assert_eq!(torn, warned, "what is torn is in the trail and was warned of");
    eprintln!("{kills} kills, {} answered, {} recorded, {torn} torn tails", answered.len(), seen.len());
    assert!(answered.len() >= kills / 2, "there was load");
}
