//! Logs: JSON on standard error, one line a request, never a body.

mod flood;
mod lines;

use std::io::{self, Stderr, Write};
use std::panic;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use flood::Flood;
use lines::{Lines, place};

use crate::escape::escaped_json;

/// Default log filter. What kube's client cannot parse, which could be a Secret, it would warn of in
/// full. What krafka finds at every attempt, our sink says once a delivery.
const FILTER: &str = "info,kube=warn,kube_client::client=error,krafka=error";

/// Counter of the warnings of this process.
static FLOOD: OnceLock<Flood> = OnceLock::new();

/// Starts logging; `PORTCULLIS_LOG` sets the filter, as in `tracing_subscriber::EnvFilter`. A panic is logged by its
/// place alone: its words may quote what it was working on.
pub fn start() {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let flood = FLOOD.get_or_init(Flood::default);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines::new())
        .fmt_fields(JsonFields::new())
        .with_writer(|| Escaping(std::io::stderr()))
        // It would say so on standard error, and panic where nobody reads that.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(flood.clone()).with(lines).init();
    if let Err(error) = flood.watch() {
        tracing::warn!(%error, "no thread counts warnings anew: after some of a kind, no more are written");
    }
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| place(at.file(), at.line())).unwrap_or_default();
        tracing::error!(place, "a panic was caught; this is a flaw in the program, please report it");
    }));
}

/// Says what was counted instead of written, before the process ends.
pub fn finish() {
    if let Some(flood) = FLOOD.get() {
        flood.report();
    }
}

/// Writes lines of JSON with what is not plain in them escaped: a name may hold what moves a cursor or turns text around.
struct Escaping(Stderr);

impl Write for Escaping {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line comes whole.
        self.0.write_all(escaped_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
