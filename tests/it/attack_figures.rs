//! The cost of attacks, in figures: `LOAD_SECONDS=8 LOAD_PROGRAM=target/release/portcullis cargo test --test it
//! attack_figures -- --nocapture` runs them whole, against another build, and prints their figures. `LD_PRELOAD` gives that
//! build another allocator. Otherwise they are short, and honest callers must fare well.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;

use crate::attacks::{ATTACKERS, beside, memory, unused, wide, with_defaults};
use crate::serve::client::{Protocol, block, whole};
use crate::serve::{HARDENED, PATIENCE, Serve, Server, good_pod, load, review, until};

/// Between two honest reviews.
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum time to wait for an answer.
const TIMEOUT: Duration = PATIENCE;

/// Results of honest callers during an attack.
#[derive(Default)]
struct Honest {
    answered: Vec<Duration>,
    failed: usize,
    /// The longest that `/livez` took; none when it was not answered.
    livez: Vec<Option<Duration>>,
}

/// Asks for honest reviews, each on a connection of its own, and for `/livez`, until it is told to stop.
fn honest(server: &Server, stop: &AtomicBool) -> Honest {
    let mut honest = Honest::default();
    let client = server.client();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let asked = review("honest", "default", &good_pod());
        let answer = block(async {
            let asking = async { client.connect(Protocol::Http1).await?.review("/validate", &asked).await };
            tokio::time::timeout(TIMEOUT, asking).await
        });
        match answer {
            Ok(Ok(answer)) if answer.status == 200 => honest.answered.push(began.elapsed()),
            _ => honest.failed += 1,
        }
        let began = Instant::now();
        let is_live = livez(server.admin);
        honest.livez.push(is_live.then(|| began.elapsed()));
        std::thread::sleep(PAUSE);
    }
    honest
}

fn livez(admin: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = TcpStream::connect_timeout(&admin, TIMEOUT) else { return false };
    let mut answer = [0; 12];
    stream.set_read_timeout(Some(TIMEOUT)).is_ok()
        && stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

/// Runs an attack beside honest callers, and prints what it cost.
fn measured<T>(what: &str, server: &Server, attack: impl FnOnce() -> T) {
    let (before, _) = memory(server);
    let stop = AtomicBool::new(false);
    let (kept, honest) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| honest(server, &stop));
        let kept = attack();
        std::thread::sleep(Duration::from_secs(load::seconds().unwrap_or(1)));
        stop.store(true, Ordering::Relaxed);
        (kept, honest.join().expect("figures"))
    });
    let (during, peak) = memory(server);
    drop(kept);
    until("the end of the attack's connections", || {
        (server.metric("portcullis_connections") <= Some(0.0)).then_some(())
    });
    if load::is_whole() {
        // Some allocators give memory back after ten seconds.
        std::thread::sleep(Duration::from_secs(12));
    }
    let (after, _) = memory(server);
    let Honest { mut answered, failed, livez } = honest;
    answered.sort_unstable();
    let p99 = answered.get(answered.len() * 99 / 100).copied().unwrap_or_default();
    let dead = livez.iter().filter(|took| took.is_none()).count();
    let slowest = livez.into_iter().flatten().max().unwrap_or_default();
    let metric = |name: &str| server.metric(name).unwrap_or_default();
    assert!(failed == 0 && dead == 0 && !answered.is_empty(), "{what}: {failed} failed, {dead} probes not answered");
    println!(
        "{what}: RSS {before} MiB before, {peak} peak, {during} while kept, {after} after; honest: {} answered, {failed} failed, \
         p99 {p99:?}; /livez: max {slowest:?}, {dead} not answered; shed {}, cut {}, made room {}, crowded {}",
        answered.len(),
        metric("portcullis_reviews_shed_total"),
        metric(r#"portcullis_connections_cut_total{reason="unread"}"#),
        metric(r#"portcullis_connections_evicted_total{port="reviews"}"#),
        metric("portcullis_connections_over_address_limit_total"),
    );
}

#[test]
fn unread_answers() {
    let server = load::program(with_defaults()).start();
    let streams = if load::is_whole() { 250 } else { 50 };
    let runtime = beside();
    let client = server.client().from(ATTACKERS[0]);
    let body = review("unread", "default", &wide(1_000)).to_string();
    measured("250 unread answers on each of two HTTP/2 connections", &server, || {
        runtime.block_on(async {
            let mut kept = Vec::new();
            for _ in 0..2 {
                let stream = TokioIo::new(client.secure(&[b"h2"]).await.expect("a connection"));
                let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(0);
                let (sender, connection) = builder.handshake(stream).await.expect("a connection");
                tokio::spawn(connection);
                kept.push(
                    (0..streams)
                        .map(|_| {
                            let (mut sender, body) = (sender.clone(), body.clone());
                            tokio::spawn(async move {
                                let request =
                                    Request::post("https://localhost/mutate").body(whole(body)).expect("a request");
                                sender.ready().await?;
                                sender.send_request(request).await
                            })
                        })
                        .collect::<Vec<_>>(),
                );
            }
            let mut answers = Vec::new();
            for asked in kept {
                answers.extend(tokio::time::timeout(Duration::from_mins(1), join_all(asked)).await);
            }
            answers
        })
    });
}

#[test]
fn all_connections_of_one_address_under_a_soft_limit_of_descriptors() {
    let server = descriptors(1_024, 20_000).start();
    let runtime = beside();
    measured("all connections of one address", &server, || kept(&runtime, &server, ATTACKERS[0]));
}

/// Server with these limits of descriptors. In a short run, 256: room for 160 connections, 80 of them per address.
fn descriptors(soft: u64, hard: u64) -> Serve {
    let serve = Serve::new(HARDENED);
    load::program(if load::is_whole() { serve.descriptors(soft, hard) } else { serve.descriptors(256, 256) })
}

/// All connections that one address may have, kept by one request each that is no review.
fn kept(runtime: &Runtime, server: &Server, source: IpAddr) -> Vec<TlsStream<tokio::net::TcpStream>> {
    let mut streams = unused(runtime, server, source, if load::is_whole() { 1_024 } else { 80 }, b"http/1.1");
    for stream in &mut streams {
        // One that made room is gone.
        let _ = runtime.block_on(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    streams
}

#[test]
fn four_addresses_with_all_their_connections() {
    let server = descriptors(20_000, 20_000).start();
    let runtime = beside();
    measured("all connections of each of four addresses", &server, || {
        let address = |last: u8| IpAddr::from([127, 0, 0, last]);
        (2..=5).flat_map(|last| kept(&runtime, &server, address(last))).collect::<Vec<_>>()
    });
}
