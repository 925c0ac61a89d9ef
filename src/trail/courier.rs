//! Carries the spool to a sink: in order, at least once, and however long that takes.
//!
//! Each sink has a courier of its own, so that a slow one delays neither another nor an admission. How far it has come
//! lies beside the spool; after a crash it begins a little before that, and what a sink gets twice is told apart by
//! stream and sequence number.

mod refusals;
mod route;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::record::{Class, Record};
use super::sink::{Batch, BatchLimits, Refused, Sink, SinkError};
use super::spool::Index;
use crate::redaction::redact;
use refusals::Refusals;
use route::{Route, load, read_cursor};

/// The pause after the first failure, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a sink may ask to be left alone.
const LONGEST_REST: Duration = Duration::from_mins(5);
/// Maximum time for a delivery before it counts as failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A sink did not answer within [`PATIENCE`].
#[derive(Debug, thiserror::Error)]
#[error("it did not answer in time")]
struct DeliveryTimeout;

/// Counters of a courier, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that the sink took.
    pub delivered: AtomicU64,
    /// Deliveries that failed.
    pub failures: AtomicU64,
    /// Records that were gone before the sink took them.
    pub lost: AtomicU64,
}

/// Carries the spool to one sink.
pub struct Courier {
    name: String,
    sink: Box<dyn Sink>,
    index: Arc<Index>,
    cursor: PathBuf,
    counters: Arc<Counters>,
    routes: [Route; 3],
    /// Records that the sink refused of each stream.
    refusals: [Refusals; 3],
    /// Streams of which the sink had more records than there are: how many, and how many there are.
    ahead: Vec<(Class, u64, u64)>,
}

/// Outcome of one attempt to deliver records of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Carried,
    /// The records wait for a fuller batch, until then.
    Gathering(Instant),
    Nothing,
}

/// Every courier of a spool.
#[derive(Default)]
pub struct Couriers {
    running: Vec<(String, Arc<Counters>, JoinHandle<()>)>,
    index: Option<Arc<Index>>,
    /// Set at shutdown: deliver at once, do not wait to fill batches.
    flush: watch::Sender<bool>,
}

impl Courier {
    /// A courier for the sink of that name, over the spool in `directory`. It goes on where it was.
    ///
    /// # Errors
    /// When the folder of its position cannot be created.
    pub fn new(name: &str, sink: Box<dyn Sink>, index: &Arc<Index>, directory: &Path) -> io::Result<Self> {
        let folder = directory.join("cursors");
        std::fs::create_dir_all(&folder)?;
        let cursor = folder.join(format!("{name}.json"));
        let (next, ahead) = read_cursor(&cursor, index);
        index.register(name, next);
        let routes = next.map(|next| Route { next, ..Route::default() });
        let (name, index) = (name.to_owned(), Arc::clone(index));
        Ok(Self { name, sink, index, cursor, counters: Arc::default(), routes, refusals: Default::default(), ahead })
    }

    /// The records of the streams of which the sink has had more than there are. A sink gets nothing that is not on the
    /// disk: records were taken from the spool's end, or it is an older copy of what it was.
    pub(super) fn ahead(&self) -> Vec<(Class, Vec<u8>)> {
        let time = Timestamp::now();
        let record = |(class, had, end): &(Class, u64, u64)| {
            let record = Record::SinkAhead { time, sink: &self.name, had: *had, end: *end };
            (*class, record.to_bytes())
        };
        self.ahead.iter().map(record).collect()
    }

    async fn run(mut self, mut flush: watch::Receiver<bool>) {
        let mut changes = self.index.changes();
        loop {
            changes.mark_unchanged();
            let is_flushing = *flush.borrow_and_update();
            let (mut has_moved, mut due) = (false, None);
            for class in Class::ALL {
                match self.carry(class, is_flushing, &mut flush).await {
                    Step::Carried => has_moved = true,
                    Step::Gathering(until) => due = Some(due.map_or(until, |due: Instant| due.min(until))),
                    Step::Nothing => {}
                }
            }
            if has_moved {
                continue;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                Ok(()) = flush.changed() => {}
            }
        }
    }

    /// Until when what comes next of a stream waits for more to come, if it does.
    fn gathering(&mut self, class: Class) -> Option<Instant> {
        let BatchLimits { bytes, wait, .. } = self.sink.limits();
        let route = &mut self.routes[class.index()];
        if wait.is_zero() {
            return None;
        }
        let segment = self.index.segment(class, route.next)?;
        let due = *route.since.get_or_insert_with(Instant::now) + wait;
        let before = route.place.filter(|(first, _)| *first == segment.first).map_or(0, |(_, before)| before);
        let is_growing = self.index.segment(class, segment.end).is_none();
        (is_growing && segment.bytes - before < bytes && Instant::now() < due).then_some(due)
    }

    /// Hands over what comes next of a stream.
    async fn carry(&mut self, class: Class, is_flushing: bool, flush: &mut watch::Receiver<bool>) -> Step {
        if let Some(due) = self.gathering(class).filter(|_| !is_flushing) {
            return Step::Gathering(due);
        }
        let (index, route, limits) = (Arc::clone(&self.index), self.routes[class.index()].clone(), self.sink.limits());
        let load = tokio::task::spawn_blocking(move || load(&index, class, route, limits)).await;
        let loaded = match load {
            Ok(Ok(Some(loaded))) => loaded,
            Ok(Err(error)) => {
                tracing::error!(%error, sink = self.name, class = class.as_str(), "the spool could not be read");
                tokio::time::sleep(PAUSE).await;
                return Step::Carried;
            }
            Ok(Ok(None)) | Err(_) => return Step::Nothing,
        };
        if loaded.lost > 0 {
            tracing::error!(
                sink = self.name,
                class = class.as_str(),
                lost = loaded.lost,
                "records were gone before the sink took them"
            );
            self.counters.lost.fetch_add(loaded.lost, Ordering::Relaxed);
        }
        let stream = self.index.stream(class);
        let mut batch = Batch { stream: &stream, class, first: loaded.first, bytes: &loaded.bytes };
        let (mut pause, mut aside) = (PAUSE, 0);
        while !batch.bytes.is_empty() {
            let failure = match tokio::time::timeout(PATIENCE, self.sink.deliver(&batch)).await {
                Ok(Ok(())) => break,
                Ok(Err(failure)) => failure,
                Err(_) => SinkError::of(DeliveryTimeout),
            };
            // It may quote what the other end answered.
            let error = redact(&failure.to_string()).into_owned();
            match self.refusals[class.index()].failed(failure.refused.as_ref()) {
                refusals::Step::Narrow => continue,
                refusals::Step::Again => {}
                refusals::Step::SetAside => {
                    let refused = failure.refused.unwrap_or_default();
                    if self.set_aside(&batch, &refused, &error).await {
                        aside += refused.records.len() as u64;
                        (batch, pause) = (batch.from(refused.next), PAUSE);
                        continue;
                    }
                }
            }
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            let rest = failure.retry_after.unwrap_or_default().min(LONGEST_REST).max(pause);
            tracing::warn!(%error, sink = self.name, pause_ms = rest.as_millis(), "a sink did not take its records; they are kept");
            // At the end there is no time for long pauses: it may be back.
            let is_over = async { flush.wait_for(|is_flushing| *is_flushing).await.is_ok() };
            match tokio::time::timeout(rest, is_over).await {
                Ok(_) if *flush.borrow() => tokio::time::sleep(PAUSE).await,
                _ => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
        if !loaded.bytes.is_empty() {
            self.counters.delivered.fetch_add(loaded.route.next - loaded.first - aside, Ordering::Relaxed);
        }
        let next = loaded.route.next;
        self.routes[class.index()] = loaded.route;
        if let Err(error) = self.save() {
            tracing::warn!(%error, sink = self.name, "the position of a sink could not be saved");
        }
        // Only now may it be removed: it must not be missed after a crash.
        self.index.taken(&self.name, class, next);
        Step::Carried
    }

    /// Sets aside what the sink refuses of a batch; says whether that could be done.
    async fn set_aside(&mut self, batch: &Batch<'_>, refused: &Refused, why: &str) -> bool {
        for (seq, line) in batch.records().filter(|(seq, _)| refused.records.contains(seq)) {
            let (index, sink, stream, class) =
                (Arc::clone(&self.index), self.name.clone(), batch.stream.to_owned(), batch.class);
            let (line, said) = ([line, b"\n"].concat(), why.to_owned());
            let put = move || index.aside().put(&sink, class, (&stream, seq), &line, &said);
            let kept = tokio::task::spawn_blocking(put).await.unwrap_or_else(|error| Err(io::Error::other(error)));
            match kept {
                Ok(dropped) => {
                    self.counters.lost.fetch_add(dropped, Ordering::Relaxed);
                    tracing::error!(
                        error = why,
                        sink = self.name,
                        class = batch.class.as_str(),
                        stream = batch.stream,
                        seq,
                        dropped,
                        "a sink refuses a record for good: it is set aside, and the next ones are delivered"
                    );
                }
                Err(error) => {
                    tracing::error!(%error, sink = self.name, seq, "a record that a sink refuses could not be set aside");
                    return false;
                }
            }
        }
        true
    }

    fn save(&self) -> io::Result<()> {
        let next: Vec<(String, u64)> =
            Class::ALL.map(|class| (self.index.stream(class), self.routes[class.index()].next)).into();
        let text = serde_json::to_vec(&next)?;
        let draft = self.cursor.with_extension("draft");
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, &self.cursor)
    }
}

impl Couriers {
    /// Sends each on its way.
    pub fn send(couriers: Vec<Courier>) -> Self {
        let index = couriers.first().map(|courier| Arc::clone(&courier.index));
        let flush = watch::Sender::new(false);
        let running = couriers
            .into_iter()
            .map(|courier| {
                (courier.name.clone(), Arc::clone(&courier.counters), tokio::spawn(courier.run(flush.subscribe())))
            })
            .collect();
        Self { running, index, flush }
    }

    /// Counters of each courier.
    pub fn counters(&self) -> impl Iterator<Item = (&str, &Counters)> {
        self.running.iter().map(|(name, counters, _)| (name.as_str(), &**counters))
    }

    /// Number of records that each has still to deliver.
    pub fn behind(&self) -> Vec<(String, u64)> {
        self.index.as_ref().map(|index| index.behind()).unwrap_or_default()
    }

    /// Waits until everything was carried, no longer than `patience`; then ends them all.
    pub async fn finish(&self, patience: Duration) {
        self.flush.send_replace(true);
        let all = async {
            while self.behind().iter().any(|(_, behind)| *behind > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            for (sink, behind) in self.behind().into_iter().filter(|(_, behind)| *behind > 0) {
                tracing::warn!(sink, behind, "records stay in the spool for the next start");
            }
        }
        self.running.iter().for_each(|(_, _, task)| task.abort());
    }
}
