//! Logs: JSON on standard error, one line a request, never a body.

use std::panic;

use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise. What kube's client cannot parse, which could be a Secret, it would warn of in
/// full. What krafka finds at every attempt, our sink says once a delivery.
const FILTER: &str = "info,kube=warn,kube_client::client=error,krafka=error";

/// Starts logging; `PORTCULLIS_LOG` sets the filter, as in `tracing_subscriber::EnvFilter`. A panic is logged by its
/// place alone: its words may quote what it was working on.
pub fn start() {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say so on standard error, and panic where nobody reads that.
        .log_internal_errors(false)
        .init();
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic was caught; this is a flaw in the program, please report it");
    }));
}
