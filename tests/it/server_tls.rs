//! TLS handshakes: the versions and protocols that are negotiated, and the clients that are refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::version::{TLS12, TLS13};

use crate::serve::client::{BOTH, Client};
use crate::serve::pki::{Authority, Pair};
use crate::serve::{HARDENED, PATIENCE, Serve, Server, good_pod, review, until};

#[test]
fn tls_1_2_and_1_3_are_accepted() {
    let server = Serve::new(HARDENED).start();
    for version in [&TLS12, &TLS13] {
        let client = Client::with(server.address, &server.authority, &[version], None);
        for protocol in BOTH {
            let uid = format!("{:?} {protocol:?}", version.version);
            let body = review(&uid, "default", &good_pod()).to_string();
            let answer = client.post(protocol, "/validate", body.into_bytes()).expect("an answer").response();
            assert_eq!((&answer["uid"], &answer["allowed"]), (&uid.into(), &true.into()));
        }
    }
}

#[test]
fn tls_1_1_is_not_offered() {
    let server = Serve::new(HARDENED).start();
    let mut stream = TcpStream::connect(server.address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&hello_of_tls_1_1()).expect("sent");
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).expect("an alert");
    // Record of type alert, two bytes long: fatal, protocol_version.
    assert_eq!((answer[0], answer[5], answer[6]), (21, 2, 70), "{answer:?}");
}

/// A ClientHello of TLS 1.1 with ECDHE suites of that time, and no extension that would offer more.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0, 4, 0xc0, 0x09, 0xc0, 0x13]);
    hello.extend([1, 0]);
    let extensions: [u8; 24] = [
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
        0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
        0, 13, 0, 6, 0, 4, 4, 3, 4, 1, // signature_algorithms
    ];
    hello.extend([0, 24]);
    hello.extend(extensions);
    let mut message = vec![1, 0, 0, u8::try_from(hello.len()).expect("short")];
    message.extend(hello);
    let mut record = vec![22, 3, 2, 0, u8::try_from(message.len()).expect("short")];
    record.extend(message);
    record
}

#[test]
fn http2_is_preferred_and_http1_offered() {
    let server = Serve::new(HARDENED).start();
    let agreed = |alpn: &[&[u8]]| server.client().handshake(alpn).map(|(_, protocol)| protocol).expect("a handshake");
    assert_eq!(agreed(&[b"http/1.1", b"h2"]).as_deref(), Some(&b"h2"[..]));
    assert_eq!(agreed(&[b"http/1.1"]).as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&[]), None);
    assert!(server.client().handshake(&[b"spdy/3"]).is_err());
}

#[test]
fn with_http1_only_http1_is_offered() {
    let server = Serve::new(HARDENED).args(["--http1"]).start();
    let (_, agreed) = server.client().handshake(&[b"h2", b"http/1.1"]).expect("a handshake");
    assert_eq!(agreed.as_deref(), Some(&b"http/1.1"[..]));
    assert!(server.client().handshake(&[b"h2"]).is_err());
}

#[test]
fn a_handshake_that_does_not_come_is_cut_off() {
    let server = Serve::new(HARDENED).start();
    let mut silent = TcpStream::connect(server.address).expect("connected");
    let mut begun = TcpStream::connect(server.address).expect("connected");
    begun.write_all(&hello_of_tls_1_1()[..20]).expect("sent");
    for stream in [&mut silent, &mut begun] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        assert_eq!(stream.read(&mut [0; 16]).expect("the end, not a timeout"), 0);
    }
    until("the metric", || (server.metric("portcullis_tls_handshake_failures_total") == Some(2.0)).then_some(()));
    until("the metric", || (server.metric("portcullis_connections") == Some(0.0)).then_some(()));
}

/// The recorded caller of a review that is sent with this certificate, or the error of the connection.
fn ask(server: &Server, uid: &str, pair: Option<&Pair>) -> Result<String, std::io::Error> {
    let mut callers = Vec::new();
    for (position, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        let client = Client::with(server.address, &server.authority, &[version], pair);
        for protocol in BOTH {
            let uid = format!("{uid}-{position}-{protocol:?}");
            let body = review(&uid, "default", &good_pod()).to_string();
            let answer = client.post(protocol, "/validate", body.into_bytes())?;
            assert_eq!(answer.response()["uid"], uid.as_str());
            callers.push(server.event(&uid)["caller"].as_str().expect("a caller").to_owned());
        }
    }
    callers.dedup();
    Ok(callers.join(" "))
}

#[test]
fn without_client_ca_the_caller_is_unknown() {
    let server = Serve::new(HARDENED).start();
    assert_eq!(ask(&server, "none", None).expect("an answer"), "unknown");
    let pair = Authority::new("clients").issue(&["apiserver"]);
    assert_eq!(ask(&server, "some", Some(&pair)).expect("an answer"), "unknown");
}

#[test]
fn with_client_ca_only_its_clients_come_in() {
    let clients = Authority::new("clients");
    let serve = Serve::new(HARDENED).args(["--client-ca", "clients.crt"]);
    std::fs::write(serve.path("clients.crt"), &clients.pem).expect("written");
    let server = serve.start();
    assert!(ask(&server, "none", None).is_err());
    assert!(ask(&server, "wrong", Some(&Authority::new("clients").issue(&["apiserver"]))).is_err());
    assert_eq!(ask(&server, "right", Some(&clients.issue(&["apiserver"]))).expect("an answer"), "certificate");
    assert!(!server.stdout().contains("\"uid\":\"none") && !server.stdout().contains("\"uid\":\"wrong"));
}

#[test]
fn with_client_name_only_certificates_of_that_name_come_in() {
    let clients = Authority::new("clients");
    let serve = Serve::new(HARDENED).args(["--client-ca", "clients.crt", "--client-name", "apiserver", "other"]);
    std::fs::write(serve.path("clients.crt"), &clients.pem).expect("written");
    let server = serve.start();
    assert!(ask(&server, "wrong", Some(&clients.issue(&["kubelet"]))).is_err());
    // The name in the common name, and as one of several DNS names.
    assert_eq!(ask(&server, "common", Some(&clients.issue(&["apiserver"]))).expect("an answer"), "certificate");
    assert_eq!(ask(&server, "second", Some(&clients.issue(&["kubelet", "other"]))).expect("an answer"), "certificate");
    assert!(!server.stdout().contains("\"uid\":\"wrong"));
    // Each is recorded by the name that let it in.
    let names = |uid: &str| {
        let events =
            server.events().into_iter().filter(|event| event["uid"].as_str().is_some_and(|it| it.starts_with(uid)));
        events.map(|event| event["callerName"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names("common"), names("second")), (vec!["apiserver".to_owned(); 4], vec!["other".to_owned(); 4]));
    let (_, stdout, _, _folder, _) = server.stop();
    let turned_away = stdout.lines().filter(|line| line.contains("\"record\":\"turned-away\""));
    assert!(
        turned_away.clone().count() >= 1 && turned_away.clone().all(|line| line.contains("\"wrong-name\"")),
        "{stdout}"
    );
}

#[test]
fn a_client_ca_is_read_again() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let serve = Serve::new(HARDENED).args(["--client-ca", "clients.crt"]);
    std::fs::write(serve.path("clients.crt"), &old.pem).expect("written");
    let server = serve.start();
    let pair = new.issue(&["apiserver"]);
    assert!(ask(&server, "early", Some(&pair)).is_err());
    std::fs::write(server.path("clients.crt"), "no certificate").expect("written");
    std::fs::write(server.path("next.crt"), &new.pem).expect("written");
    until("the refusal in the log", || server.stderr().contains("the last good one stays").then_some(()));
    assert_eq!(ask(&server, "still", Some(&old.issue(&["apiserver"]))).expect("an answer"), "certificate");
    std::fs::rename(server.path("next.crt"), server.path("clients.crt")).expect("renamed");
    let mut turn = 0;
    until("the new CA", || {
        turn += 1;
        ask(&server, &format!("late-{turn}"), Some(&pair)).ok()
    });
    assert!(ask(&server, "gone", Some(&old.issue(&["apiserver"]))).is_err());
}
