//! The activity of one connection: its requests, its bytes, and when it has to end.

mod state;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::state::State;
use super::addresses;
use super::clock::now;
use super::frames::End;
use crate::lock::lock;

#[cfg(test)]
pub(super) use self::state::VOUCHED;
pub(super) use self::state::{Due, Rank};

/// Activity of a connection: its requests and its deadlines.
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
    began: watch::Sender<bool>,
}

/// The answer to one request. It is sent when this is dropped.
pub(super) struct Ticket {
    activity: Arc<Activity>,
    number: u64,
    /// Its place among the answers that are being sent; 0 before there is one.
    answer: AtomicU64,
    /// Set when it answers a review.
    is_review: AtomicBool,
    /// Share of an unknown caller's concurrent requests.
    _place: Option<addresses::Share>,
}

impl Activity {
    /// A connection that was accepted just now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new()), changed: Notify::new(), began: watch::Sender::new(false) })
    }

    /// A request's headers are there.
    pub(super) fn begin(self: &Arc<Self>, place: Option<addresses::Share>) -> Arc<Ticket> {
        self.began.send_if_modified(|began| !std::mem::replace(began, true));
        let number = self.change(|state| {
            state.partial = None;
            let number = state.number();
            state.requests.insert(number, now());
            number
        });
        let (answer, is_review) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Ticket { activity: Arc::clone(self), number, answer, is_review, _place: place })
    }

    /// Bytes came over HTTP/1.1: between requests, they are headers.
    pub(super) fn received(&self) {
        self.change(|state| {
            if state.requests.is_empty() {
                state.partial.get_or_insert_with(now);
            }
        });
    }

    /// Bytes came over HTTP/2, and end where this says.
    pub(super) fn received_frames(&self, end: End) {
        self.change(|state| match end {
            End::Whole => state.partial = None,
            End::Within => {
                state.partial.get_or_insert_with(now);
            }
            End::WithinNew => state.partial = Some(now()),
        });
    }

    /// True if no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.state).requests.is_empty()
    }

    /// Nothing more could be written, or something could.
    pub(super) fn stalled(&self, is_stalled: bool) {
        let mut state = lock(&self.state);
        if state.stalled.is_some() != is_stalled {
            state.stalled = is_stalled.then(now);
            self.rearm(&mut state);
        }
    }

    /// Asks the connection to end: [`Due::Leave`] or [`Due::Cut`].
    pub(super) fn dismiss(&self, due: Due) {
        lock(&self.state).dismissed = Some(due);
        self.changed.notify_one();
    }

    /// Waits for the first request.
    pub(super) async fn began(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.began.subscribe().wait_for(|began| *began).await;
    }

    /// Waits until the connection has to end; [`Due::Leave`] comes once.
    pub(super) async fn due(&self) -> Due {
        loop {
            let until = {
                let mut state = lock(&self.state);
                if let Some(due) = state.due(now()) {
                    state.is_leaving |= due == Due::Leave;
                    return due;
                }
                state.armed = state.deadline();
                state.armed
            };
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Who waits for the end looks again: it sleeps by a clock that tests do not move.
    #[cfg(test)]
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }

    /// Which connection makes room, and among its like the longest first; `None` while it is at work.
    pub(super) fn standing(&self, at: Instant) -> Option<(Rank, Instant)> {
        lock(&self.state).standing(at)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let changed = change(&mut state);
        self.rearm(&mut state);
        changed
    }

    /// Wakes the one who waits for the end where that comes earlier than it thinks.
    fn rearm(&self, state: &mut State) {
        if let Some(deadline) = state.deadline()
            && state.armed.is_none_or(|armed| deadline < armed)
        {
            state.armed = Some(deadline);
            self.changed.notify_one();
        }
    }
}

impl Ticket {
    /// The answer is there, and is to be sent.
    pub(super) fn answered(&self, is_review: bool) {
        let answer = self.activity.change(|state| {
            let answer = state.number();
            state.answers.insert(answer, now());
            answer
        });
        self.answer.store(answer, Ordering::Relaxed);
        self.is_review.store(is_review, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let answer = self.answer.load(Ordering::Relaxed);
        self.activity.change(|state| {
            state.answers.remove(&answer);
            state.requests.remove(&self.number);
            if self.is_review.load(Ordering::Relaxed) {
                state.reviewed = Some(now());
            }
            if state.requests.is_empty() {
                state.idle = now();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::clock::advance;
    use super::state::{HEADERS, IDLE, SENDING, SLOW};
    use super::{Activity, Due, End, Rank, VOUCHED, now};

    /// The test itself takes less.
    const MOMENT: Duration = Duration::from_millis(500);

    /// Action that is due on the connection, if any.
    async fn due(activity: &Activity) -> Option<Due> {
        tokio::time::timeout(Duration::ZERO, activity.due()).await.ok()
    }

    fn rank(activity: &Activity) -> Option<Rank> {
        activity.standing(now()).map(|(rank, _)| rank)
    }

    /// A client as Go's: it keeps a connection for 90 seconds, and posts at any time within them.
    #[tokio::test]
    async fn a_connection_outlives_the_time_for_which_a_client_keeps_it() {
        for wait in [9_990, 10_000, 10_010, 30_000, 89_990] {
            let activity = Activity::new();
            for _ in 0..3 {
                advance(Duration::from_millis(wait));
                assert_eq!(due(&activity).await, None, "after {wait} ms without a request");
                activity.received();
                advance(HEADERS.saturating_sub(MOMENT));
                assert_eq!(due(&activity).await, None, "headers that come within their time");
                let ticket = activity.begin(None);
                ticket.answered(true);
            }
            advance(IDLE + MOMENT);
            assert_eq!(due(&activity).await, Some(Due::Leave));
            assert_eq!(due(&activity).await, None, "once");
        }
        let activity = Activity::new();
        let _ticket = activity.begin(None);
        advance(IDLE + MOMENT);
        assert_eq!(due(&activity).await, None, "a request is under way");
    }

    #[tokio::test]
    async fn headers_have_their_time_from_their_first_byte() {
        let activity = Activity::new();
        advance(IDLE.saturating_sub(MOMENT));
        activity.received();
        advance(HEADERS / 2);
        activity.received();
        advance(HEADERS / 2 + MOMENT);
        assert_eq!(due(&activity).await, Some(Due::Headers), "another byte gives no more time");

        let activity = Activity::new();
        activity.received_frames(End::Within);
        advance(HEADERS.saturating_sub(MOMENT));
        activity.received_frames(End::WithinNew);
        advance(HEADERS.saturating_sub(MOMENT));
        assert_eq!(due(&activity).await, None, "another frame has a time of its own");
        activity.received_frames(End::Within);
        advance(2 * MOMENT);
        assert_eq!(due(&activity).await, Some(Due::Headers));
        activity.received_frames(End::Whole);
        assert_eq!(due(&activity).await, None);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_sent_in_time_ends_its_connection() {
        let activity = Activity::new();
        let (first, second) = (activity.begin(None), activity.begin(None));
        advance(Duration::from_secs(2));
        first.answered(true);
        advance(SENDING.saturating_sub(MOMENT));
        second.answered(true);
        assert_eq!(due(&activity).await, None);
        advance(MOMENT);
        assert_eq!(due(&activity).await, Some(Due::Unread), "the first, whatever came after it");
        drop(second);
        assert_eq!(due(&activity).await, Some(Due::Unread));
        drop(first);
        assert_eq!(due(&activity).await, None);

        let activity = Activity::new();
        activity.stalled(true);
        activity.stalled(false);
        advance(SENDING + MOMENT);
        assert_eq!(due(&activity).await, None, "what goes on is not cut");
        activity.stalled(true);
        advance(SENDING + MOMENT);
        assert_eq!(due(&activity).await, Some(Due::Unread));
    }

    #[tokio::test]
    async fn what_a_connection_did_tells_when_it_makes_room() {
        let activity = Activity::new();
        assert_eq!(rank(&activity), Some(Rank::Unused));
        let ticket = activity.begin(None);
        assert_eq!(rank(&activity), None);
        advance(SLOW);
        assert_eq!(rank(&activity), Some(Rank::Slow));
        ticket.answered(false);
        drop(ticket);
        assert_eq!(rank(&activity), Some(Rank::Unused), "only a review vouches for its caller");
        let ticket = activity.begin(None);
        ticket.answered(true);
        drop(ticket);
        assert_eq!(rank(&activity), Some(Rank::Recent));
        let ticket = activity.begin(None);
        advance(SLOW);
        assert_eq!(rank(&activity), Some(Rank::SlowRecent));
        drop(ticket);
        advance(VOUCHED);
        assert_eq!(rank(&activity), Some(Rank::Stale));
    }

    #[tokio::test]
    async fn who_is_dismissed_learns_of_it() {
        let activity = Activity::new();
        let waiting = Arc::clone(&activity);
        let waiting = tokio::spawn(async move { [waiting.due().await, waiting.due().await] });
        tokio::task::yield_now().await;
        activity.dismiss(Due::Leave);
        tokio::task::yield_now().await;
        activity.dismiss(Due::Cut);
        let learned = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it learns of it");
        assert_eq!(learned.expect("its end"), [Due::Leave, Due::Cut]);
    }
}
