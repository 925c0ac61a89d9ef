//! The CPU time of a review over TLS and HTTP/2: a webhook that does nothing, one that parses, and the served program, in
//! turns within one run.
//!
//! `cargo bench --bench webhooks` prints the medians, and their ratios to the webhook that does nothing. The first two are
//! this binary again, with the same TLS library, HTTP library, runtime and allocator as the program.

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use served::{Served, median, serve, start, trusting};

#[path = "served/served.rs"]
mod served;

type Failure = Box<dyn std::error::Error>;

/// Reviews, and whether each is admitted.
const REVIEWS: [(&str, &str, bool); 2] = [
    ("admitted", include_str!("reviews/admitted.json"), true),
    ("refused", include_str!("reviews/denied.json"), false),
];
/// Webhooks that are this binary.
const PEERS: [&str; 2] = ["null", "parse"];
/// Guarantees of the served program's trail.
const GUARANTEES: [&str; 2] = ["buffered", "durable"];
/// The variable that makes this binary a webhook.
const PEER: &str = "PORTCULLIS_BENCH_WEBHOOK";
/// Turns that each webhook gets, and those of them that are not counted.
const ROUNDS: usize = 12;
const WARM: usize = 2;
/// Reviews in flight on one connection, and the reviews of one turn.
const IN_FLIGHT: usize = 100;
const REQUESTS: usize = 10_000;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Ok(peer) = std::env::var(PEER) {
        return runtime.block_on(answer(peer == "parse"));
    }
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut webhooks: Vec<(&str, Served)> = Vec::new();
    for peer in PEERS {
        webhooks.push((peer, self::peer(peer, &certificate, &key)?));
    }
    for guarantee in GUARANTEES {
        // No cluster is connected: a policy that asks one would find that nobody answers.
        let config = format!(
            "profile: hardened\npolicies: {{unisolated-pods: {{mode: \"off\"}}}}\n\
             trail: {{spool: {{directory: spool, guarantee: {guarantee}}}}}"
        );
        webhooks.push((guarantee, serve(&config, false, &certificate, &key)?));
    }
    let mut config = trusting(made.cert.der())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = TlsConnector::from(Arc::new(config));
    for (what, review, is_admitted) in REVIEWS {
        let mut spent = vec![Vec::new(); webhooks.len()];
        for round in 0..ROUNDS {
            for ((name, webhook), spent) in webhooks.iter().zip(&mut spent) {
                // The first two admit everything.
                let expected = is_admitted || PEERS.contains(name);
                let before = webhook.cpu()?;
                ask(&runtime, webhook.port, &client, review, expected)?;
                let micros = (webhook.cpu()? - before) * 1e6 / f64::from(u32::try_from(REQUESTS)?);
                if round >= WARM {
                    spent.push(micros);
                }
            }
        }
        println!("{what}: a review of {} bytes, {IN_FLIGHT} in flight", review.len());
        let medians: Vec<f64> = spent.iter_mut().map(|figures| median(figures)).collect();
        for ((name, _), micros) in webhooks.iter().zip(&medians) {
            println!("  {name:9} {micros:7.1} µs of CPU a request, {:.2} of null", micros / medians[0]);
        }
    }
    Ok(())
}

/// Starts this binary as a webhook.
fn peer(name: &str, certificate: &str, key: &str) -> Result<Served, Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("cert.pem"), certificate)?;
    std::fs::write(folder.path().join("key.pem"), key)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(PEER, name).current_dir(folder.path());
    start(command, folder)
}

/// Answers every review with "allowed", with the certificate in this folder. The review is parsed, or only searched for its
/// uid.
async fn answer(parses: bool) -> Result<(), Failure> {
    let certificate = CertificateDer::from_pem_file("cert.pem")?;
    let key = PrivateKeyDer::from_pem_file("key.pem")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("{{\"address\":\"{}\"}}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await.map_err(|error| error.to_string())?;
            let service = hyper::service::service_fn(move |request: Request<Incoming>| async move {
                let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                let uid = if parses { parsed(&body) } else { found(&body) };
                let answer = format!(
                    "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\
                     \"response\":{{\"uid\":\"{}\",\"allowed\":true}}}}",
                    uid.unwrap_or_default()
                );
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            });
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(250);
            builder.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
        });
    }
}

fn parsed(body: &[u8]) -> Option<String> {
    let review: Value = serde_json::from_slice(body).ok()?;
    review.pointer("/request/uid")?.as_str().map(str::to_owned)
}

fn found(body: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"uid\":\"";
    let from = memchr::memmem::find(body, KEY)? + KEY.len();
    let length = memchr::memchr(b'"', &body[from..])?;
    std::str::from_utf8(&body[from..from + length]).ok().map(str::to_owned)
}

/// One turn: as many reviews in flight on one connection, until all of them are answered.
fn ask(
    runtime: &Runtime,
    port: u16,
    client: &TlsConnector,
    review: &'static str,
    allowed: bool,
) -> Result<(), Failure> {
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = client.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let asking = (0..IN_FLIGHT).map(|_| several(sender.clone(), review, allowed));
        let asked = tokio::time::timeout(Duration::from_mins(1), try_join_all(asking)).await?;
        drop(sender);
        connection.abort();
        asked.map(drop)
    })
}

/// Reviews one after the other.
async fn several(mut sender: SendRequest<Full<Bytes>>, review: &'static str, allowed: bool) -> Result<(), Failure> {
    let expected = format!("\"allowed\":{allowed}");
    for _ in 0..REQUESTS / IN_FLIGHT {
        let request = Request::post("https://localhost/validate?timeout=3s")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(review.as_bytes())))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
        if !String::from_utf8_lossy(&answer).contains(&expected) {
            return Err(format!("not {expected}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}
