//! `buffered`: nobody waits for the disk, and a clean end loses nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::serve::client::{Client, Protocol, block};
use crate::serve::{HARDENED, Serve, bad_pod, good_pod, review, run, until};
use crate::trail_spool::Files;

const CLIENTS: usize = 4;

/// Asks until nobody answers any more; the uids that were answered.
async fn load(client: Client, name: usize, count: &AtomicUsize) -> Vec<String> {
    let mut answered = Vec::new();
    while let Ok(mut connection) = client.connect(Protocol::Http1).await {
        loop {
            let uid = format!("uid-{name}-{}", answered.len());
            let pod = if answered.len() % 5 == 4 { bad_pod() } else { good_pod() };
            let Ok(answer) = connection.review("/validate", &review(&uid, "default", &pod)).await else { break };
            assert_eq!(answer.response()["uid"], uid.as_str());
            answered.push(uid);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    answered
}

#[test]
fn a_clean_end_under_load_loses_nothing_that_was_answered() {
    let server =
        Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool, guarantee: buffered}}}}\n")).start();
    let count = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let (client, count) = (server.client(), Arc::clone(&count));
            std::thread::spawn(move || block(load(client, name, &count)))
        })
        .collect();
    until("load", || (count.load(Ordering::Relaxed) > 200).then_some(()));
    let (status, _, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("without its record") && !stderr.contains("after the end of the trail"), "{stderr}");
    let spool = folder.path().join("spool");
    let (code, said, _) = run(&["trail", "verify", spool.to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0), "{said}");
    let mut seen: HashMap<String, usize> = HashMap::new();
    for record in Files::read(&spool).records() {
        if let Some(uid) = record["uid"].as_str() {
            *seen.entry(uid.to_owned()).or_default() += 1;
        }
    }
    let answered: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
    // The last one of each may have been decided and not answered: it is asked again under the same uid.
    assert!(answered.iter().all(|uid| matches!(seen.get(uid), Some(1 | 2))));
}

#[test]
fn a_decision_that_tells_something_still_names_its_record() {
    let server =
        Serve::new(&format!("{HARDENED}trail: {{spool: {{directory: spool, guarantee: buffered}}}}\n")).start();
    for (uid, pod, is_named) in [("good", good_pod(), false), ("bad", bad_pod(), true)] {
        server.post("/validate", review(uid, "default", &pod).to_string()).response();
        let line = server.logs().into_iter().find(|line| line["uid"] == uid).expect("its line");
        assert_eq!(line.get("id").is_some(), is_named, "{line}");
    }
}
