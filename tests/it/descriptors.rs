//! Open files: as many as the system allows, and files that cannot be read while there are none left.

use std::fs;
use std::process::Command;

use crate::serve::{AUDIT, HARDENED, Serve, Server, until};
use crate::trail_spool::pem;

/// The soft and the hard limit of its open files.
fn limits(server: &Server) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().expect("the soft one"), words.next().expect("the hard one"))
}

fn set_soft(server: &Server, soft: u64) {
    let set = Command::new("prlimit").args([&format!("--pid={}", server.pid()), &format!("--nofile={soft}:")]).status();
    assert!(set.expect("prlimit").success());
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let server = Serve::new(HARDENED).descriptors(256, 3_000).start();
    assert_eq!(limits(&server), ("3000".to_owned(), "3000".to_owned()));
}

#[test]
fn files_that_cannot_be_read_for_want_of_descriptors_are_read_later() {
    let serve = Serve::new("").args(["--path-token-file", "tokens", "--client-ca", "clients.crt"]);
    let (spool, key) = (serve.path("spool"), serve.path("key.pem"));
    let trail = format!("trail:\n  spool: {{directory: {}}}\n  key: {{file: {}}}\n", spool.display(), key.display());
    let write = |server: &Serve, config: &str, token: &str, seed| {
        fs::write(server.path("config.yaml"), format!("{config}{trail}")).expect("written");
        fs::write(server.path("tokens"), token.repeat(32)).expect("written");
        fs::write(server.path("clients.crt"), &server.authority().pem).expect("written");
        fs::write(server.path("key.pem"), pem(seed)).expect("written");
    };
    write(&serve, HARDENED, "a", 1);
    let next = tempfile::tempdir().expect("a folder");
    serve.authority().issue(&["localhost", "other"]).write(next.path());
    let server = serve.start();

    set_soft(&server, 3);
    fs::write(server.path("config.yaml"), format!("{AUDIT}{trail}")).expect("written");
    fs::write(server.path("tokens"), "b".repeat(32)).expect("written");
    fs::write(server.path("key.pem"), pem(2)).expect("written");
    for name in ["tls.crt", "tls.key"] {
        fs::copy(next.path().join(name), server.path(name)).expect("copied");
    }
    let waiting = |name: &str| {
        let is_it = |file: &str| file.ends_with(&format!("/{name}")) || file == name;
        server.logs().iter().any(|line| {
            line["message"] == "a file cannot be read for now; it is tried again"
                && line["file"].as_str().is_some_and(is_it)
        })
    };
    for name in ["config.yaml", "tokens", "key.pem", "clients.crt"] {
        until(&format!("a look at {name}"), || waiting(name).then_some(()));
    }
    set_soft(&server, 1_000);
    let taken = [
        "the configuration was replaced",
        "the path tokens were replaced",
        "another key signs checkpoints; this key verifies them",
        "the serving certificate was replaced",
    ];
    for message in taken {
        until(message, || server.logs().iter().any(|line| line["message"] == message).then_some(()));
    }
    let said = server.stderr();
    for wrong in ["is refused", "cannot be served", "cannot be used"] {
        assert!(!said.contains(wrong), "{said}");
    }
    let refused = r#"portcullis_configuration_reloads_total{result="refused"}"#;
    assert_eq!(until("the metrics", || server.metric(refused)).to_string(), "0");
}
