//! The end of a server: announced, in order, and in time.

use std::io::Read;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use hyper::Method;
use serde_json::json;

use crate::serve::client::{BOTH, Protocol, block, held};
use crate::serve::{HARDENED, Serve, Server, good_pod, review, until};

fn not_ready(server: &Server) {
    until("503", || (server.get("/readyz").0 == 503).then_some(()));
}

#[test]
fn sigterm_ends_an_idle_server_in_order() {
    let server = Serve::new(HARDENED).grace(4).start();
    let (status, stdout, stderr, ..) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let last = stdout.lines().last().expect("a line");
    assert!(last.contains("\"record\":\"stop\""), "{last}");
    assert!(stderr.contains("draining"));
}

#[test]
fn sigint_ends_it_too() {
    let mut server = Serve::new(HARDENED).grace(1).start();
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn readiness_ends_at_once_and_liveness_stays() {
    let server = Serve::new(HARDENED).grace(40).start();
    assert_eq!(server.get("/readyz"), (200, "ok\n".to_owned()));
    server.signal("TERM");
    until("the log line", || server.stderr().contains("draining").then_some(()));
    let (status, text) = server.get("/readyz");
    assert_eq!(status, 503);
    assert!(text.contains("[-]drain ending") && text.ends_with("not ready\n"), "{text}");
    assert_eq!(server.get("/livez").0, 200);
}

#[test]
fn while_it_drains_new_connections_are_served_and_told_to_close() {
    let server = Serve::new(HARDENED).grace(20).start();
    let (client, ask) = (server.client(), |uid: &str| review(uid, "default", &good_pod()));
    block(async {
        let mut old = client.connect(Protocol::Http1).await.expect("a connection");
        let answer = old.review("/validate", &ask("before")).await.expect("an answer");
        assert!(!answer.headers.contains_key("connection"));
        server.signal("TERM");
        not_ready(&server);
        let answer = old.review("/validate", &ask("during")).await.expect("an answer");
        assert_eq!(answer.headers["connection"], "close");
        assert!(old.review("/validate", &ask("after")).await.is_err());
        for protocol in BOTH {
            let mut new = client.connect(protocol).await.expect("a connection");
            let answer = new.review("/validate", &ask("new")).await.expect("an answer");
            assert_eq!(answer.response()["uid"], "new");
            assert_eq!(answer.headers.contains_key("connection"), protocol == Protocol::Http1);
        }
    });
}

#[test]
fn http2_connections_are_told_to_go_and_their_requests_finish() {
    let mut server = Serve::new(HARDENED).grace(4).start();
    block(async {
        let mut connection = server.client().connect(Protocol::Http2).await.expect("a connection");
        let mut second = connection.another().expect("HTTP/2");
        let (body, release) = held(&review("slow", "default", &good_pod()).to_string());
        let sending = connection.send(Method::POST, "/validate", body);
        let late = review("late", "default", &good_pod());
        let signalling = async {
            // What came before an answered request on the same connection has come.
            second.review("/validate", &late).await.expect("an answer");
            server.signal("TERM");
            // After GOAWAY, the client takes new requests elsewhere.
            while second.review("/validate", &late).await.is_ok() {}
            release.send(()).expect("it waits");
        };
        let (answer, ()) = tokio::join!(sending, signalling);
        assert_eq!(answer.expect("an answer").response()["uid"], "slow");
    });
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_request_in_flight_finishes_when_nothing_new_is_accepted() {
    let mut server = Serve::new(HARDENED).grace(4).start();
    block(async {
        // Begins before the end of the first quarter of the grace, and ends after it.
        let mut connection = server.client().connect(Protocol::Http1).await.expect("a connection");
        server.signal("TERM");
        let (body, release) = held(&review("slow", "default", &good_pod()).to_string());
        let sending = connection.send(Method::POST, "/validate", body);
        let looking = async {
            while TcpStream::connect(server.address).is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(server.get("/livez").0, 200, "probes are answered to the end");
            release.send(()).expect("it waits");
        };
        let (answer, ()) = tokio::join!(sending, looking);
        assert_eq!(answer.expect("an answer").response()["uid"], "slow");
    });
    assert_eq!(server.ended().code(), Some(0));
    let events = server.events();
    assert_eq!(events[1]["uid"], "slow");
    assert_eq!(events[2]["record"], "stop");
}

#[test]
fn a_connection_made_just_before_the_close_gets_its_first_request_through() {
    let mut server = Serve::new(HARDENED).grace(8).start();
    block(async {
        server.signal("TERM");
        not_ready(&server);
        // The server closes its door two seconds after the signal; these two come before that.
        let mut made = Vec::new();
        for protocol in BOTH {
            made.push(server.client().connect(protocol).await.expect("a connection"));
        }
        until("the close", || TcpStream::connect(server.address).is_err().then_some(()));
        // Within a second, or they are closed too: both at once.
        let late = review("late", "default", &good_pod());
        for answer in join_all(made.iter_mut().map(|connection| connection.review("/validate", &late))).await {
            assert_eq!(answer.expect("an answer").response()["uid"], "late");
        }
    });
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn all_of_two_hundred_requests_in_flight_are_answered() {
    const CONNECTIONS: usize = 10;
    const STREAMS: usize = 20;
    let mut server = Serve::new(HARDENED).grace(40).start();
    block(async {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(server.client().connect(Protocol::Http2).await.expect("a connection"));
        }
        let (mut asked, mut releases) = (Vec::new(), Vec::new());
        for connection in &mut connections {
            for _ in 0..STREAMS {
                let uid = asked.len().to_string();
                let (body, release) = held(&review(&uid, "default", &good_pod()).to_string());
                let mut stream = connection.another().expect("HTTP/2");
                asked.push(async move { (uid, stream.send(Method::POST, "/validate", body).await) });
                releases.push(release);
            }
        }
        let ending = async {
            // What came before an answered request on the same connection has come.
            for connection in &mut connections {
                let last = review("last", "default", &good_pod());
                connection.review("/validate", &last).await.expect("an answer");
            }
            server.signal("TERM");
            not_ready(&server);
            for release in releases {
                release.send(()).expect("it waits");
            }
        };
        let (answers, ()) = tokio::join!(join_all(asked), ending);
        assert_eq!(answers.len(), CONNECTIONS * STREAMS);
        for (uid, answer) in answers {
            let answer = answer.expect("an answer");
            assert_eq!((answer.response()["uid"].as_str(), &answer.response()["allowed"]), (Some(&*uid), &json!(true)));
        }
    });
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn silent_connections_do_not_hold_up_the_end() {
    let mut server = Serve::new(HARDENED).grace(4).start();
    let raw = TcpStream::connect(server.address).expect("connected");
    block(async {
        let mut open = Vec::new();
        for alpn in [b"http/1.1".as_slice(), b"h2"] {
            open.push(server.client().secure(&[alpn]).await.expect("a connection"));
        }
        let idle = server.client().connect(Protocol::Http2).await.expect("a connection");
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0));
        drop((open, idle));
    });
    drop(raw);
    assert!(server.stdout().lines().last().expect("a line").contains("\"record\":\"stop\""));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Serve::new(HARDENED).grace(600).start();
    server.signal("TERM");
    not_ready(&server);
    assert!(server.is_alive());
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_up_the_end() {
    let serve = Serve::new(HARDENED).grace(1);
    let mut child = serve.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let stdout = child.stdout.take().expect("a pipe");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    let address = loop {
        line.clear();
        std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
        let log: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if log["message"] == json!("serving") {
            break log["address"].as_str().expect("an address").parse().expect("an address");
        }
    };
    let reading = std::thread::spawn(move || stderr.read_to_string(&mut String::new()));
    let client = crate::serve::client::Client::new(address, serve.authority());
    // The pipe holds 64 KiB; then decisions cannot be recorded any more, and are refused.
    let asked = |turn: u32| review(&format!("{turn}{}", "u".repeat(8000)), "default", &good_pod()).to_string();
    let mut turn = 0;
    until("the first refusal", || {
        turn += 1;
        let answer = client.post(Protocol::Http2, "/validate?timeout=1s", asked(turn).into_bytes()).expect("an answer");
        let response = answer.response();
        (response["allowed"] == false).then(|| assert_eq!(response["status"]["code"], 503))
    });
    let sent = std::process::Command::new("kill").arg(child.id().to_string()).status();
    assert!(sent.expect("kill").success());
    let status = until("the end", || child.try_wait().expect("its state"));
    // No clean end of the trail: that is said by the exit code.
    assert_eq!(status.code(), Some(2));
    drop(stdout);
    reading.join().expect("joined").expect("read");
}

#[test]
fn logs_that_nobody_reads_end_nothing() {
    let serve = Serve::new(HARDENED);
    let mut child = serve.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    }
    let log: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    drop(stderr);
    let address = log["address"].as_str().expect("an address").parse().expect("an address");
    let client = crate::serve::client::Client::new(address, serve.authority());
    for uid in ["one", "two"] {
        let body = review(uid, "default", &good_pod()).to_string().into_bytes();
        let answer = client.post(Protocol::Http1, "/validate", body).expect("an answer");
        assert_eq!(answer.response()["allowed"], true);
    }
    child.kill().expect("killed");
    child.wait().expect("its end");
}
