//! `/livez`, `/readyz` and `/metrics`: plain HTTP, for probes and scrapers, on a thread of its own. However much the
//! workers have to do, the kubelet gets its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::App;
use super::connection::accept_plain;
use super::limits::Most;

/// The admin port's thread, which ends when this is dropped.
pub(super) struct Admin {
    _end: oneshot::Sender<()>,
}

/// Answers probes and scrapers from now on. What they are told is read without waiting for any worker.
pub(super) fn start(listener: TcpListener, app: Arc<App>, most: Most) -> std::io::Result<Admin> {
    let listener = listener.into_std()?;
    let (end, ended) = oneshot::channel();
    let serve = move || -> std::io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                () = accept_plain(listener, router(app), most) => {}
                _ = ended => {}
            }
            Ok(())
        })
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        if let Err(error) = serve() {
            tracing::error!(%error, "the admin port cannot be served");
        }
    })?;
    Ok(Admin { _end: end })
}

/// The admin port's routes.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(app)
}

async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let checks = app.checks();
    let ready = checks.iter().all(|check| check.passes);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("verbose")));
    let mut text = String::new();
    if is_verbose || !ready {
        for check in &checks {
            text += &format!("[{}]{} {}\n", if check.passes { '+' } else { '-' }, check.name, check.detail);
        }
    }
    text += if ready { "ok\n" } else { "not ready\n" };
    (status, text)
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.refresh_gauges();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
