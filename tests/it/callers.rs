//! Who asks: tokens in the path, callers that nobody knows, and what they may take.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use portcullis::trail::{Class, TrailError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::golden::repository;
use crate::serve::client::{BOTH, Client};
use crate::serve::pki::Authority;
use crate::serve::{HARDENED, PATIENCE, Serve, Server, good_pod, review, run, spawn, text, until};
use crate::trail_spool::{event, settings, with_trail};

const NEW: &str = "new-token-0123456789abcdef0123456789";
const OLD: &str = "old-token-0123456789abcdef0123456789";
const NEXT: &str = "next-token_0123456789~abcdef.0123456";
const WRONG: &str = "wrong-token-0123456789abcdef012345";

/// As the kubelet mounts a Secret: the file is a link through `..data`, which is swapped.
fn mount(folder: &Path, version: &str, tokens: &str) {
    fs::create_dir(folder.join(version)).expect("a folder");
    fs::write(folder.join(version).join("tokens"), tokens).expect("written");
    symlink(version, folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
    if !folder.join("tokens").exists() {
        symlink("..data/tokens", folder.join("tokens")).expect("a link");
    }
}

fn guarded(args: &[&str]) -> Serve {
    let serve = Serve::new(&format!("{HARDENED}trail: {{file: trail.jsonl}}\n"))
        .args(["--path-token-file", "secrets/tokens"].iter().chain(args).copied());
    fs::create_dir(serve.path("secrets")).expect("a folder");
    mount(&serve.path("secrets"), "..1", &format!("{NEW}\n{OLD}\n"));
    serve
}

/// HTTP status of a review sent to a path, the same over both protocols.
fn status(client: &Client, path: &str) -> u16 {
    let body = review("asked", "default", &good_pod()).to_string();
    let answers = BOTH.map(|protocol| client.post(protocol, path, body.clone().into_bytes()).expect("an answer"));
    assert_eq!(answers[0].status, answers[1].status, "{path}");
    for answer in &answers {
        assert!(!answer.text().contains("-token"), "{}", answer.text());
    }
    answers[0].status
}

#[test]
fn a_token_in_the_path_is_what_a_caller_shows() {
    let server = guarded(&[]).start();
    let client = server.client();
    for token in [NEW, OLD] {
        for endpoint in ["validate", "mutate"] {
            assert_eq!(status(&client, &format!("/{endpoint}/{token}")), 200);
        }
    }
    let refused = ["/validate", "/mutate", "/validate/", "/validate/%ff", "/mutate/x"].map(str::to_owned);
    let wrong = [WRONG, &NEW[1..], &format!("{NEW}0"), &NEW.to_uppercase(), &format!("{NEW}%0a")]
        .map(|token| format!("/validate/{token}"));
    let mut turned_away = 0.0;
    for path in refused.iter().chain(&wrong) {
        let status = status(&client, path);
        assert!(status == 401 || (path == "/validate/" && status == 404), "{path}: {status}");
        turned_away += if status == 401 { 2.0 } else { 0.0 };
    }
    assert_eq!(server.metric("portcullis_requests_unauthorized_total"), Some(turned_away));
    let (_, metrics) = server.get("/metrics");
    let (_, ready) = server.get("/readyz?verbose");
    let (_, stdout, stderr, folder, _) = server.stop();
    let trail = fs::read_to_string(folder.path().join("trail.jsonl")).expect("read");
    let lines: Vec<serde_json::Value> = trail.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<_> = lines.iter().filter(|line| line.get("caller").is_some()).collect();
    assert_eq!(events.len(), 8, "none of those that were turned away");
    assert!(events.iter().all(|event| event["caller"] == "path"));
    // Which of the two it was, without a word of it.
    let fingerprints: Vec<&str> = events.iter().map(|event| event["callerName"].as_str().expect("a name")).collect();
    assert_eq!(fingerprints, [NEW, OLD].map(|token| vec![fingerprint(token); 4]).concat());
    let turned: Vec<_> = lines.iter().filter(|line| line["record"] == "turned-away").collect();
    let rows = turned.iter().flat_map(|record| record["callers"].as_array().expect("callers"));
    let count = |reason: &str| -> u64 {
        let rows = rows.clone().filter(|row| row["reason"] == reason && row["address"] == "127.0.0.1");
        rows.map(|row| row["count"].as_u64().expect("a count")).sum()
    };
    assert_eq!((count("nothing-shown"), count("unknown-token")), (4, 14));
    assert_eq!(rows.clone().count(), 2 * turned.len(), "a row an address and reason");
    assert!(turned.iter().all(|record| record["omitted"] == 0));
    for said in [&trail, &stdout, &stderr, &metrics, &ready] {
        for token in [NEW, OLD, "wrong-token"] {
            assert!(!said.contains(token), "{token}: {said}");
        }
    }
}

fn fingerprint(token: &str) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    let bytes = digest(&SHA256, token.as_bytes());
    let digits: String = bytes.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[test]
fn a_start_with_tokens_warns_that_they_leak_and_says_what_is_better() {
    let server = guarded(&[]).start();
    let warned: Vec<_> = server.logs().into_iter().filter(|line| line["level"] == "WARN").collect();
    let warned =
        warned.iter().filter_map(|line| line["message"].as_str()).find(|line| line.contains("--path-token-file"));
    let (_, help, _) = run(&["serve", "--help"], "");
    let readme = fs::read_to_string(repository("README.md")).expect("the README");
    let page = fs::read_to_string(repository("deploy/trail.md")).expect("the page");
    for said in [warned.expect("a warning"), &help, &readme, &page] {
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        // In this order.
        let words = ["audit log", "client certificates", "own", "source addresses"];
        let (_, said) = said.split_once("--path-token-file").expect("the option");
        words.iter().fold(said, |rest, word| rest.split_once(word).unwrap_or_else(|| panic!("{word}: {rest}")).1);
    }
}

#[test]
fn a_token_that_is_replaced_while_it_serves_counts_no_more() {
    let server = guarded(&[]).start();
    let client = server.client();
    let secrets = server.path("secrets");
    mount(&secrets, "..2", &format!("{NEXT}\n{NEW}\n"));
    let body = || review("next", "default", &good_pod()).to_string();
    until("the next token", || (server.post(&format!("/validate/{NEXT}"), body()).status == 200).then_some(()));
    assert_eq!(status(&client, &format!("/validate/{NEW}")), 200);
    assert_eq!(status(&client, &format!("/validate/{OLD}")), 401);
    // What cannot be used keeps the last good ones, and is not quoted.
    mount(&secrets, "..3", "hunter2 is no token\n");
    until("the complaint", || server.stderr().contains("the last good ones count").then_some(()));
    assert_eq!(status(&client, &format!("/validate/{NEXT}")), 200);
    let said = server.stderr();
    assert!(
        said.contains("the path tokens were replaced") && said.contains("--path-token-file secrets/tokens"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_caller_that_is_not_known_is_told_before_its_body_is_read() {
    let server = guarded(&[]).start();
    for (path, expects) in
        [("/validate", false), ("/mutate", true), ("/validate/wrong", true), ("/mutate/wrong", false)]
    {
        let mut stream = plain(&server).expect("connected");
        let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{expect}Content-Length: 1000000\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        // Not a byte of the body follows.
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            let count = stream.read(&mut buffer).expect("an answer");
            assert!(count > 0, "it ended");
            answer.extend_from_slice(&buffer[..count]);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    assert_eq!(server.metric("portcullis_requests_unauthorized_total"), Some(4.0));
}

/// A connection on which a test writes by hand.
fn plain(server: &Server) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(server.authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    Ok(StreamOwned::new(session, stream))
}

#[test]
fn a_certificate_or_a_token_is_enough() {
    let serve = guarded(&["--client-ca", "clients.pem"]);
    let clients = Authority::new("clients");
    fs::write(serve.path("clients.pem"), &clients.pem).expect("written");
    let server = serve.start();
    let pair = clients.issue(&["api-server"]);
    let known = Client::with(server.address, &server.authority, &[&rustls::version::TLS13], Some(&pair));
    assert_eq!(status(&known, "/validate"), 200);
    assert_eq!(status(&known, "/validate/wrong"), 200);
    let trail = fs::read_to_string(server.path("trail.jsonl")).expect("read");
    assert_eq!(trail.matches("\"caller\":\"certificate\"").count(), 4);
    assert!(!trail.contains("\"caller\":\"path\""));
    assert_eq!(trail.matches("\"caller\":\"certificate\",\"callerName\":\"api-server\",\"uid\"").count(), 4);
    // And a token is enough for who has none; a certificate of somebody else's is not passed over.
    let without = server.client();
    assert_eq!(status(&without, &format!("/validate/{NEW}")), 200);
    assert_eq!(status(&without, "/validate"), 401);
    assert_eq!(status(&without, &format!("/mutate/{WRONG}")), 401);
    let pair = Authority::new("strangers").issue(&["api-server"]);
    let stranger = Client::with(server.address, &server.authority, &[&rustls::version::TLS13], Some(&pair));
    let asked = review("asked", "default", &good_pod()).to_string().into_bytes();
    assert!(stranger.post(BOTH[0], &format!("/validate/{NEW}"), asked).is_err());
    let trail = fs::read_to_string(server.path("trail.jsonl")).expect("read");
    assert_eq!(trail.matches("\"caller\":\"path\"").count(), 2);
}

#[test]
fn tokens_that_cannot_be_used_at_the_start_are_named_and_not_shown() {
    for (tokens, wanted) in [
        ("", "must hold one token, or the new and the old one"),
        ("hunter2\n", "a token must be at least 32 letters, digits"),
        (&*format!("{NEW}\n{OLD}\n{NEXT}\n"), "must hold one token, or the new and the old one"),
        (&*format!("{NEW}/hunter2\n"), "openssl rand -hex 32"),
    ] {
        let serve = Serve::new(HARDENED).args(["--path-token-file", "tokens"]);
        fs::write(serve.path("tokens"), tokens).expect("written");
        let (mut child, _, stderr) = spawn(&mut serve.command());
        assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(2));
        until("its words", || text(&stderr).contains(wanted).then_some(()));
        let said = text(&stderr);
        assert!(
            said.contains("--path-token-file tokens: ") && !said.contains("hunter2") && !said.contains(NEW),
            "{said}"
        );
    }
}

#[test]
fn an_unknown_address_that_had_its_tenth_leaves_the_last_tenth_to_others() {
    let (one, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
    let line = event("uid-1").len() as u64 + 200;
    let whole = usize::try_from((1 << 20) / line).expect("a count");
    for is_stuck in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = settings(folder.path());
        settings.max_bytes = 1 << 20;
        settings.retention = [SignedDuration::from_hours(24); 3];
        with_trail(&settings, None, async |trail| {
            if is_stuck {
                trail.index().expect("a spool").register("stuck", [0; 3]);
            }
            let fill = async |source, most: usize| {
                for turn in 0..most {
                    match trail.record(Class::Refused, source, event(&format!("uid-{turn}"))).await {
                        Err(TrailError::Share | TrailError::Full) => return turn,
                        recorded => recorded.expect("a record"),
                    };
                }
                most
            };
            let taken = fill(one, 3 * whole).await;
            if is_stuck {
                assert!(taken >= whole * 7 / 10 && taken <= whole, "{taken} of {whole}");
                assert_eq!(fill(one, 1).await, 0, "not one more");
                assert!(fill(other, whole).await >= whole / 30, "another finds room");
            } else {
                // What every sink has taken makes room: who is alone is never held up.
                assert_eq!(taken, 3 * whole);
            }
            trail.stop().await.expect("a clean end");
        });
    }
}
