//! The writing end of a trail: straight to an output, or into a spool.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::record::{Class, Record};
use super::spool::{Guarantee, Item, Output, OutputError, Spool, TrailError};
use super::{BATCH, Counts, Entry, Message};

/// Destination of records.
pub(super) enum Backend {
    /// Straight to their end, all in one stream.
    Direct(Output),
    /// To a disk of ours, from where sinks take them.
    Spool(Box<Spool>),
}

impl Backend {
    /// Does what a batch asks for, in its order, up to the end, if that is asked for; hands out who waits for it.
    pub(super) fn take(
        &mut self,
        batch: &mut Vec<Message>,
        counts: &Counts,
    ) -> Option<oneshot::Sender<Result<(), TrailError>>> {
        let is_patient = matches!(self, Self::Spool(spool) if spool.guarantee() == Guarantee::Buffered);
        let mut entries = Vec::with_capacity(batch.len());
        let end = batch.iter().position(|message| matches!(message, Message::Stop(_)));
        for message in batch.drain(..end.map_or(batch.len(), |end| end + 1)) {
            if entries.len() >= BATCH {
                self.write(&mut entries, counts);
            }
            match message {
                // Whoever gave up waiting has answered that the decision could not be recorded, unless nothing was
                // promised of it. One that gives up while its line is being written leaves that line behind.
                Message::Event(entry) => {
                    let is_given_up = !is_patient && entry.written.as_ref().is_some_and(oneshot::Sender::is_closed);
                    entries.extend((!is_given_up).then_some(entry));
                }
                Message::Tick => {
                    self.write(&mut entries, counts);
                    if let Self::Spool(spool) = self {
                        spool.tick(Timestamp::now());
                    }
                }
                Message::Key(signer) => {
                    self.write(&mut entries, counts);
                    if let Self::Spool(spool) = self {
                        spool.sign_with(signer);
                    }
                }
                Message::Stop(answer) => {
                    self.write(&mut entries, counts);
                    return Some(answer);
                }
            }
        }
        self.write(&mut entries, counts);
        None
    }

    fn write(&mut self, entries: &mut Vec<Entry>, counts: &Counts) {
        if entries.is_empty() {
            return;
        }
        let results = match self {
            Self::Direct(output) => {
                let bodies: Vec<&[u8]> = entries.iter().map(|entry| entry.body.as_slice()).collect();
                match output.append(&bodies) {
                    Ok(first) => (first..).map(Ok).take(entries.len()).collect(),
                    Err(error) => vec![Err(TrailError::Output(error.to_string())); entries.len()],
                }
            }
            Self::Spool(spool) => {
                let items: Vec<Item<'_>> = entries
                    .iter()
                    .map(|entry| Item { class: entry.class, source: entry.source, body: &entry.body })
                    .collect();
                spool.append(&items, Timestamp::now())
            }
        };
        let failed = results.iter().filter(|result| result.is_err()).count();
        if let Some(Err(error)) = results.iter().find(|result| result.is_err()) {
            tracing::error!(%error, events = failed, "decisions could not be recorded");
        }
        for (Entry { class, written, .. }, result) in entries.drain(..).zip(results) {
            let is_error = result.is_err();
            // Nobody may wait, or not any more.
            let is_heard = written.is_some_and(|written| written.send(result.map(|seq| self.id(class, seq))).is_ok());
            if is_error && !is_heard {
                counts.unheard.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn stop(&mut self) -> Result<(), OutputError> {
        match self {
            Self::Direct(output) => {
                let last = Record::Stop { time: Timestamp::now(), note: None }.to_bytes();
                output.append(&[last]).map(drop)
            }
            Self::Spool(spool) => Ok(spool.stop()?),
        }
    }

    fn id(&self, class: Class, seq: u64) -> String {
        match self {
            Self::Direct(output) => output.id(seq),
            Self::Spool(spool) => spool.id(class, seq),
        }
    }

    /// Counts what went missing.
    pub(super) fn count(&mut self, counts: &Counts) {
        let Self::Spool(spool) = self else { return };
        let losses = spool.take_losses();
        counts.lost.fetch_add(losses.lost, Ordering::Relaxed);
        for (counted, early) in counts.early.iter().zip(losses.early) {
            counted.fetch_add(early, Ordering::Relaxed);
        }
        let ahead = spool.ahead().map_or(0, |ahead| ahead.as_secs().unsigned_abs());
        counts.ahead.store(ahead, Ordering::Relaxed);
    }
}
