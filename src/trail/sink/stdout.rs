//! Standard output, for whoever collects a container's output.

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::{Batch, Delivery, Sink, SinkError};
use crate::trail::spool::write;

/// Settings: none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// The sink. Nothing can be taken back: what was begun of a batch is finished before anything else.
#[derive(Default)]
pub(super) struct Stdout {
    /// Bytes that were written of the batch that comes next.
    done: usize,
    /// The write in progress, and its bytes. It goes on where nobody waits for it any more.
    writing: Option<(usize, JoinHandle<Written>)>,
}

/// Nothing, or how many bytes were written before it failed.
type Written = Result<(), (usize, std::io::Error)>;

impl Stdout {
    pub(super) fn open(_: &Settings) -> Self {
        Self::default()
    }
}

impl Sink for Stdout {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(async move {
            while self.done < batch.bytes.len() {
                let (length, writing) = self.writing.get_or_insert_with(|| {
                    let rest = batch.bytes[self.done..].to_vec();
                    (rest.len(), tokio::task::spawn_blocking(move || write(&rest)))
                });
                let (length, written) = (*length, writing.await);
                self.writing = None;
                match written.map_err(SinkError::of)? {
                    Ok(()) => self.done += length,
                    Err((count, error)) => {
                        self.done += count;
                        return Err(SinkError::of(error));
                    }
                }
            }
            self.done = 0;
            Ok(())
        })
    }
}
