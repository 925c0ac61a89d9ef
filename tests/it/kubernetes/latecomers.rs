//! Who was let in before the end is answered, as an API server needs it whose calls must not fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::process::Server;
use super::{PATIENCE, eventually};

const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"late-1",
"operation":"CREATE","kind":{"group":"","version":"v1","kind":"Pod"},
"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"default",
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"nginx"}]}}}}"#;

#[test]
fn a_connection_without_a_request_yet_is_answered_after_the_last_was_accepted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::alone(dir.path(), &["--http1"]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.path().join("ca.crt")).expect("PEM")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::from(server.address.ip());
    let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut socket = TcpStream::connect(server.address).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    while session.is_handshaking() {
        session.complete_io(&mut socket).expect("a handshake");
    }

    server.terminate();
    eventually("nothing new is accepted", || TcpStream::connect(server.address).is_err().then_some(()));
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let head = format!("POST /validate HTTP/1.1\r\nhost: it\r\ncontent-length: {}\r\n\r\n", REVIEW.len());
    stream.write_all((head + REVIEW).as_bytes()).expect("the request is sent");
    let mut answer = Vec::new();
    // The connection may end without TLS saying so; what was read counts.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains(r#""uid":"late-1","allowed":false"#), "{answer}");
    assert!(server.wait().success());
}
