//! A certificate is replaced while connections come in, as the kubelet replaces it: the folder of files is a symlink
//! `..data`, which a rename swaps for another.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::CertificateDer;

use crate::serve::pki::Pair;
use crate::serve::{HARDENED, Serve, Server, until};

/// A mounted Secret: `tls.crt -> ..data/tls.crt`, `..data -> ..1`.
fn mount(folder: &Path, pair: &Pair) {
    fs::create_dir(folder.join("..1")).expect("a folder");
    pair.write(&folder.join("..1"));
    symlink("..1", folder.join("..data")).expect("a link");
    for name in ["tls.crt", "tls.key"] {
        let _ = fs::remove_file(folder.join(name));
        symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
    }
}

/// Updates a volume as the kubelet's AtomicWriter does: a new folder, a new link to it, renamed over the old one.
fn swap(folder: &Path, version: usize, files: &[(&str, &str)]) {
    let name = format!("..{version}");
    let old = fs::read_link(folder.join("..data")).expect("a link");
    fs::create_dir(folder.join(&name)).expect("a folder");
    for (file, text) in files {
        fs::write(folder.join(&name).join(file), text).expect("written");
    }
    symlink(&name, folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
    fs::remove_dir_all(folder.join(old)).expect("removed");
}

fn swap_pair(server: &Server, version: usize, pair: &Pair) {
    swap(server.folder.path(), version, &[("tls.crt", &pair.certificate), ("tls.key", &pair.key)]);
}

fn shown(server: &Server) -> CertificateDer<'static> {
    server.client().handshake(&[b"h2"]).expect("never a failed handshake").0
}

fn shows(server: &Server, pair: &Pair) {
    until("the new certificate", || (shown(server) == pair.der()).then_some(()));
}

fn mounted() -> (Server, Pair) {
    let serve = Serve::new(HARDENED);
    let mut server = None;
    // The harness's authority signs it, so that its clients trust it.
    let serve = serve.with_authority(|folder, authority| {
        let pair = authority.issue(&["localhost"]);
        mount(folder, &pair);
        server = Some(pair);
    });
    (serve.start(), server.expect("a pair"))
}

/// Counts how often the server said that it keeps the last good one.
fn refusals(server: &Server) -> usize {
    server.stderr().matches("the changed certificate cannot be served; the last good one stays").count()
}

#[test]
fn a_swapped_pair_is_served_soon() {
    let (server, first) = mounted();
    assert_eq!(shown(&server), first.der());
    for version in 2..5 {
        let pair = server.authority.issue(&["localhost"]);
        swap_pair(&server, version, &pair);
        shows(&server, &pair);
    }
    assert_eq!(refusals(&server), 0);
}

#[test]
fn what_cannot_be_served_keeps_the_last_good_pair() {
    let (server, first) = mounted();
    let (second, third) = (server.authority.issue(&["localhost"]), server.authority.issue(&["localhost"]));
    let half = &second.certificate[..second.certificate.len() / 2];
    let bad: [(&str, Vec<(&str, &str)>); 6] = [
        ("half a certificate", vec![("tls.crt", half), ("tls.key", &second.key)]),
        ("half a key", vec![("tls.crt", &second.certificate), ("tls.key", &second.key[..second.key.len() / 2])]),
        ("a mismatched pair", vec![("tls.crt", &second.certificate), ("tls.key", &third.key)]),
        ("garbage", vec![("tls.crt", "garbage"), ("tls.key", "garbage")]),
        ("an empty file", vec![("tls.crt", ""), ("tls.key", &second.key)]),
        ("a missing file", vec![("tls.crt", &second.certificate)]),
    ];
    for (position, (what, files)) in bad.iter().enumerate() {
        swap(server.folder.path(), position + 2, files);
        until(what, || (refusals(&server) == position + 1).then_some(()));
        assert_eq!(shown(&server), first.der(), "{what}");
    }
    swap_pair(&server, 100, &third);
    shows(&server, &third);
    // A key never reaches a log, not even a broken one.
    let secret = second.key.lines().nth(1).expect("a line of the key");
    assert!(!server.stderr().contains(secret));
}

#[test]
fn no_handshake_fails_while_pairs_are_swapped_or_half_written() {
    let (server, _) = mounted();
    let server = Arc::new(server);
    let ends = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (client, ends, done) = (server.client(), Arc::clone(&ends), Arc::clone(&done));
            std::thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    client.handshake(&[b"h2"]).expect("never a failed handshake");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut last = None;
    for version in 2..12 {
        let (pair, other) = (server.authority.issue(&["localhost"]), server.authority.issue(&["localhost"]));
        let files = [("tls.crt", pair.certificate.as_str()), ("tls.key", other.key.as_str())];
        swap(server.folder.path(), version * 2, &files);
        let before = done.load(Ordering::Relaxed);
        until("handshakes", || (done.load(Ordering::Relaxed) > before + 3).then_some(()));
        swap_pair(&server, version * 2 + 1, &pair);
        shows(&server, &pair);
        last = Some(pair);
    }
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("never a failed handshake");
    }
    shows(&server, &last.expect("a pair"));
}

#[test]
fn plain_files_written_one_after_the_other_are_served_when_both_are_there() {
    let server = Serve::new(HARDENED).start();
    let first = shown(&server);
    let pair = server.authority.issue(&["localhost"]);
    fs::write(server.path("tls.crt"), &pair.certificate).expect("written");
    until("the refusal of half a change", || (refusals(&server) == 1).then_some(()));
    assert_eq!(shown(&server), first);
    fs::write(server.path("tls.key"), &pair.key).expect("written");
    shows(&server, &pair);
}

#[test]
fn the_end_of_the_certificate_in_force_is_a_metric() {
    let server = Serve::new(HARDENED).start();
    let ends = server.metric("portcullis_certificate_expiry_timestamp_seconds").expect("the metric");
    assert!(ends > 1_600_000_000.0, "{ends}");
    assert!(server.get("/readyz?verbose").1.contains("[+]certificate ends at"));
}
