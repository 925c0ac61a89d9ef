//! Connections: accepted, and secured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::App;
use super::activity::Due;
use super::certs::known_name;
use super::crowding::Crowding;
use super::drain::{Drain, Phase};
use super::http::Sender;
use super::limits::Most;
use super::serving::{Requests, Serving, serve};
use super::slots::{Slot, Slots};
use crate::trail::Reason;

/// From the first byte to the end of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Time to wait when the system has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);
/// The least time between two lines of the log that say so.
const LOGGED: Duration = Duration::from_secs(30);
/// The names of the ports in metrics and logs.
const REVIEWS: &str = "reviews";
const ADMIN: &str = "admin";

/// TLS settings and accepted client names.
pub(super) struct Gate {
    pub(super) tls: Arc<ArcSwap<ServerConfig>>,
    /// Names of which a client's certificate must carry one; any will do where the list is empty.
    pub(super) client_names: Arc<[String]>,
}

/// Accepts TLS connections until the drain is over, then waits for those that are open.
pub(super) async fn accept_tls(listener: TcpListener, router: Router, app: Arc<App>, gate: Gate, most: Most) {
    let tasks = TaskTracker::new();
    let slots = Slots::new(most, app.knows_certificates);
    let requests = Requests::new(app.metrics.shed.clone());
    loop {
        slots.ready().await;
        let Some((stream, address)) = accept(&listener, &app.drain).await else { break };
        let Some(place) = enter(&slots, &app.crowding, REVIEWS, address) else { continue };
        let acceptor = TlsAcceptor::from(gate.tls.load_full());
        let (router, app, names) = (router.clone(), Arc::clone(&app), Arc::clone(&gate.client_names));
        let requests = requests.clone();
        tasks.spawn(async move {
            app.metrics.connections.inc();
            let secured = tokio::select! {
                secured = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => Some(secured),
                // It has to make room for another.
                _ = place.activity().due() => None,
            };
            match secured {
                Some(Ok(Ok(stream))) => {
                    let (_, session) = stream.get_ref();
                    let certificate = session.peer_certificates().and_then(|chain| chain.first());
                    let known = certificate.map(|found| known_name(found, &names));
                    let is_http2 = session.alpn_protocol() == Some(b"h2");
                    if let Some(None) = known {
                        app.metrics.failed_handshakes.inc();
                        app.strangers.turn_away(address.ip(), Reason::WrongName);
                        tracing::warn!("a client's certificate carries none of the names of --client-name");
                    } else if app.crowding.has_room(REVIEWS, place.secured(known.is_some())) {
                        let sender = Sender::connected(address.ip(), known.flatten());
                        let (drain, activity) = (app.drain.clone(), Arc::clone(place.activity()));
                        let requests = Some(requests);
                        let serving = Serving { router, drain, sender, is_http2, activity, requests };
                        match serve(stream, serving).await {
                            Some(Due::Unread) => app.metrics.cut.with_label_values(&["unread"]).inc(),
                            Some(Due::Headers) => app.metrics.cut.with_label_values(&["headers"]).inc(),
                            _ => {}
                        }
                    }
                }
                Some(Ok(Err(_)) | Err(_)) => app.metrics.failed_handshakes.inc(),
                None => {}
            }
            app.metrics.connections.dec();
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Accepts plain connections for as long as it is polled: probes and scrapers are answered until the end.
pub(super) async fn accept_plain(listener: TcpListener, router: Router, most: Most, crowding: Crowding) {
    let drain = Drain::default();
    let slots = Slots::new(most, false);
    loop {
        slots.ready().await;
        let Some((stream, address)) = accept(&listener, &drain).await else { return };
        let Some(place) = enter(&slots, &crowding, ADMIN, address) else { continue };
        let sender = Sender::connected(address.ip(), None);
        let (router, drain, crowding) = (router.clone(), drain.clone(), crowding.clone());
        tokio::spawn(async move {
            if crowding.has_room(ADMIN, place.secured(false)) {
                let activity = Arc::clone(place.activity());
                serve(stream, Serving { router, drain, sender, is_http2: false, activity, requests: None }).await;
            }
        });
    }
}

/// A place for a connection; another may have to make room for it.
fn enter(slots: &Slots, crowding: &Crowding, port: &'static str, address: SocketAddr) -> Option<Slot> {
    let entered = slots.enter(address.ip());
    crowding.has_room(port, entered.as_ref().map(|(_, made_room)| *made_room).map_err(|full| *full));
    entered.ok().map(|(place, _)| place)
}

async fn accept(listener: &TcpListener, drain: &Drain) -> Option<(TcpStream, SocketAddr)> {
    let mut logged: Option<Instant> = None;
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
                if logged.is_none_or(|logged| logged.elapsed() >= LOGGED) {
                    tracing::warn!(%error, "a connection could not be accepted");
                    logged = Some(Instant::now());
                }
                tokio::time::sleep(NO_SOCKETS).await;
            }
        }
    }
}

/// An IPv4 address as such, also where a socket of both families shows it as an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
