//! `/livez`, `/readyz` and `/metrics`: plain HTTP, for probes and scrapers, on a thread of its own. However much the
//! workers have to do, the kubelet gets its answer.

use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::App;
use super::connection::accept_plain;
use super::crowding::Crowding;
use super::headers::with_headers;
use super::limits::{Limits, Most};
use super::readiness::Check;
use crate::metrics::Metrics;

/// The admin port's thread, which has ended when this has been dropped.
pub struct Admin {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The same socket once more.
pub(super) fn shared(listener: &TcpListener) -> std::io::Result<TcpListener> {
    TcpListener::from_std(SockRef::from(listener).try_clone()?.into())
}

/// Answers probes and scrapers of a program that judges nothing, within the limits of a server's admin port.
///
/// # Errors
/// When its thread cannot be started.
pub fn serve_probes(listener: TcpListener, router: Router) -> std::io::Result<Admin> {
    // Nobody reads its metrics: what is crowded is in the log.
    let crowding = Crowding::new(&Metrics::new());
    start(listener, with_headers(router), Limits::now().probes, crowding)
}

/// Answers probes and scrapers from now on.
pub(super) fn start(listener: TcpListener, router: Router, most: Most, crowding: Crowding) -> std::io::Result<Admin> {
    let listener = listener.into_std()?;
    let (end, ended) = oneshot::channel();
    let serve = move || -> std::io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                () = accept_plain(listener, router, most, crowding) => {}
                _ = ended => {}
            }
            Ok(())
        })
    };
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        if let Err(error) = serve() {
            tracing::error!(%error, "the admin port cannot be served");
        }
    })?;
    Ok(Admin { end: Some(end), thread: Some(thread) })
}

/// The admin port's routes. What they tell is read without waiting for any worker.
pub(super) fn router(app: Arc<App>) -> Router {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(app);
    with_headers(router)
}

async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    answer_readiness(&app.checks(), query.as_deref())
}

/// The answer of `/readyz`, which names the conditions if it is asked to, or one of them fails.
pub fn answer_readiness(checks: &[Check], query: Option<&str>) -> (StatusCode, String) {
    let ready = checks.iter().all(Check::passes);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("verbose")));
    let mut text = String::new();
    if is_verbose || !ready {
        for check in checks {
            text += &format!("{check}\n");
        }
    }
    text += if ready { "ok\n" } else { "not ready\n" };
    (status, text)
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.refresh_gauges();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::super::crowding::Crowding;
    use super::start;
    use crate::metrics::Metrics;
    use crate::server::limits::Most;

    /// The one worker of this test waits for the answer itself.
    #[tokio::test(flavor = "current_thread")]
    async fn probes_are_answered_while_every_worker_is_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let router = Router::new().route("/livez", get(|| async { "ok\n" }));
        let crowding = Crowding::new(&Metrics::new());
        let admin = start(listener, router, Most { all: 8, address: 8 }, crowding).expect("a thread");
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
        drop(admin);
    }
}
