//! Bodies that are too large, too slow or broken off, and requests that are no reviews.

use std::io;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bad::{in_order, is_sound, is_trouble_sent, outcome};
use crate::serve::client::{BOTH, Client, Protocol, block, pieces, whole};
use crate::serve::{HARDENED, PATIENCE, Serve, bad_pod, good_pod, review, until};

const MIB: usize = 1 << 20;

/// A review of this many bytes, with the canary among them.
fn large(uid: &str, bytes: usize) -> Vec<u8> {
    let mut pod = bad_pod();
    pod["metadata"]["annotations"] = json!({"note": crate::bad::CANARY.repeat(bytes / crate::bad::CANARY.len())});
    in_order(uid, &pod).into_bytes()
}

fn in_pieces(body: Vec<u8>, size: usize, pause: Duration) -> Vec<Bytes> {
    assert!(pause.is_zero() || body.len() / size < 1000, "too long a test");
    body.chunks(size).map(Bytes::copy_from_slice).collect()
}

#[test]
fn nine_mebibytes_of_known_length_keep_the_uid() {
    let said = is_trouble_sent(503, &BOTH, &|client, protocol, path, body| client.post(protocol, path, body), |uid| {
        large(uid, 9 * MIB)
    });
    assert!(said.contains("larger than 8388608 bytes"), "{said}");
}

#[test]
fn nine_mebibytes_in_chunks_keep_the_uid() {
    is_trouble_sent(
        503,
        &BOTH,
        &|client, protocol, path, body| {
            let body = pieces(in_pieces(body, 100_000, Duration::ZERO), Duration::ZERO);
            client.send(protocol, Method::POST, path, body)
        },
        |uid| large(uid, 9 * MIB),
    );
}

#[test]
fn seven_mebibytes_are_judged() {
    let mut server = Serve::new(HARDENED).start();
    for protocol in BOTH {
        let uid = format!("{protocol:?}");
        let answer = server.client().post(protocol, "/validate", large(&uid, 7 * MIB)).expect("an answer");
        assert_eq!(outcome(&server, &uid, &answer).event["decision"], "deny");
    }
    is_sound(&mut server);
}

#[test]
fn what_follows_the_front_of_a_large_body_does_not_change_its_uid() {
    // The kept front and a later piece must not be read as if one followed the other.
    let mut server = Serve::new(HARDENED).start();
    let mut body = large("mine", 9 * MIB);
    body.truncate(8 * MIB - 10);
    let forged = br#""}},"uid":"forged","kind":{"kind":"Other"}}} "#.repeat(1000);
    let parts = vec![Bytes::from(body), Bytes::from(forged)];
    let client = server.client();
    let sent = client.send(Protocol::Http2, Method::POST, "/validate", pieces(parts, Duration::ZERO));
    let outcome = outcome(&server, "mine", &sent.expect("an answer"));
    assert_eq!(outcome.response["allowed"], false);
    assert!(!server.stdout().contains("forged"));
    is_sound(&mut server);
}

/// Sends the front of a body and nothing more.
fn stall(client: &Client, protocol: Protocol, path: &str, body: Vec<u8>) -> io::Result<crate::serve::client::Answer> {
    let front = body[..body.len() - 10].to_vec();
    let parts = vec![Bytes::from(front), Bytes::from_static(b"too late")];
    client.send(protocol, Method::POST, path, pieces(parts, PATIENCE))
}

#[test]
fn a_body_that_does_not_end_is_answered_at_the_deadline_with_its_uid() {
    let said = is_trouble_sent(503, &BOTH, &stall, |uid| large(uid, 100_000));
    assert!(said.contains("not in time"), "{said}");
}

#[test]
fn a_body_that_stops_before_its_uid_is_http_408() {
    let mut server = Serve::new(HARDENED).start();
    for protocol in BOTH {
        let body = b"{\"kind\":\"AdmissionReview\",     ".to_vec();
        assert_eq!(stall(&server.client(), protocol, "/validate?timeout=1s", body).expect("an answer").status, 408);
    }
    is_sound(&mut server);
}

#[test]
fn a_body_that_breaks_off_harms_nobody() {
    let mut server = Serve::new(HARDENED).start();
    block(async {
        let body = large("broken", 10_000);
        let mut stream = server.client().secure(&[b"http/1.1"]).await.expect("a connection");
        let head = format!("POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body[..5000]).await.expect("sent");
        drop(stream);
        // Framing that is no HTTP: there is somebody to answer.
        let mut stream = server.client().secure(&[b"http/1.1"]).await.expect("a connection");
        let head = "POST /validate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("sent");
        stream.write_all(b"\r\nno chunk\r\n").await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("an end").expect("an answer");
        let answer = String::from_utf8(answer).expect("UTF-8");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"uid\":\"broken\""), "{answer}");
    });
    is_sound(&mut server);
    until("no connection", || (server.metric("portcullis_connections") == Some(0.0)).then_some(()));
}

#[test]
fn headers_that_do_not_come_end_the_connection() {
    let mut server = Serve::new(HARDENED).start();
    block(async {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // HEADERS whose block goes on in a frame that does not come, and half of such a frame's own header.
        let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83];
        let began = [
            b"POST /validate HTTP/1.1\r\nHost: a\r\nX-Slow: ".to_vec(),
            preface.to_vec(),
            [&preface[..], &settings, &headers].concat(),
            [&preface[..], &settings, &headers[..5]].concat(),
        ];
        let mut streams = Vec::new();
        for (alpn, bytes) in [b"http/1.1".as_slice(), b"h2", b"h2", b"h2"].into_iter().zip(&began) {
            let mut stream = server.client().secure(&[alpn]).await.expect("a connection");
            stream.write_all(bytes).await.expect("sent");
            streams.push(stream);
        }
        for mut stream in streams {
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
            // The end may come without TLS's own goodbye.
            let _ = read.expect("an end within the deadline");
        }
    });
    is_sound(&mut server);
    until("no connection", || (server.metric("portcullis_connections") == Some(0.0)).then_some(()));
}

#[test]
fn headers_that_are_too_many_or_no_http_are_refused() {
    let mut server = Serve::new(HARDENED).start();
    block(async {
        let many = format!("POST /validate HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
        for (request, statuses) in [(many.as_str(), ["431", "431"]), ("SSH-2.0-OpenSSH_9.6\r\n\r\n", ["400", "400"])] {
            let mut stream = server.client().secure(&[b"http/1.1"]).await.expect("a connection");
            let _ = stream.write_all(request.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(statuses.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))), "{answer}");
        }
    });
    is_sound(&mut server);
}

#[test]
fn other_methods_are_405_and_other_paths_404() {
    let mut server = Serve::new(HARDENED).start();
    for protocol in BOTH {
        let client = server.client();
        let sent = |method, path: &str| client.send(protocol, method, path, whole("")).expect("an answer");
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            for path in ["/validate", "/mutate"] {
                let answer = sent(method.clone(), path);
                assert_eq!(
                    (answer.status, answer.headers["allow"].to_str().ok()),
                    (405, Some("POST")),
                    "{method} {path}"
                );
            }
        }
        for path in ["/", "/validate/", "/readyz", "/metrics", "/validate2", "/%2e%2e/validate"] {
            assert_eq!(sent(Method::POST, path).status, 404, "{path}");
            assert_eq!(sent(Method::GET, path).status, 404, "{path}");
        }
    }
    assert_eq!(server.events().len(), 1, "only the start");
    is_sound(&mut server);
}

#[test]
fn the_content_type_does_not_matter() {
    let server = Serve::new(HARDENED).start();
    block(async {
        let body = review("plain", "default", &good_pod()).to_string();
        let mut stream = server.client().secure(&[b"http/1.1"]).await.expect("a connection");
        let head = format!(
            "POST /validate HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(String::from_utf8_lossy(&answer).contains("\"allowed\":true"));
    });
}

/// Asserts that memory stays within a few times what came: the process's own account of its peak.
fn peak_is_below(server: &crate::serve::Server, mebibytes: u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("an account");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kibibytes < mebibytes << 10, "{kibibytes} kB");
}

#[test]
fn a_body_of_tiny_items_is_no_bomb() {
    let mut server = Serve::new(HARDENED).start();
    let list = |item: &str, bytes: usize| vec![item; bytes / (item.len() + 1)].join(",");
    let full = "more and smaller items than Kubernetes takes";
    let spec = |text: String| format!(r#"{{"spec":{{{text}}}}}"#);
    let first = |text: String| spec(format!(r#""containers":[{{{text}}}]"#));
    let bombs = [
        ("containers", spec(format!(r#""containers":[{}]"#, list("{}", 7 * MIB))), full),
        ("contexts", spec(format!(r#""containers":[{}]"#, list(r#"{"securityContext":{}}"#, 7 * MIB))), full),
        ("volumes", spec(format!(r#""volumes":[{}]"#, list(r#"{"image":{}}"#, 7 * MIB))), "unpinned-images"),
        ("sources", spec(format!(r#""volumes":[{}]"#, list(r#"{"a":1,"b":1}"#, 7 * MIB))), full),
        ("mounts", first(format!(r#""volumeMounts":[{}]"#, list("{}", 7 * MIB))), full),
        ("limits", first(format!(r#""resources":{{"limits":{{{}}}}}"#, list(r#""":1"#, 7 * MIB))), "must be set"),
        ("escapes", spec(format!(r#""nodeSelector":{{{}}}"#, list(r#""\n":"\n""#, 7 * MIB))), full),
        ("labels", format!(r#"{{"metadata":{{"labels":{{{}}}}}}}"#, list(r#""":"""#, 7 * MIB)), full),
        (
            "image",
            first(format!(
                r#""image":"{}","securityContext":{{"capabilities":{{"add":[{}]}}}}"#,
                "a".repeat(7 * MIB),
                list(r#""a""#, 800)
            )),
            "undropped-capabilities",
        ),
        (
            "capabilities",
            format!(
                r#"{{"spec":{{"containers":[{}]}}}}"#,
                list(
                    &format!(r#"{{"securityContext":{{"capabilities":{{"add":[{}]}}}}}}"#, list(r#""a""#, 4000)),
                    3 * MIB
                )
            ),
            "undropped-capabilities",
        ),
    ];
    for (uid, object, wanted) in bombs {
        let body = crate::bad::in_order(uid, &json!("OBJECT")).replace("\"OBJECT\"", &object);
        let answer = server.client().post(Protocol::Http2, "/validate", body.into_bytes()).expect("an answer");
        let outcome = outcome(&server, uid, &answer);
        assert_eq!(outcome.response["allowed"], false);
        let message = outcome.response["status"]["message"].as_str().expect("a message");
        let said = message.to_owned() + &outcome.event["findings"].to_string();
        assert!(said.contains(wanted), "{uid}: {}", &said[..said.len().min(1000)]);
        assert!(answer.body.len() < 100_000 && outcome.event.to_string().len() < 10 * MIB);
    }
    is_sound(&mut server);
    peak_is_below(&server, 320);
}
