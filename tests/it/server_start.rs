//! The start of a server whose configuration file cannot be used: unready until it can, or on the last good configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use crate::deploy::program::{Program, get};
use crate::serve::{HARDENED, Serve, good_pod, review, until};

/// A configuration with two errors.
const BAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofil: hardened\nceiling: loud\n";
/// The option that keeps the last good configuration in the server's folder.
const FALLBACK: &str = "--fallback-to-last-good=last-good.yaml";

/// A server that was started with an unusable configuration, and its admin port.
pub(crate) struct Waiting {
    program: Program,
    admin: SocketAddr,
    config: PathBuf,
    _serve: Serve,
}

/// Starts a server, and waits until it has refused its configuration.
pub(crate) fn start(serve: Serve) -> Waiting {
    let program = Program::spawn(&mut serve.command());
    let line = program.says(&["the configuration cannot be used"]);
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let admin = line["admin"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    Waiting { program, admin, config: serve.path("config.yaml"), _serve: serve }
}

impl Waiting {
    /// Its log, and the answer of its `/readyz`.
    pub(crate) fn said(&self) -> [String; 2] {
        let (_, answer) = until("its answer", || Some(get(self.admin, "/readyz")).filter(|(status, _)| *status == 503));
        assert!(self.program.records().is_empty(), "it records nothing");
        [self.program.log(), answer]
    }

    /// Waits until `/readyz` answers 503 with a text that holds this.
    #[track_caller]
    fn not_ready(&self, part: &str) {
        until(part, || {
            let (status, text) = get(self.admin, "/readyz");
            (status == 503 && text.starts_with("[-]configuration ") && text.contains(part)).then_some(())
        });
    }
}

#[test]
fn a_server_with_an_unusable_configuration_is_alive_and_not_ready_until_it_can_be_used() {
    for bad in [Some(BAD), None] {
        let serve = Serve::new(BAD);
        if bad.is_none() {
            fs::remove_file(serve.path("config.yaml")).expect("removed");
        }
        let waiting = start(serve);
        waiting.not_ready(if bad.is_some() { "config.yaml:3:1: profil" } else { "No such file" });
        assert_eq!(get(waiting.admin, "/livez"), (200, "ok\n".to_owned()));
        let (status, metrics) = get(waiting.admin, "/metrics");
        assert!(status == 200 && metrics.contains("\nportcullis_configuration_refused 1\n"), "{metrics}");
        assert!(!metrics.contains("portcullis_configuration_info{"), "{metrics}");
        // Another error is said too.
        fs::write(&waiting.config, "kind: [\n").expect("written");
        waiting.not_ready("config.yaml:");
        fs::write(&waiting.config, HARDENED).expect("written");
        let (_, admin) = waiting.program.addresses();
        assert_eq!(admin, waiting.admin);
        until("readiness", || (get(admin, "/readyz") == (200, "ok\n".to_owned())).then_some(()));
        assert_eq!(waiting.program.metric("portcullis_configuration_refused"), Some(0.0));
    }
}

#[test]
fn a_server_that_waits_for_a_configuration_ends_in_order() {
    let mut waiting = start(Serve::new(BAD));
    let sent = std::process::Command::new("kill").arg(waiting.program.pid().to_string()).status();
    assert!(sent.expect("kill").success());
    assert_eq!(waiting.program.ended().0, Some(0));
}

#[test]
fn without_the_option_the_last_good_configuration_is_neither_kept_nor_used() {
    let serve = Serve::new(BAD);
    fs::write(serve.path("last-good.yaml"), HARDENED).expect("written");
    start(serve).not_ready("profil");
    let server = Serve::new(HARDENED).start();
    assert!(!server.path("last-good.yaml").exists());
}

#[test]
fn a_server_starts_on_the_last_good_configuration_and_says_so() {
    let serve = Serve::new(BAD).args([FALLBACK]).with_authority(|folder, _| {
        fs::write(folder.join("last-good.yaml"), HARDENED).expect("written");
    });
    let server = serve.start();
    let (status, text) = server.get("/readyz?verbose");
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.starts_with("[!]configuration-file: ")).expect("a line");
    assert!(line.contains("is in force, since the start: ") && line.contains("config.yaml:3:1: profil"), "{line}");
    assert_eq!(server.metric("portcullis_configuration_fallback"), Some(1.0));
    assert_eq!(server.metric("portcullis_configuration_refused"), Some(1.0));
    let record =
        until("its record", || server.events().into_iter().find(|record| record["record"] == "configuration-fallback"));
    assert_eq!(record["errors"].as_array().map(Vec::len), Some(2), "{record}");
    assert!(server.stderr().contains("the server starts on the last good one"));
    // It judges by the last good one.
    let refused = server.post("/validate", review("bad", "default", &serde_json::json!({"spec": {}})).to_string());
    assert_eq!(refused.response()["allowed"], false);
    let admitted = server.post("/validate", review("good", "default", &good_pod()).to_string());
    assert_eq!(admitted.response()["allowed"], true);
    assert_eq!(fs::read_to_string(server.path("last-good.yaml")).expect("kept"), HARDENED);

    let mended = format!("{HARDENED}  root-users: {{mode: warn}}\n");
    fs::write(server.path("config.yaml"), &mended).expect("written");
    until("it is over", || (server.metric("portcullis_configuration_fallback") == Some(0.0)).then_some(()));
    assert_eq!(server.metric("portcullis_configuration_refused"), Some(0.0));
    assert!(server.get("/readyz?verbose").1.contains("[+]configuration-file in force\n"));
    assert_eq!(fs::read_to_string(server.path("last-good.yaml")).expect("kept"), mended);
}

#[test]
fn every_good_configuration_becomes_the_last_good_one_and_a_bad_one_does_not() {
    let server = Serve::new(HARDENED).args([FALLBACK]).start();
    let kept = || fs::read_to_string(server.path("last-good.yaml")).expect("kept");
    until("it is kept", || (kept() == HARDENED).then_some(()));
    fs::write(server.path("config.yaml"), BAD).expect("written");
    until("it is refused", || (server.metric("portcullis_configuration_refused") == Some(1.0)).then_some(()));
    assert!(server.get("/readyz?verbose").1.contains("[!]configuration-file: has errors; "));
    assert_eq!(kept(), HARDENED);
    let mended = format!("{HARDENED}# mended\n");
    fs::write(server.path("config.yaml"), &mended).expect("written");
    until("it is kept", || (kept() == mended).then_some(()));
}

#[test]
fn where_there_is_no_last_good_configuration_the_server_waits() {
    let waiting = start(Serve::new(BAD).args([FALLBACK]));
    waiting.not_ready("not started on the last good one: there is no last good configuration at last-good.yaml");
    // One that has errors too is none.
    fs::write(waiting.config.with_file_name("last-good.yaml"), BAD).expect("written");
    waiting.not_ready("the last good configuration cannot be used: last-good.yaml:3:1: profil");
    fs::write(&waiting.config, HARDENED).expect("written");
    waiting.program.addresses();
}
