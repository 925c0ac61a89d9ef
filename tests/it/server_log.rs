//! Log lines that strangers can cause: their number is bounded, and none names the machine that built the server.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::serve::client::{BOTH, Client, Protocol, block, whole};
use crate::serve::{HARDENED, Serve, bad_pod, json_lines, review, spawn, text, until};

/// Lines of the same warning within a minute.
const LINES: u64 = 30;

#[test]
fn the_same_warning_is_not_written_without_an_end_and_the_rest_are_counted() {
    const SENT: u64 = 200;
    let warning = "a request held no uid to answer to";
    let server = Serve::new(HARDENED).start();
    block(async {
        let mut connection = server.client().connect(Protocol::Http2).await.expect("a connection");
        for _ in 0..SENT {
            let answer = connection.send(hyper::Method::POST, "/validate", whole("{}")).await.expect("an answer");
            assert_eq!(answer.status, 400);
        }
    });
    // Another one is written all the same.
    server.post("/validate", review("after", "default", &bad_pod()).to_string()).response();
    let (_, _, stderr, _folder, _) = server.stop();
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let written = stderr.matches(warning).count() as u64 - u64::from(stderr.contains("\"suppressed\""));
    let counts = lines.iter().filter(|line| line["of"] == warning);
    let suppressed: u64 = counts.map(|line| line["suppressed"].as_u64().expect("a count")).sum();
    // On a slow machine a second minute may have begun.
    assert!((LINES..=2 * LINES).contains(&written), "{written} lines");
    assert_eq!(written + suppressed, SENT);
    assert!(lines.iter().any(|line| line["message"] == "decided" && line["uid"] == "after"));
}

/// Does to a server what strangers do: no TLS, an old one, a name that is none, half a request, no review.
fn provoke(address: SocketAddr, client: &Client) {
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\x05hello", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""]
    {
        let _ = TcpStream::connect(address).expect("connected").write_all(bytes);
    }
    for arguments in [&["-servername", "bad..name"][..], &["-servername", "bad_name."], &["-tls1_1"], &["-alpn", "x"]] {
        let asked = Command::new("openssl")
            .args(["s_client", "-connect", &address.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        asked.expect("openssl runs");
    }
    for protocol in BOTH {
        for body in ["", "{}", "not JSON", "{\"request\":{\"uid\":\"a\"}}"] {
            let _ = client.post(protocol, "/validate", body.as_bytes().to_vec());
            let _ = client.post(protocol, "/nowhere", body.as_bytes().to_vec());
        }
    }
}

#[test]
fn no_line_names_a_folder_of_the_machine_that_built_the_program() {
    for filter in ["info", "trace"] {
        let serve = Serve::new(HARDENED);
        let mut command = serve.command();
        let (_child, _, stderr) = spawn(command.env("PORTCULLIS_LOG", filter));
        let line = until("it serves", || json_lines(&stderr).into_iter().find(|line| line["message"] == "serving"));
        let address = line["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let client = Client::new(address, serve.authority());
        provoke(address, &client);
        // The library that speaks TLS logs through the crate `log`, and says where its source lay.
        let warned = until("a warning of a name", || {
            json_lines(&stderr)
                .into_iter()
                .find(|line| line["target"].as_str().is_some_and(|by| by.starts_with("rustls")))
        });
        assert!(warned["level"].is_string() && warned["message"].is_string() && warned["timestamp"].is_string());
        let said = text(&stderr);
        for place in [env!("CARGO_MANIFEST_DIR"), "/registry/", ".cargo", "/rustc/", "log.file", ".rs\""] {
            let found = said.lines().find(|line| line.contains(place));
            assert_eq!(found, None, "{place}");
        }
    }
}
