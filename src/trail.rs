//! The audit trail: every decision, one line of JSON, each line bound to the one before it by its hash.
//!
//! One thread owns the chains and the output. A request hands its event over and waits for the acknowledgement, so no
//! answer leaves before its record is written; events that wait together are written together. Where nothing is promised
//! nobody waits, and a moment's events are written at once.

mod backend;
mod connect;
mod courier;
mod open;
mod proof;
mod read;
mod record;
mod settings;
pub mod sink;
mod spool;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

pub use courier::{Counters, Courier, Couriers};
pub use open::{Named as NamedSink, OpenError, open};
pub use proof::{Chain, Fault, KeyError, Report, Signer, StreamReport, Verification, Verifier, verify};
pub use read::{Inputs, Notice, ReadError, database, query, segments_of, verify_database, verify_folder};
pub use record::{
    Caller, Class, Event, Omitted, Origin, PseudonymKeyError, RECORD, Reason, Record, Redaction, Sampler, Standing,
    Stranger, cut,
};
pub use settings::{KeySettings, Settings};
pub use spool::{Guarantee, Index, Output, OutputError, Segment, SetAside, Spool, SpoolSettings, TrailError};

use backend::Backend;
use spool::TICK;

/// Events that may wait to be written.
const QUEUE: usize = 4_096;
/// Events written together.
const BATCH: usize = 256;
/// Time for which events gather where nothing is promised: they are lost when the process is killed, and cost one write and
/// one wake-up.
const GATHERING: Duration = Duration::from_millis(5);

/// The way into the trail.
#[derive(Clone)]
pub struct Trail {
    queue: mpsc::Sender<Message>,
    guarantee: Guarantee,
    index: Option<Arc<Index>>,
    counts: Arc<Counts>,
}

/// Errors, counted by the writer.
#[derive(Debug, Default)]
struct Counts {
    /// Records that were removed although some sink needed them.
    lost: AtomicU64,
    /// Records of each class that were removed before their retention.
    early: [AtomicU64; 3],
    /// Seconds by which the wall clock is too far ahead.
    ahead: AtomicU64,
    /// Events that could not be written after nobody waited for them any more.
    unheard: AtomicU64,
}

enum Message {
    Event(Entry),
    Tick,
    Key(Signer),
    Stop(oneshot::Sender<Result<(), TrailError>>),
}

struct Entry {
    class: Class,
    source: Option<IpAddr>,
    body: Vec<u8>,
    /// Channel of the caller that waits for it, if any.
    written: Option<oneshot::Sender<Result<String, TrailError>>>,
}

impl Message {
    /// An event that nobody waits for.
    fn is_left_behind(&self) -> bool {
        matches!(self, Self::Event(Entry { written: None, .. }))
    }
}

/// Contents of the first record of each stream.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Name of the cluster.
    pub cluster: String,
    /// Digest of the configuration in force.
    pub configuration: String,
}

impl Beginning {
    fn record(&self, torn: u64) -> Vec<u8> {
        let (cluster, configuration) = (self.cluster.as_str(), self.configuration.as_str());
        let (time, version) = (Timestamp::now(), env!("CARGO_PKG_VERSION"));
        Record::Start { time, cluster, configuration, version, torn }.to_bytes()
    }
}

impl Trail {
    /// Starts a trail that goes straight to `output`.
    ///
    /// # Errors
    /// When the first record cannot be written.
    pub fn direct(mut output: Output, beginning: &Beginning) -> Result<Self, OutputError> {
        let first = beginning.record(output.torn());
        output.append(&[first])?;
        Self::run(Backend::Direct(output), Guarantee::Durable, None)
    }

    /// Starts a trail in a spool. Needs a runtime.
    ///
    /// # Errors
    /// When the first records cannot be written.
    pub fn spooled(mut spool: Spool, beginning: &Beginning) -> Result<Self, OutputError> {
        spool.start(|torn| beginning.record(torn))?;
        let (guarantee, index) = (spool.guarantee(), Arc::clone(spool.index()));
        let trail = Self::run(Backend::Spool(Box::new(spool)), guarantee, Some(index))?;
        let queue = trail.queue.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK.unsigned_abs()).await;
                let Some(queue) = queue.upgrade() else { break };
                if queue.send(Message::Tick).await.is_err() {
                    break;
                }
            }
        });
        Ok(trail)
    }

    fn run(mut backend: Backend, guarantee: Guarantee, index: Option<Arc<Index>>) -> Result<Self, OutputError> {
        let (queue, mut messages) = mpsc::channel(QUEUE);
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let write = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while messages.blocking_recv_many(&mut batch, BATCH) > 0 {
                if batch.iter().all(Message::is_left_behind) {
                    std::thread::sleep(GATHERING);
                    batch.extend(std::iter::from_fn(|| messages.try_recv().ok()).take(QUEUE));
                }
                if let Some(answer) = backend.take(&mut batch, &counted) {
                    let stopped = backend.stop().map_err(|error| TrailError::Output(error.to_string()));
                    // Nobody may wait any more. Dropping what is left tells its senders that the trail is closed.
                    let _ = answer.send(stopped);
                    messages.close();
                    let rest = batch.drain(..).chain(std::iter::from_fn(|| messages.try_recv().ok()));
                    let left = rest.filter(Message::is_left_behind).count();
                    if left > 0 {
                        tracing::error!(events = left, "decisions came after the end of the trail, and are not in it");
                    }
                    break;
                }
                backend.count(&counted);
            }
        };
        std::thread::Builder::new().name("trail".to_owned()).spawn(write)?;
        Ok(Self { queue, guarantee, index, counts })
    }

    /// Records an event, and returns its id (`stream:seq`) once what is promised of it holds. `source` is the address of
    /// a caller that nobody knows.
    ///
    /// # Errors
    /// [`TrailError`]: then there is no record.
    pub async fn record(&self, class: Class, source: Option<IpAddr>, body: Vec<u8>) -> Result<String, TrailError> {
        let (written, answer) = oneshot::channel();
        self.enqueue(Entry { class, source, body, written: Some(written) })?;
        answer.await.unwrap_or(Err(TrailError::Closed))
    }

    /// Hands an event over, and waits for nothing. One that cannot be written later is counted ([`Self::take_unheard`]).
    ///
    /// # Errors
    /// [`TrailError`]: then there is no record.
    pub fn hand_over(&self, class: Class, source: Option<IpAddr>, body: Vec<u8>) -> Result<(), TrailError> {
        self.enqueue(Entry { class, source, body, written: None })
    }

    fn enqueue(&self, entry: Entry) -> Result<(), TrailError> {
        self.queue.try_send(Message::Event(entry)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TrailError::Full,
            mpsc::error::TrySendError::Closed(_) => TrailError::Closed,
        })
    }

    /// Another key signs checkpoints from now on.
    pub async fn sign_with(&self, signer: Signer) {
        let _ = self.queue.send(Message::Key(signer)).await;
    }

    /// The guarantee for each record.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Index of the spool, where there is one.
    pub fn index(&self) -> Option<&Arc<Index>> {
        self.index.as_ref()
    }

    /// Records that were removed although some sink needed them.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Records of each class that were removed before their retention, for want of room.
    pub fn early(&self) -> [(Class, u64); 3] {
        Class::ALL.map(|class| (class, self.counts.early[class.index()].load(Ordering::Relaxed)))
    }

    /// Seconds by which the wall clock is too far ahead for anything to be removed by its age; 0 where it is believed.
    pub fn ahead(&self) -> u64 {
        self.counts.ahead.load(Ordering::Relaxed)
    }

    /// Events, since this was last asked, that were lost after nobody waited for them any more.
    pub fn take_unheard(&self) -> u64 {
        self.counts.unheard.swap(0, Ordering::Relaxed)
    }

    /// Events that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Records the clean end. Whatever comes later is refused: `stop` is the last record.
    ///
    /// # Errors
    /// [`TrailError`]: then the trail has no clean end.
    pub async fn stop(&self) -> Result<(), TrailError> {
        let (stopped, answer) = oneshot::channel();
        self.queue.send(Message::Stop(stopped)).await.map_err(|_| TrailError::Closed)?;
        answer.await.unwrap_or(Err(TrailError::Closed))
    }
}
