//! Removal of segments: by age, and earlier where there is no room.

use std::fs::File;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::{Segment, Spool};
use crate::trail::record::{Class, Record};

/// Says that the clock was ahead when the program ended.
pub(super) const LEAPT: &str = "clock-leapt";

/// Reason why records are removed.
enum Reason {
    /// They are older than their class is kept.
    Age,
    /// There is no room: how many some sink had not taken, and how many went before their time.
    Size { lost: u64, early: u64 },
}

/// Losses of a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::trail) struct Losses {
    /// Records that were removed although some sink needed them.
    pub(in crate::trail) lost: u64,
    /// Records of each class that were removed before their retention, for want of room.
    pub(in crate::trail) early: [u64; 3],
}

impl Spool {
    /// Returns true if the wall clock is believed. That it leapt is remembered over a restart.
    pub(super) fn believes(&mut self, now: Timestamp, instant: Instant) -> bool {
        let (before, mark) = (self.ahead, self.settings.directory.join(LEAPT));
        self.ahead = self.clock.ahead(now, instant);
        match (before, self.ahead) {
            (None, Some(ahead)) if ahead.is_zero() => {
                tracing::info!(
                    "the last record is older than the start: nothing is removed by its age for ten minutes"
                );
            }
            (None | Some(SignedDuration::ZERO), Some(ahead)) if !ahead.is_zero() => {
                tracing::error!(
                    seconds = ahead.as_secs(),
                    "the wall clock leapt ahead: nothing is removed by its age until it is back, or ten minutes after a restart"
                );
                let _ = File::create(&mark);
            }
            (Some(_), None) => {
                tracing::info!("the wall clock is believed again");
                let _ = std::fs::remove_file(&mark);
            }
            _ => {}
        }
        self.ahead.is_none()
    }

    /// Removes what is older than its class is kept.
    pub(super) fn expire(&mut self, class: Class, now: Timestamp) {
        let kept = self.settings.retention[class.index()];
        let needed = self.index.needed(class);
        let is_old = |segment: &Segment| now.duration_since(segment.newest) >= kept && segment.end <= needed;
        if let Some(end) = self.index.end_of(class, is_old) {
            self.remove(class, end, Reason::Age, now);
        }
    }

    /// Removes one segment before its time: the oldest that every sink has taken, or, where others may be lost, the oldest
    /// of all. Says whether there was one.
    pub(super) fn make_room(&mut self, may_lose: bool, now: Timestamp) -> bool {
        let oldest = |is_free: &dyn Fn(Class, &Segment) -> bool| {
            let fronts = Class::ALL.into_iter().filter_map(|class| Some((class, self.index.front(class)?)));
            fronts.filter(|(class, front)| is_free(*class, front)).min_by_key(|(_, front)| front.newest)
        };
        let taken = oldest(&|class, front| front.end <= self.index.needed(class));
        let any = || if may_lose { oldest(&|_, _| true) } else { None };
        let Some((class, front)) = taken.or_else(any) else { return false };
        let lost = front.end.saturating_sub(self.index.needed(class).max(front.first));
        // Retention keeps a segment until its last record is old enough.
        let is_early = now.duration_since(front.newest) < self.settings.retention[class.index()];
        let early = if is_early { front.end - front.first } else { 0 };
        self.losses.lost += lost;
        self.losses.early[class.index()] += early;
        self.remove(class, front.end, Reason::Size { lost, early }, now)
    }

    /// Removes a class's records before `first`, after saying so in the stream.
    fn remove(&mut self, class: Class, first: u64, reason: Reason, now: Timestamp) -> bool {
        let (lost, early, reason) = match reason {
            Reason::Age => (0, 0, "age"),
            Reason::Size { lost, early } => (lost, early, "size"),
        };
        let stream = &mut self.streams[class.index()];
        let removed = first - self.index.front(class).map_or(first, |segment| segment.first);
        let body = Record::Retention { time: now, first, removed, lost, early, reason }.to_bytes();
        // On a full disk there is no room for the record until something is gone: it is made anew then.
        let said = stream.append(&[&body], now);
        let gone = stream.remove_before(first);
        if said.is_err() && gone.is_ok() {
            let _ = stream.append(&[&body], now);
        }
        self.shares.give_back(class, first);
        if lost > 0 {
            tracing::error!(class = class.as_str(), lost, "records were removed that some sink had not taken");
        }
        gone.inspect_err(|error| tracing::error!(%error, class = class.as_str(), "a segment could not be removed"))
            .is_ok()
    }
}
