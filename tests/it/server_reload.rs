//! A configuration is replaced while requests come in.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::serve::client::{BOTH, block};
use crate::serve::{AUDIT, HARDENED, Serve, Server, bad_pod, review, until};

/// The digest that the admin port says.
fn digest(server: &Server) -> String {
    let (_, text) = server.get("/readyz?verbose");
    let line = text.lines().find_map(|line| line.strip_prefix("[+]configuration digest "));
    line.expect("a digest").to_owned()
}

fn records(server: &Server, kind: &str) -> Vec<Value> {
    server.events().into_iter().filter(|event| event["record"] == kind).collect()
}

/// Waits for the `count`th record of a kind.
fn record(server: &Server, kind: &str, count: usize) -> Value {
    until(&format!("record {count} of {kind}"), || records(server, kind).into_iter().nth(count - 1))
}

fn allowed(server: &Server, uid: &str) -> bool {
    let answer = server.post("/validate", review(uid, "default", &bad_pod()).to_string()).response();
    answer["allowed"].as_bool().expect("a verdict")
}

#[test]
fn a_configmap_swap_a_rename_and_a_write_in_place_are_all_taken() {
    let serve = Serve::new(HARDENED).config_at("mounted/config.yaml");
    let folder = serve.path("mounted");
    fs::create_dir_all(folder.join("..1")).expect("a folder");
    fs::write(folder.join("..1/config.yaml"), HARDENED).expect("written");
    symlink("..1", folder.join("..data")).expect("a link");
    symlink("..data/config.yaml", folder.join("config.yaml")).expect("a link");
    let server = serve.start();
    assert!(!allowed(&server, "one"));

    fs::create_dir(folder.join("..2")).expect("a folder");
    fs::write(folder.join("..2/config.yaml"), AUDIT).expect("written");
    symlink("..2", folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
    record(&server, "configuration", 1);
    assert!(allowed(&server, "two"));

    fs::write(folder.join("next"), HARDENED).expect("written");
    fs::rename(folder.join("next"), folder.join("config.yaml")).expect("renamed");
    record(&server, "configuration", 2);
    assert!(!allowed(&server, "three"));

    fs::write(folder.join("config.yaml"), AUDIT).expect("written");
    record(&server, "configuration", 3);
    assert!(allowed(&server, "four"));
}

#[test]
fn a_bad_file_keeps_the_last_good_one_and_says_every_error() {
    let server = Serve::new(HARDENED).start();
    let before = digest(&server);
    let bad = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofil: hardened\nceiling: loud\n\
               policies:\n  root-user: {mode: warn}\n  unpinned-images: {mode: 7}\n";
    fs::write(server.path("config.yaml"), bad).expect("written");
    let refused = record(&server, "configuration-refused", 1);
    let errors: Vec<&str> = refused["errors"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for wanted in ["config.yaml:3:1: profil", "config.yaml:4:", "config.yaml:6:", "config.yaml:7:"] {
        assert!(errors.iter().any(|error| error.contains(wanted)), "{wanted}: {errors:#?}");
    }
    assert_eq!(refused["configuration"], before.as_str());
    assert_eq!(digest(&server), before);
    assert!(!allowed(&server, "after"));
    assert_eq!(server.metric("portcullis_configuration_reloads_total{result=\"refused\"}"), Some(1.0));
    assert_eq!(server.metric("portcullis_configuration_reloads_total{result=\"taken\"}"), Some(0.0));
    let said = "the changed configuration is refused; the last good one stays";
    let line = until("the log line", || server.logs().into_iter().find(|line| line["message"] == said));
    assert!(line["error"].as_str().is_some_and(|error| error.contains("profil") && error.contains("root-users")));

    // A file that is gone is a bad file too; a good one ends it.
    fs::remove_file(server.path("config.yaml")).expect("removed");
    record(&server, "configuration-refused", 2);
    assert!(!allowed(&server, "gone"));
    fs::write(server.path("config.yaml"), AUDIT).expect("written");
    record(&server, "configuration", 1);
    assert!(allowed(&server, "good"));
}

#[test]
fn a_weaker_file_is_recorded_with_policy_namespace_and_modes() {
    let server = Serve::new(HARDENED).start();
    let old = digest(&server);
    let weaker = format!(
        "{HARDENED}  root-users: {{mode: warn}}\nnamespaces:\n- match: {{names: [payments]}}\n  relax: true\n  \
         policies:\n    unpinned-images: {{mode: audit}}\n    root-users: {{mode: off}}\n"
    );
    fs::write(server.path("config.yaml"), weaker).expect("written");
    let change = record(&server, "configuration", 1);
    let new = digest(&server);
    assert_ne!(old, new);
    assert_eq!((&change["old"], &change["configuration"]), (&json!(old), &json!(new)));
    assert_eq!(
        change["weaker"],
        json!([
            {"policy": "root-users", "namespace": "*", "change": "mode", "from": "enforce", "to": "warn"},
            {"policy": "unpinned-images", "namespace": "payments", "change": "mode", "from": "enforce", "to": "audit"},
            {"policy": "root-users", "namespace": "payments", "change": "mode", "from": "enforce", "to": "off"},
        ])
    );
    assert_eq!(server.metric(&format!("portcullis_configuration_info{{digest=\"{new}\"}}")), Some(1.0));
    assert_eq!(server.metric(&format!("portcullis_configuration_info{{digest=\"{old}\"}}")), None);
    allowed(&server, "later");
    assert_eq!(server.event("later")["configuration"], new.as_str());
}

#[test]
fn a_stronger_file_makes_nothing_weaker() {
    let server = Serve::new(AUDIT).start();
    fs::write(server.path("config.yaml"), HARDENED).expect("written");
    assert_eq!(record(&server, "configuration", 1)["weaker"], json!([]));
}

#[test]
fn a_trail_moved_by_a_reload_is_said_to_wait_for_the_next_start() {
    let server = Serve::new(HARDENED).start();
    fs::write(server.path("config.yaml"), format!("{HARDENED}trail: {{file: trail.jsonl}}\n")).expect("written");
    record(&server, "configuration", 1);
    until("the warning", || server.stderr().contains("a change of trail takes effect at the next start").then_some(()));
    assert!(!server.path("trail.jsonl").exists());
}

#[test]
fn no_request_fails_while_two_hundred_reloads_happen() {
    const RELOADS: usize = 200;
    let server = Serve::new(&format!("# 000\n{HARDENED}")).start();
    let ends = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = BOTH
        .into_iter()
        .map(|protocol| {
            let (client, ends, done) = (server.client(), Arc::clone(&ends), Arc::clone(&done));
            std::thread::spawn(move || {
                block(async {
                    let mut connection = client.connect(protocol).await.expect("a connection");
                    while !ends.load(Ordering::Relaxed) {
                        let uid = format!("{protocol:?}-{}", done.fetch_add(1, Ordering::Relaxed));
                        let asked = review(&uid, "default", &bad_pod());
                        let answer = connection.review("/validate", &asked).await.expect("an answer").response();
                        assert_eq!(answer["uid"], uid.as_str());
                        // Every version of the file refuses it: one that allows it has shown half of itself.
                        assert_eq!(answer["allowed"], false);
                    }
                });
            })
        })
        .collect();
    for turn in 1..=RELOADS {
        // As long as the one before: a write in place is then one step, and no reader sees half of it.
        let text = format!("# {turn:03}\n{HARDENED}");
        if turn % 2 == 0 {
            fs::write(server.path("next"), text).expect("written");
            fs::rename(server.path("next"), server.path("config.yaml")).expect("renamed");
        } else {
            let file = fs::OpenOptions::new().write(true).open(server.path("config.yaml"));
            file.expect("opened").write_all(text.as_bytes()).expect("written");
        }
        let taken = "portcullis_configuration_reloads_total{result=\"taken\"}";
        until("the reload", || (server.metric(taken) >= Some(f64::from(u32::try_from(turn).ok()?))).then_some(()));
    }
    ends.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().expect("no request fails");
    }
    assert!(done.load(Ordering::Relaxed) >= RELOADS);
    assert_eq!(server.metric("portcullis_configuration_reloads_total{result=\"refused\"}"), Some(0.0));
    assert_eq!(records(&server, "configuration").len(), RELOADS);
}
