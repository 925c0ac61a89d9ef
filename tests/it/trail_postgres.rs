//! The trail in PostgreSQL: every record once, in order and unchanged, whatever happens on the way.

mod access;
mod columns;
mod outages;
mod reading;
mod retention;
mod served;
mod tampering;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::decision::{Endpoint, decide_at_once};
use portcullis::request::Source;
use portcullis::trail::sink::Sink;
use portcullis::trail::{
    Beginning, Caller, Class, Courier, Couriers, Event, Guarantee, Origin, Redaction, Spool, SpoolSettings, Trail,
    segments_of,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::judging::{configured, with_creation, world};
use crate::postgres::Postgres;
use crate::serve::{bad_pod, good_pod};

/// A trail in a spool, carried to one sink.
struct Carried {
    trail: Trail,
    couriers: Couriers,
    folder: TempDir,
}

impl Carried {
    fn to(sink: Box<dyn Sink>) -> Self {
        Self::over(tempfile::tempdir().expect("a folder"), sink)
    }

    /// Over a spool that may have been there before.
    fn over(folder: TempDir, sink: Box<dyn Sink>) -> Self {
        let settings = SpoolSettings {
            directory: folder.path().to_owned(),
            guarantee: Guarantee::Durable,
            segment_bytes: 4 << 20,
            max_bytes: 1 << 30,
            retention: [SignedDuration::from_hours(24); 3],
        };
        let spool = Spool::open(settings, None).expect("a spool");
        let index = Arc::clone(spool.index());
        let beginning = Beginning { cluster: "prod-1".to_owned(), configuration: "c0".to_owned() };
        let trail = Trail::spooled(spool, &beginning).expect("a trail");
        let courier = Courier::new("database", sink, &index, folder.path()).expect("a courier");
        Self { trail, couriers: Couriers::send(vec![courier]), folder }
    }

    async fn record(&self, class: Class, body: Vec<u8>) {
        self.trail.record(class, None, body).await.expect("recorded");
    }

    /// Number of records that the sink has not taken.
    fn behind(&self) -> u64 {
        self.couriers.behind().iter().map(|(_, behind)| behind).sum()
    }

    /// Ends the trail, once everything was taken.
    async fn finish(self) -> TempDir {
        self.trail.stop().await.expect("a clean end");
        self.couriers.finish(Duration::from_mins(4)).await;
        assert_eq!(self.behind(), 0, "not everything was delivered");
        self.folder
    }
}

/// Events of real decisions: one that admits, one that refuses.
fn events() -> [Vec<u8>; 2] {
    let snapshot = configured("profile: hardened\n");
    [good_pod(), bad_pod()].map(|pod| {
        with_creation(&snapshot, &pod, Source::ApiServer, |request| {
            let decision = decide_at_once(&snapshot, request, &world(""));
            let origin = Origin { cluster: "prod-1", redaction: &Redaction::default() };
            let bytes = Event::new(request, Endpoint::Validate, Caller::Certificate, origin, &decision, 123).to_bytes();
            let (then, now) = (format!("{:.6}", request.received), format!("{:.6}", Timestamp::now()));
            String::from_utf8(bytes).expect("text").replace(&then, &now).into_bytes()
        })
        .expect("readable")
    })
}

/// The lines of a spool, of each stream in its order.
fn spooled(folder: &Path) -> Vec<String> {
    let mut lines: Vec<(String, u64, String)> = Vec::new();
    for segment in segments_of(folder).expect("segments") {
        for line in std::fs::read_to_string(segment).expect("read").lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            let stream = record["stream"].as_str().expect("a stream").to_owned();
            lines.push((stream, record["seq"].as_u64().expect("a number"), line.to_owned()));
        }
    }
    lines.sort();
    lines.into_iter().map(|(.., line)| line).collect()
}

/// The lines of the database, in the same order.
async fn kept(postgres: &Postgres) -> Vec<String> {
    let client = postgres.superuser().await;
    let rows = client.query("SELECT line FROM portcullis.trail ORDER BY stream, seq", &[]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}
