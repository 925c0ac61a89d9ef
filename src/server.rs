//! The server: connections in, answers out, and an orderly end.

mod activity;
mod addresses;
mod admin;
mod answer;
mod app;
mod body;
pub mod certs;
mod clock;
mod connection;
pub mod counting;
mod crowding;
mod deciding;
pub mod discovery;
mod drain;
pub mod exceptions;
mod frames;
pub mod gaps;
mod headers;
mod http;
pub mod installed;
pub mod last_good;
pub mod limits;
mod listeners;
pub mod managed;
mod offenders;
pub mod peers;
mod readiness;
pub mod reload;
mod serving;
mod slots;
pub mod strangers;
pub mod tokens;
pub mod unconfigured;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use self::limits::Limits;

pub use self::admin::{Admin, answer_readiness, serve_probes};
pub use self::app::{App, Callers, TrailParts};
pub use self::drain::{Drain, Phase};
pub use self::listeners::{Listeners, listen};
pub use self::readiness::Check;

/// Serves until [`Drain`] reaches its last phase and connections have ended, or `grace` has passed since.
///
/// # Errors
/// When the admin port's thread cannot be started.
pub async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    tls: Arc<ArcSwap<ServerConfig>>,
    client_names: Vec<String>,
    grace: Duration,
) -> io::Result<()> {
    let limits = Limits::now();
    // Until the end: probes and scrapers are answered as long as anybody is.
    let router = admin::router(Arc::clone(&app));
    let _admin = admin::start(listeners.admin, router, limits.probes, app.crowding.clone())?;
    let gate = connection::Gate { tls, client_names: client_names.into() };
    let router = http::router(Arc::clone(&app));
    let reviews = connection::accept_tls(listeners.reviews, router, Arc::clone(&app), gate, limits.reviews);
    let left = async {
        app.drain.reached(Phase::Closing).await;
        tokio::time::sleep(grace * 3 / 4).await;
    };
    tokio::select! {
        () = reviews => {}
        () = left => tracing::warn!("some connections did not end within the grace, and are cut"),
    }
    Ok(())
}
