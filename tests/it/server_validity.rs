//! A certificate that is not valid now, or cannot be served at all, and what is said of it.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::serve::{HARDENED, Serve, Server, spawn, text, until};

const GAUGE: &str = "portcullis_certificate_invalid";
const DAY: u64 = 24 * 60 * 60;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A server whose certificate is valid between two times.
fn serving(begins: u64, ends: u64) -> Server {
    let serve = Serve::new(HARDENED);
    let serve = serve.with_authority(|folder, authority| {
        authority.issue_between(&["localhost"], begins, ends).write(folder);
    });
    serve.start()
}

/// The line of `/readyz?verbose` about the certificate. The server is ready, whatever it says.
fn shown(server: &Server) -> String {
    let (status, text) = server.get("/readyz?verbose");
    assert_eq!(status, 200, "{text}");
    text.lines().find(|line| line.contains("]certificate")).expect("a line").to_owned()
}

/// The warnings about validity so far.
fn warnings(server: &Server) -> Vec<String> {
    let warned = server.logs().into_iter().filter(|line| line["level"] == "WARN");
    let said = warned.map(|line| line["message"].as_str().unwrap_or_default().to_owned());
    said.filter(|message| message.contains("API servers refuse it")).collect()
}

#[test]
fn an_expired_certificate_is_served_and_said_in_three_places() {
    let server = serving(now() - 2 * DAY, now() - DAY);
    until("a warning", || (warnings(&server).len() == 1).then_some(()));
    let warned = &warnings(&server)[0];
    assert!(warned.starts_with("the serving certificate expired at 20"), "{warned}");
    assert_eq!(shown(&server), format!("[!]certificate: {warned}"));
    assert_eq!(server.metric(GAUGE), Some(1.0));
    // Only those who ask in full are told more than that it is ready.
    assert_eq!(server.get("/readyz"), (200, "ok\n".to_owned()));
}

#[test]
fn the_end_of_a_certificate_is_said_when_it_comes() {
    // Nobody asks in between: it is the clock that makes it speak.
    let server = serving(now() - DAY, now() + 3);
    until("a warning", || warnings(&server).iter().any(|line| line.contains(" expired at ")).then_some(()));
    assert!(shown(&server).starts_with("[!]certificate: the serving certificate expired at "));
    assert_eq!(server.metric(GAUGE), Some(1.0));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_said_until_it_is() {
    let server = serving(now() + 3, now() + DAY);
    let is_valid = || server.logs().iter().any(|line| line["message"] == "the serving certificate is valid");
    // A busy machine may take so long to start it that it never was too early.
    until("its time", || (shown(&server).starts_with("[+]certificate ends at ")).then_some(()));
    let warned = warnings(&server);
    assert!(warned.iter().all(|line| line.starts_with("the serving certificate is not valid before ")), "{warned:?}");
    if !warned.is_empty() {
        until("the news", || is_valid().then_some(()));
    }
    assert_eq!(server.metric(GAUGE), Some(0.0));

    let tomorrow = serving(now() + DAY, now() + 2 * DAY);
    until("a warning", || (warnings(&tomorrow).len() == 1).then_some(()));
    assert!(shown(&tomorrow).starts_with("[!]certificate: the serving certificate is not valid before 20"));
    assert_eq!(tomorrow.metric(GAUGE), Some(1.0));
}

#[test]
fn a_replaced_certificate_is_looked_at_anew() {
    let server = Serve::new(HARDENED).start();
    assert_eq!((server.metric(GAUGE), warnings(&server).len()), (Some(0.0), 0));
    server.authority.issue_between(&["localhost"], now() - 2 * DAY, now() - DAY).write(server.folder.path());
    until("a warning", || (warnings(&server).len() == 1).then_some(()));
    assert!(shown(&server).starts_with("[!]certificate: the serving certificate expired at "));
    server.authority.issue(&["localhost"]).write(server.folder.path());
    until("it is well", || shown(&server).starts_with("[+]certificate ends at ").then_some(()));
    until("the gauge", || (server.metric(GAUGE) == Some(0.0)).then_some(()));
    assert_eq!(warnings(&server).len(), 1);
}

/// The complaint of a start with these files.
fn complaint(certificate: &str, key: &str) -> String {
    let serve = Serve::new(HARDENED);
    std::fs::write(serve.path("tls.crt"), certificate).expect("written");
    std::fs::write(serve.path("tls.key"), key).expect("written");
    let (mut child, _, stderr) = spawn(&mut serve.command());
    assert_eq!(until("the end", || child.try_wait().expect("its state")).code(), Some(2));
    until("its words", || text(&stderr).ends_with('\n').then(|| text(&stderr).trim_end().to_owned()))
}

fn openssl(arguments: &[&str], stdin: &str) -> String {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).expect("PEM")
}

/// A certificate of the key, signed by itself.
fn self_signed(key: &str) -> String {
    openssl(&["req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=localhost", "-days", "2"], key)
}

#[test]
fn what_cannot_be_served_is_told_apart() {
    let pair = crate::serve::pki::Authority::new("serving").issue(&["localhost"]);
    let said = complaint(&version_one(&pair.certificate), &pair.key);
    assert!(said.contains("tls.crt: is an X.509 version 1 certificate; API servers accept version 3 only"), "{said}");

    let short = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "");
    let traditional = openssl(&["rsa", "-traditional"], &short);
    let certificate = self_signed(&short);
    for key in [&short, &traditional] {
        // Whether it is the certificate's key or not.
        for certificate in [&certificate, &pair.certificate] {
            let said = complaint(certificate, key);
            let wanted = "tls.key: holds an RSA key that is too short: at least 2048 bits are needed";
            assert!(said.contains(wanted), "{said}");
        }
    }

    let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:secret"], &pair.key);
    let said = complaint(&pair.certificate, &encrypted);
    assert!(said.contains("tls.key: holds an encrypted private key; write it without a passphrase"), "{said}");

    let strange = openssl(&["genpkey", "-algorithm", "ED448"], "");
    let said = complaint(&self_signed(&strange), &strange);
    assert!(said.contains("tls.key: holds a private key that cannot be used: RSA of 2048"), "{said}");

    let other = openssl(&["genpkey", "-algorithm", "ED25519"], "");
    let said = complaint(&pair.certificate, &other);
    assert!(
        said.contains("tls.crt: is not the certificate of the private key in ") && said.ends_with("tls.key"),
        "{said}"
    );
    for said in [complaint(&pair.certificate, &pair.certificate), complaint(&pair.key, &pair.key)] {
        assert!(!said.contains("belong together"), "{said}");
    }
    // And what can be served is: the same key in other clothes.
    let good = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "");
    let serve = Serve::new(HARDENED).with_authority(|folder, _| {
        std::fs::write(folder.join("tls.crt"), self_signed(&good)).expect("written");
        std::fs::write(folder.join("tls.key"), openssl(&["rsa", "-traditional"], &good)).expect("written");
    });
    assert!(shown(&serve.start()).starts_with("[+]certificate ends at "));
}

/// The certificate without its version and its extensions. Its signature does not fit any more; nobody looks at that.
fn version_one(pem: &str) -> String {
    use base64::Engine as _;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let whole = elements(&der)[0].1;
    let parts = elements(whole);
    // `[0]` is the version, `[3]` the extensions (RFC 5280, 4.1).
    let kept = elements(parts[0].1).into_iter().filter(|(tag, _)| !matches!(tag, 0xa0 | 0xa3));
    let body: Vec<u8> = kept.flat_map(|(tag, content)| element(tag, content)).collect();
    let rest = parts[1..].iter().flat_map(|(tag, content)| element(*tag, content));
    let whole: Vec<u8> = element(parts[0].0, &body).into_iter().chain(rest).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(element(0x30, &whole));
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

/// The elements of some DER: tags and contents.
fn elements(mut der: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [tag, first, rest @ ..] = der {
        // Beyond 127 the first byte says how many bytes the length has.
        let bytes = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let long = rest[..bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = if bytes == 0 { usize::from(*first) } else { long };
        let (content, after) = rest[bytes..].split_at(length);
        found.push((*tag, content));
        der = after;
    }
    found
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    [&[tag, 0x82], length.as_slice(), content].concat()
}
