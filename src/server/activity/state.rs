//! State of a connection: the event that it waits for, and its deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::clock::now;

/// From the first byte of a request's headers to their last.
pub(in super::super) const HEADERS: Duration = Duration::from_secs(10);
/// From an answer to its last byte. Longer than the three seconds that an API server waits for it, and than it may be held
/// up itself; whoever reads no faster holds what others need.
pub(in super::super) const SENDING: Duration = Duration::from_secs(5);
/// Without a request. Longer than the 90 seconds for which an API server keeps an idle connection: the side that sends ends
/// it, so that no request meets a connection that is being closed.
pub(in super::super) const IDLE: Duration = Duration::from_mins(2);
/// Time for which an answered review protects its connection: as long as an API server keeps an idle one.
pub(in super::super) const VOUCHED: Duration = Duration::from_secs(90);
/// The longest request of an honest caller that nothing holds up.
pub(in super::super) const SLOW: Duration = Duration::from_secs(1);

/// Reason to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Due {
    /// It makes room for another, or nothing came for long: what runs may finish.
    Leave,
    /// It has to end now.
    Cut,
    /// An answer was not read in time.
    Unread,
    /// Headers did not come in time.
    Headers,
}

/// Which connection makes room first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Rank {
    /// It is idle, and never carried an answered review.
    Unused,
    /// It is idle, and carried one longer ago than an API server keeps a connection.
    Stale,
    /// Its request is under way for longer than an honest one, and it carried no review lately.
    Slow,
    /// It is idle, and carried an answered review lately.
    Recent,
    /// Its request is slow, and it carried an answered review lately.
    SlowRecent,
}

/// Event that a connection waits for.
pub(super) struct State {
    /// Numbers of requests and answers; the first is 1.
    pub(super) next: u64,
    /// When each request that is not answered, or whose answer is not sent, began.
    pub(super) requests: BTreeMap<u64, Instant>,
    /// When each answer that is not sent was there.
    pub(super) answers: BTreeMap<u64, Instant>,
    /// Since when there is no request.
    pub(super) idle: Instant,
    /// When the first byte of unfinished headers came.
    pub(super) partial: Option<Instant>,
    /// Since when nothing more could be written.
    pub(super) stalled: Option<Instant>,
    /// When the last review was answered.
    pub(super) reviewed: Option<Instant>,
    pub(super) dismissed: Option<Due>,
    pub(super) is_leaving: bool,
    /// When the one who waits for the end looks again.
    pub(super) armed: Option<Instant>,
}

impl State {
    /// A connection that was accepted just now.
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            requests: BTreeMap::new(),
            answers: BTreeMap::new(),
            idle: now(),
            partial: None,
            stalled: None,
            reviewed: None,
            dismissed: None,
            is_leaving: false,
            armed: None,
        }
    }

    /// Which connection makes room, and among its like the longest first; `None` while it is at work.
    pub(super) fn standing(&self, at: Instant) -> Option<(Rank, Instant)> {
        let is_recent = self.reviewed.is_some_and(|reviewed| at.duration_since(reviewed) < VOUCHED);
        match self.requests.first_key_value() {
            None if is_recent => Some((Rank::Recent, self.idle)),
            None if self.reviewed.is_some() => Some((Rank::Stale, self.idle)),
            None => Some((Rank::Unused, self.idle)),
            Some((_, began)) if at.duration_since(*began) < SLOW => None,
            Some((_, began)) => Some((if is_recent { Rank::SlowRecent } else { Rank::Slow }, *began)),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn deadlines(&self) -> [(Due, Option<Instant>); 4] {
        let answer = self.answers.first_key_value().map(|(_, since)| *since);
        let is_idle = self.requests.is_empty() && !self.is_leaving;
        [
            (Due::Unread, answer.map(|since| since + SENDING)),
            (Due::Unread, self.stalled.map(|since| since + SENDING)),
            (Due::Headers, self.partial.map(|since| since + HEADERS)),
            (Due::Leave, is_idle.then(|| self.idle + IDLE)),
        ]
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines().into_iter().filter_map(|(_, at)| at).min()
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.dismissed == Some(Due::Leave) && self.is_leaving {
            self.dismissed = None;
        }
        let passed = |(due, at): (Due, Option<Instant>)| at.is_some_and(|at| at <= now).then_some(due);
        self.dismissed.or_else(|| self.deadlines().into_iter().find_map(passed))
    }
}
