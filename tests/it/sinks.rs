//! Sinks that connect, tried from end to end: a spool that fills, couriers, and something real at the other end.

pub(crate) mod moto;
pub(crate) mod proxy;
pub(crate) mod receiver;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::SignedDuration;
use portcullis::trail::{
    Beginning, Class, Courier, Couriers, Guarantee, Index, Spool, SpoolSettings, Trail, segments_of, sink,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The most that a test waits for anything: a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// The cluster that every trail here is of.
pub(crate) const CLUSTER: &str = "cluster-a";

/// A trail in a spool of its own.
pub(crate) struct Spooled {
    pub(crate) trail: Trail,
    pub(crate) index: Arc<Index>,
    folder: TempDir,
}

impl Spooled {
    /// Begins one, with segments of some bytes.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SpoolSettings {
            directory: folder.path().join("spool"),
            guarantee: Guarantee::Durable,
            segment_bytes,
            max_bytes: 1 << 30,
            retention: [SignedDuration::from_hours(24); 3],
        };
        let spool = Spool::open(settings, None).expect("a spool");
        let index = Arc::clone(spool.index());
        let beginning = Beginning { cluster: CLUSTER.to_owned(), configuration: "0".repeat(64) };
        Self { trail: Trail::spooled(spool, &beginning).expect("a trail"), index, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Records decisions, numbered from `from` on, of every class.
    pub(crate) async fn decide(&self, from: usize, count: usize) {
        let numbers: Vec<usize> = (from..from + count).collect();
        for together in numbers.chunks(256) {
            let recorded = together.iter().map(|number| {
                let (class, body) = decision(*number);
                self.trail.record(class, None, body)
            });
            join_all(recorded).await.into_iter().for_each(|id| assert!(id.is_ok(), "{id:?}"));
        }
    }

    /// Sends a courier for each sink.
    pub(crate) async fn carry(&self, sinks: &[(&str, &sink::Settings)]) -> Couriers {
        let mut couriers = Vec::new();
        for (name, settings) in sinks {
            let opened = settings.open(CLUSTER).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            couriers.push(Courier::new(name, opened, &self.index, &self.path("spool")).expect("a courier"));
        }
        Couriers::send(couriers)
    }

    /// The lines of a class, as they lie in the spool.
    pub(crate) fn lines(&self, class: Class) -> Vec<u8> {
        let segments = segments_of(&self.path("spool").join(class.as_str())).expect("segments");
        segments.iter().flat_map(|segment| std::fs::read(segment).expect("a segment")).collect()
    }

    /// All lines of all classes, in order.
    pub(crate) fn all(&self) -> Vec<String> {
        let texts = Class::ALL.map(|class| String::from_utf8(self.lines(class)).expect("UTF-8"));
        texts.iter().flat_map(|text| text.lines().map(str::to_owned)).collect()
    }
}

/// Settings of a sink, from its configuration.
pub(crate) fn settings(value: &Value) -> sink::Settings {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// Why it cannot be opened.
pub(crate) async fn refusal(value: &Value) -> String {
    settings(value).open(CLUSTER).await.err().unwrap_or_else(|| panic!("{value}: it opened")).to_string()
}

/// Waits until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a sink has everything.
pub(crate) async fn caught_up(couriers: &Couriers, sink: &str) {
    eventually(&format!("the sink {sink}"), async || {
        couriers.behind().iter().any(|(name, behind)| name == sink && *behind == 0).then_some(())
    })
    .await;
}

/// Number of failed deliveries to a sink.
pub(crate) fn failures(couriers: &Couriers, sink: &str) -> u64 {
    let found = couriers.counters().find(|(name, _)| *name == sink).map(|(_, counters)| counters);
    found.map_or(0, |counters| counters.failures.load(Ordering::Relaxed))
}

/// A runtime as the program has it.
pub(crate) fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test)
}

fn decision(number: usize) -> (Class, Vec<u8>) {
    let (class, decision) = match number % 10 {
        0..=6 => (Class::Allow, "allow"),
        7 => (Class::Refused, "deny"),
        8 => (Class::Refused, "error"),
        _ => (Class::Access, "allow"),
    };
    let event = json!({
        "time": "2026-05-04T03:02:01.123456Z", "cluster": CLUSTER, "endpoint": "validate", "uid": format!("uid-{number}"),
        "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "payments",
        "name": format!("web-{number}"), "user": {"name": "alice \u{1f511} \"quoted\""}, "decision": decision,
        "allowed": decision == "allow",
    });
    (class, event.to_string().into_bytes())
}
