//! What is remembered: every decision, one line of JSON, each line bound to the one before it by its hash.
//!
//! One thread owns the chain and the output. A request hands its event over and waits for the acknowledgement, so no
//! answer leaves before its record is written; events that wait together are written together.

mod chain;
mod event;
mod output;
mod verify;

use tokio::sync::{mpsc, oneshot};

pub use chain::Chain;
pub use event::{Caller, Event, Record, cut};
pub use output::{Output, OutputError};
pub use verify::{Report, Tampered, verify};

/// Events that may wait to be written.
const QUEUE: usize = 4_096;
/// Events written together.
const BATCH: usize = 256;

/// The way into the trail.
#[derive(Clone)]
pub struct Trail {
    queue: mpsc::Sender<Entry>,
}

struct Entry {
    body: Vec<u8>,
    is_last: bool,
    written: oneshot::Sender<Result<String, TrailError>>,
}

/// Why an event was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailError {
    /// More events wait than may.
    #[error("too many events wait to be written")]
    Full,
    /// The output refused it.
    #[error("the trail could not be written: {0}")]
    Output(String),
    /// The writer has ended.
    #[error("the trail is closed")]
    Closed,
}

impl Trail {
    /// Starts a trail on `output` with a first record.
    ///
    /// # Errors
    /// When the first record cannot be written.
    pub fn start(mut output: Output, first: &Record<'_>) -> Result<Self, OutputError> {
        let mut ids = Vec::new();
        output.append(&[first.to_bytes()], &mut ids)?;
        let (queue, mut entries) = mpsc::channel::<Entry>(QUEUE);
        let write = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while entries.blocking_recv_many(&mut batch, BATCH) > 0 {
                let last = batch.iter().position(|entry| entry.is_last);
                // Dropping an entry tells its sender that the trail is closed.
                batch.truncate(last.map_or(batch.len(), |last| last + 1));
                // Whoever gave up waiting has answered that the decision could not be recorded. One that gives up while
                // its line is being written leaves that line behind.
                batch.retain(|entry| !entry.written.is_closed());
                write(&mut output, &mut batch);
                if last.is_some() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("trail".to_owned()).spawn(write)?;
        Ok(Self { queue })
    }

    /// Records an event, and returns its id (`stream:seq`) once it is written.
    ///
    /// # Errors
    /// [`TrailError`]: then there is no record.
    pub async fn record(&self, body: Vec<u8>) -> Result<String, TrailError> {
        self.send(body, false).await
    }

    async fn send(&self, body: Vec<u8>, is_last: bool) -> Result<String, TrailError> {
        let (written, answer) = oneshot::channel();
        self.queue.try_send(Entry { body, is_last, written }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TrailError::Full,
            mpsc::error::TrySendError::Closed(_) => TrailError::Closed,
        })?;
        answer.await.unwrap_or(Err(TrailError::Closed))
    }

    /// Events that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Records the clean end. Whatever comes later is refused: `stop` is the last record.
    ///
    /// # Errors
    /// [`TrailError`]: then the trail has no clean end.
    pub async fn stop(&self, last: &Record<'_>) -> Result<(), TrailError> {
        self.send(last.to_bytes(), true).await.map(|_| ())
    }
}

fn write(output: &mut Output, batch: &mut Vec<Entry>) {
    let mut ids = Vec::with_capacity(batch.len());
    let bodies: Vec<&[u8]> = batch.iter().map(|entry| entry.body.as_slice()).collect();
    let result = output.append(&bodies, &mut ids).map_err(|error| TrailError::Output(error.to_string()));
    if let Err(error) = &result {
        tracing::error!(%error, events = batch.len(), "decisions could not be recorded");
    }
    for (position, entry) in batch.drain(..).enumerate() {
        let answer = result.clone().map(|()| ids.get(position).cloned().unwrap_or_default());
        // Nobody may wait any more.
        let _ = entry.written.send(answer);
    }
}
