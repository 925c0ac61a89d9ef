//! Connections: accepted, secured, served, and ended.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::App;
use super::addresses::Addresses;
use super::certs::known_name;
use super::drain::{Drain, Phase};
use super::http::Sender;
use super::limits::Most;
use crate::trail::Reason;

/// From the first byte to the end of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// From the handshake to the end of the first request's headers.
const FIRST_HEADERS: Duration = Duration::from_secs(10);
/// The same, once nothing new is accepted: who was let in just before still gets an answer to what it came for.
const LAST_HEADERS: Duration = Duration::from_secs(1);
/// From one request to the end of the next one's headers. Longer than the 90 seconds for which an API server keeps an
/// idle connection: the side that sends ends it, so that no request meets a connection that is being closed.
const NEXT_HEADERS: Duration = Duration::from_mins(2);
/// HTTP/2 pings on a silent connection, and how long their answer may take.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 250;
/// Bytes of a request's headers.
const HEADERS: u32 = 64 << 10;
/// How long to wait when the system has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);

/// Who may come in.
pub(super) struct Gate {
    pub(super) tls: Arc<ArcSwap<ServerConfig>>,
    /// Names of which a client's certificate must carry one; any will do where the list is empty.
    pub(super) client_names: Arc<[String]>,
}

/// How a connection is served.
#[derive(Clone)]
struct Serving {
    router: Router,
    drain: Drain,
    sender: Sender,
    is_http2: bool,
}

/// Accepts TLS connections until the drain is over, then waits for those that are open.
pub(super) async fn accept_tls(listener: TcpListener, router: Router, app: Arc<App>, gate: Gate, most: Most) {
    let tasks = TaskTracker::new();
    let room = Arc::new(Semaphore::new(most.all));
    let addresses = Addresses::new(most.address);
    loop {
        let Some((stream, address)) = accept(&listener, &app.drain).await else { break };
        let Some(place) = addresses.enter(address.ip()) else {
            app.metrics.crowded.inc();
            continue;
        };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let acceptor = TlsAcceptor::from(gate.tls.load_full());
        let (router, app, names) = (router.clone(), Arc::clone(&app), Arc::clone(&gate.client_names));
        tasks.spawn(async move {
            let _held = (permit, place);
            app.metrics.connections.inc();
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let (_, session) = stream.get_ref();
                    let certificate = session.peer_certificates().and_then(|chain| chain.first());
                    let known = certificate.map(|found| known_name(found, &names));
                    let is_http2 = session.alpn_protocol() == Some(b"h2");
                    if let Some(None) = known {
                        app.metrics.failed_handshakes.inc();
                        app.strangers.turn_away(address.ip(), Reason::WrongName);
                        tracing::warn!("a client's certificate carries none of the names of --client-name");
                    } else {
                        let sender = Sender::connected(address.ip(), known.flatten());
                        serve(stream, Serving { router, drain: app.drain.clone(), sender, is_http2 }).await;
                    }
                }
                Ok(Err(_)) | Err(_) => app.metrics.failed_handshakes.inc(),
            }
            app.metrics.connections.dec();
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Accepts plain connections for as long as it is polled: probes and scrapers are answered until the end.
pub(super) async fn accept_plain(listener: TcpListener, router: Router, most: Most) {
    let drain = Drain::default();
    let room = Arc::new(Semaphore::new(most.all));
    let addresses = Addresses::new(most.address);
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(NO_SOCKETS).await;
            continue;
        };
        let address = plain(address);
        let Some(place) = addresses.enter(address.ip()) else { continue };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let sender = Sender::connected(address.ip(), None);
        let serving = Serving { router: router.clone(), drain: drain.clone(), sender, is_http2: false };
        tokio::spawn(async move {
            let _held = (permit, place);
            serve(stream, serving).await;
        });
    }
}

async fn accept(listener: &TcpListener, drain: &Drain) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            // Who has been let in by the system waits already: nobody is turned away by the end that could be served.
            biased;
            accepted = listener.accept() => accepted,
            () = drain.reached(Phase::Closing) => return None,
        };
        match accepted {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, plain(address)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(NO_SOCKETS).await;
            }
        }
    }
}

/// An IPv4 address as such, also where a socket of both families shows it as an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, serving: Serving) {
    let Serving { router, drain, sender, is_http2 } = serving;
    let began = watch::Sender::new(false);
    let marked = began.clone();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        marked.send_replace(true);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(sender.clone());
        router.clone().oneshot(request)
    });
    let silent = async {
        tokio::time::sleep(FIRST_HEADERS).await;
        if *began.borrow() {
            std::future::pending::<()>().await;
        }
    };
    // Whoever comes while the server drains found no other: it may stay until nothing new is accepted.
    let moves_on = if drain.phase() == Phase::Serving { Phase::Draining } else { Phase::Closing };
    let ending = async |phase| {
        drain.reached(phase).await;
        let _ = tokio::time::timeout(LAST_HEADERS, began.subscribe().wait_for(|began| *began)).await;
    };
    let stream = TokioIo::new(stream);
    // How a connection ends is the client's affair: its errors tell nothing about the server.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEADERS);
        builder.keep_alive_interval(PING).keep_alive_timeout(PONG);
        let mut connection = pin!(builder.serve_connection(stream, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = silent => return,
            // Streams that are open finish; the client takes new ones elsewhere.
            () = ending(moves_on) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(NEXT_HEADERS).max_buf_size(HEADERS as usize);
        let mut connection = pin!(builder.serve_connection(stream, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = silent => return,
            // Until then `Connection: close` ends each connection after its next answer.
            () = ending(Phase::Closing) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
