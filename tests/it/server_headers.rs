//! Headers that every answer of both ports carries, whatever its status.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use hyper::Method;

use crate::serve::client::{BOTH, whole};
use crate::serve::{HARDENED, PATIENCE, Serve, bad_pod, good_pod, review};

const HEADERS: [(&str, &str); 2] = [("x-content-type-options", "nosniff"), ("cache-control", "no-store")];

#[test]
fn every_answer_to_a_review_says_what_it_is_and_that_nobody_keeps_it() {
    let serve = Serve::new(HARDENED).args(["--path-token-file", "token"]);
    let token = "t".repeat(40);
    std::fs::write(serve.path("token"), &token).expect("written");
    let server = serve.start();
    let (good, bad) = (review("good", "default", &good_pod()), review("bad", "default", &bad_pod()));
    let known = format!("/validate/{token}");
    let cases = [
        (Method::POST, known.as_str(), good.to_string(), 200),
        (Method::POST, &known, bad.to_string(), 200),
        (Method::POST, &known, "not a review".to_owned(), 400),
        (Method::POST, "/validate", good.to_string(), 401),
        (Method::POST, "/mutate/wrong", good.to_string(), 401),
        (Method::GET, "/", String::new(), 404),
        (Method::POST, "/nowhere", String::new(), 404),
        (Method::GET, "/validate", String::new(), 405),
        (Method::PUT, &known, String::new(), 405),
    ];
    for (method, path, body, status) in cases {
        for protocol in BOTH {
            let answer = server.client().send(protocol, method.clone(), path, whole(body.clone())).expect("an answer");
            assert_eq!(answer.status, status, "{method} {path}");
            for (name, value) in HEADERS {
                assert_eq!(answer.headers.get(name).expect(name), value, "{method} {path}");
            }
        }
    }
}

#[test]
fn every_answer_of_the_admin_port_does_too() {
    let server = Serve::new(HARDENED).start();
    for (asked, status) in [
        ("GET /livez", "200"),
        ("GET /readyz", "200"),
        ("GET /readyz?verbose", "200"),
        ("GET /metrics", "200"),
        ("HEAD /livez", "200"),
        ("GET /", "404"),
        ("POST /livez", "405"),
        ("DELETE /metrics", "405"),
    ] {
        let mut stream = TcpStream::connect(server.admin).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(stream, "{asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}: {head}");
        for (name, value) in HEADERS {
            let line = format!("\r\n{name}: {value}");
            assert!(head.to_lowercase().contains(&line), "{asked}: {head}");
        }
    }
}
