//! Callers who keep what others need: answers that they do not read, and connections that they do not use.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as Plain};

use futures::future::join_all;
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;

use crate::bad::is_sound;
use crate::serve::client::{BOTH, Protocol, block, pieces, whole};
use crate::serve::{HARDENED, PATIENCE, Serve, Server, bad_pod, good_pod, review, until, until_within};

/// Maximum number of bytes held for one address whose caller is unknown.
const SHARE: f64 = 8.0 * 1024.0 * 1024.0;
/// Connections that were cut because their answers were not read.
const UNREAD: &str = r#"portcullis_connections_cut_total{reason="unread"}"#;
/// Addresses of attackers; honest callers come from 127.0.0.1.
pub(crate) const ATTACKERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3))];

/// A Pod of many containers: each gets its defaults, so that the answer is long.
pub(crate) fn wide(containers: usize) -> Value {
    let mut pod = bad_pod();
    let container = |number| json!({"name": format!("c{number}"), "image": "nginx:latest"});
    pod["spec"]["containers"] = (0..containers).map(container).collect();
    pod
}

pub(crate) fn with_defaults() -> Serve {
    Serve::new(&HARDENED.replace("policies:", "defaults: all\npolicies:"))
}

/// Resident memory and its peak, in MiB.
pub(crate) fn memory(server: &Server) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("its status");
    let mebibytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).expect("a number") / 1024
    };
    (mebibytes("VmRSS:"), mebibytes("VmHWM:"))
}

/// Prints what an attack cost (`--no-capture` shows it).
fn print(server: &Server, what: &str) {
    let (now, peak) = memory(server);
    let metric = |name: &str| server.metric(name).unwrap_or_default();
    let (shed, held) = (metric("portcullis_reviews_shed_total"), metric("portcullis_reviews_held_bytes"));
    let unread = metric(UNREAD);
    println!("{what}: RSS {now} MiB, peak {peak} MiB, shed {shed}, held {held} bytes, cut {unread}");
}

/// An honest review, on a connection of its own.
fn is_answered(server: &Server, uid: &str) {
    for protocol in BOTH {
        let body = review(uid, "default", &good_pod()).to_string().into_bytes();
        let answer = server.client().post(protocol, "/validate", body).expect("an answer").response();
        assert_eq!((&answer["uid"], &answer["allowed"]), (&json!(uid), &json!(true)));
    }
    assert_eq!(server.get("/livez").0, 200);
}

/// A runtime that runs on beside the test.
pub(crate) fn beside() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// The bytes that are held for reviews, and for answers that are not sent.
fn held(server: &Server) -> f64 {
    server.metric("portcullis_reviews_held_bytes").expect("a metric")
}

#[test]
fn answers_that_nobody_reads_over_http2_are_bounded_and_their_connections_cut() {
    const CONNECTIONS: u32 = 2;
    const STREAMS: usize = 100;
    let mut server = with_defaults().start();
    print(&server, "before");
    let runtime = beside();
    let client = server.client().from(ATTACKERS[0]);
    let body = review("unread", "default", &wide(500)).to_string();
    let answers = runtime.block_on(async {
        let mut answers = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TokioIo::new(client.secure(&[b"h2"]).await.expect("a connection"));
            let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(0);
            let (sender, connection) = builder.handshake(stream).await.expect("a connection");
            tokio::spawn(connection);
            let asking = (0..STREAMS).map(|_| {
                let (mut sender, body) = (sender.clone(), body.clone());
                async move {
                    let request = Request::post("https://localhost/mutate").body(whole(body)).expect("a request");
                    sender.ready().await?;
                    // The headers of the answer come; nobody lets the rest of it come.
                    sender.send_request(request).await
                }
            });
            answers.extend(join_all(asking).await);
        }
        answers
    });
    print(&server, "unread answers over HTTP/2");
    assert!(held(&server) <= SHARE, "{} bytes are held", held(&server));
    is_answered(&server, "honest");
    until("their end", || (server.metric(UNREAD) == Some(f64::from(CONNECTIONS))).then_some(()));
    until("no bytes held", || (held(&server) < 1.0).then_some(()));
    assert!(answers.iter().any(Result::is_ok), "none of the answers was ever there");
    print(&server, "after");
    is_sound(&mut server);
}

#[test]
fn answers_that_nobody_reads_over_http1_are_bounded_and_their_connections_cut() {
    const CONNECTIONS: u32 = 40;
    let mut server = with_defaults().start();
    print(&server, "before");
    let runtime = beside();
    let client = server.client().from(ATTACKERS[0]);
    let body = review("unread", "default", &wide(500)).to_string();
    let head = format!("POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = Bytes::from(head + &body);
    let ended = (0..CONNECTIONS).map(|_| {
        let mut stream = runtime.block_on(client.secure(&[b"http/1.1"])).expect("a connection");
        let request = request.clone();
        // One request after the other is written until the server ends the connection; no answer is read.
        runtime.spawn(async move { while stream.write_all(&request).await.is_ok() {} })
    });
    let ended: Vec<_> = ended.collect();
    let most = until("answers", || Some(held(&server)).filter(|held| *held > 0.0));
    assert!(most <= SHARE, "{most} bytes are held");
    print(&server, "unread answers over HTTP/1.1");
    is_answered(&server, "honest");
    // Each of them takes a dozen decisions before it holds an answer that nobody takes.
    until_within(5 * PATIENCE, "their end", || ended.iter().all(tokio::task::JoinHandle::is_finished).then_some(()));
    until("no bytes held", || (held(&server) < 1.0).then_some(()));
    let cut = server.metric(UNREAD).expect("a metric");
    assert!((1.0..=f64::from(CONNECTIONS)).contains(&cut), "{cut} connections were cut");
    print(&server, "after");
    is_sound(&mut server);
}

#[test]
fn requests_of_one_address_are_bounded_over_http2_too() {
    const CONNECTIONS: usize = 11;
    const STREAMS: usize = 100;
    let mut server = Serve::new(HARDENED).start();
    let client = server.client().from(ATTACKERS[0]);
    let statuses = block(async {
        let mut statuses = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = client.connect(Protocol::Http2).await.expect("a connection");
            for _ in 0..STREAMS {
                let mut connection = connection.another().expect("HTTP/2");
                statuses.push(tokio::spawn(async move {
                    let parts = vec![Bytes::from_static(b"{"), Bytes::from_static(b"}")];
                    let body = pieces(parts, PATIENCE);
                    let answer = connection.send(Method::POST, "/validate", body).await;
                    answer.map(|answer| (answer.status, answer.body.len())).ok()
                }));
            }
        }
        join_all(statuses).await
    });
    let statuses: Vec<_> = statuses.into_iter().filter_map(|status| status.expect("its end")).collect();
    let turned_away = statuses.iter().filter(|answer| **answer == (503, 0)).count();
    assert!((76..=200).contains(&turned_away), "{turned_away} of {} were turned away", statuses.len());
    assert!(server.metric("portcullis_reviews_shed_total").expect("a metric") >= 76.0);
    is_answered(&server, "honest");
    is_sound(&mut server);
}

/// Secured connections that are never used.
pub(crate) fn unused(
    runtime: &Runtime,
    server: &Server,
    source: IpAddr,
    count: usize,
    alpn: &[u8],
) -> Vec<TlsStream<TcpStream>> {
    let client = server.client().from(source);
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(client.secure(&[alpn]).await.expect("a connection"));
        }
        streams
    })
}

#[test]
fn unused_connections_make_room_and_those_that_were_answered_stay() {
    // Few descriptors make few places: 160 on the port for reviews, 80 for an address.
    let mut server = Serve::new(HARDENED).descriptors(256, 256).start();
    let runtime = beside();
    let (mut one, mut other) = runtime.block_on(async {
        let client = server.client();
        let connect = async |protocol| client.connect(protocol).await.expect("a connection");
        (connect(Protocol::Http1).await, connect(Protocol::Http2).await)
    });
    let mut ask = |uid: &str| {
        for connection in [&mut one, &mut other] {
            let asked = review(uid, "default", &good_pod());
            let answer = runtime.block_on(connection.review("/validate", &asked));
            assert_eq!(answer.expect("an answer").response()["uid"], uid);
        }
    };
    ask("first");
    let mut told = unused(&runtime, &server, ATTACKERS[0], 1, b"h2").remove(0);
    let began = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    runtime.block_on(told.write_all(&began)).expect("sent");
    let http1 = unused(&runtime, &server, ATTACKERS[0], 100, b"http/1.1");
    let http2 = unused(&runtime, &server, ATTACKERS[1], 100, b"h2");
    let later = unused(&runtime, &server, "127.0.0.4".parse().expect("an address"), 20, b"http/1.1");
    is_answered(&server, "honest");
    ask("second");

    // The first of them was told that it may not go on.
    let mut sent = Vec::new();
    let _ =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, told.read_to_end(&mut sent)).await.expect("its end") });
    assert!(frames(&sent).any(|frame| frame[3] == 7), "{sent:?}");

    let made_room = server.metric(r#"portcullis_connections_evicted_total{port="reviews"}"#).expect("a metric");
    assert!(made_room >= 60.0, "{made_room}");
    let (status, text) = server.get("/readyz?verbose");
    assert!(status == 200 && text.contains("[!]connections: "), "{text}");
    assert_eq!(server.metric("portcullis_connections_crowded"), Some(1.0));
    let line = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("short of room"));
    until("a line of the log", || server.logs().iter().any(line).then_some(()));
    assert!(server.logs().into_iter().filter(line).count() <= 2, "the log does not tell of each");
    drop((http1, http2, later));
    is_sound(&mut server);
}

/// The frames of an HTTP/2 connection.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [high, middle, low, ..] = *bytes else { return None };
        let length = 9 + u32::from_be_bytes([0, high, middle, low]) as usize;
        let (frame, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(frame)
    })
}

#[test]
fn connections_within_the_descriptors_leave_room_for_reviews_and_probes() {
    let mut server = Serve::new(HARDENED).descriptors(256, 256).start();
    let mut kept = Vec::new();
    for _ in 0..300 {
        // They say nothing, not even a handshake.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(ATTACKERS[0], 0).into()).expect("its address");
        socket.connect(&server.address.into()).expect("a connection");
        kept.push(socket);
    }
    is_answered(&server, "honest");
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its files").count();
    assert!(open < 256, "{open} files are open");
    assert!(!server.stderr().contains("could not be accepted"), "{}", server.stderr());
    is_sound(&mut server);
}

#[test]
fn kept_connections_on_the_admin_port_leave_room_for_probes() {
    let server = Serve::new(HARDENED).start();
    let mut kept = Vec::new();
    for number in 0..300 {
        let mut stream = Plain::connect(server.admin).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        if number % 2 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
            assert!(stream.read(&mut [0; 1_000]).expect("an answer") > 0);
        }
        kept.push(stream);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    assert!(server.metric(r#"portcullis_connections_evicted_total{port="admin"}"#).expect("a metric") >= 230.0);
}
