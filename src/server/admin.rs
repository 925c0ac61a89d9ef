//! `/livez`, `/readyz` and `/metrics`: plain HTTP, for probes and scrapers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::App;

/// The admin port's routes.
pub(super) fn router(app: Arc<App>) -> Router {
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
