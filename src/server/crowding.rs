//! Want of room for connections: logged at times, and shown for a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec};
use tokio::time::Instant;

use super::clock::now;
use super::slots::Full;
use crate::lock::lock;
use crate::metrics::Metrics;

/// The least time between two lines of the log.
const LOGGED: Duration = Duration::from_secs(30);
/// Time for which a shortage of room is shown after it was last seen.
const SHOWN: Duration = Duration::from_mins(1);

/// Shortage of room for connections.
#[derive(Clone)]
pub(super) struct Crowding {
    state: Arc<Mutex<State>>,
    made_room: IntCounterVec,
    turned_away: IntCounterVec,
    crowded: IntCounter,
}

#[derive(Default)]
struct State {
    /// Since the last line of the log.
    made_room: u64,
    turned_away: u64,
    logged: Option<Instant>,
    last: Option<Instant>,
}

impl Crowding {
    /// No shortage was seen yet; later ones are counted in `metrics`.
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            state: Arc::default(),
            made_room: metrics.made_room.clone(),
            turned_away: metrics.turned_away.clone(),
            crowded: metrics.crowded.clone(),
        }
    }

    /// True if there was room for a connection on this port; counts it if another connection had to make room.
    pub(super) fn has_room(&self, port: &'static str, made_room: Result<bool, Full>) -> bool {
        match made_room {
            Ok(false) => {}
            Ok(true) => {
                self.made_room.with_label_values(&[port]).inc();
                self.note(port, |state| state.made_room += 1);
            }
            Err(full) => {
                match full {
                    Full::Address => self.crowded.inc(),
                    Full::Everywhere => self.turned_away.with_label_values(&[port]).inc(),
                }
                self.note(port, |state| state.turned_away += 1);
            }
        }
        made_room.is_ok()
    }

    /// A recent shortage of room, in words.
    pub(super) fn amiss(&self) -> Option<String> {
        let last = lock(&self.state).last?;
        let ago = now().duration_since(last);
        let text = "connections are short of room: idle ones are closed, or new ones turned away; the last";
        (ago < SHOWN).then(|| format!("{text} {} s ago", ago.as_secs()))
    }

    fn note(&self, port: &'static str, count: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        let now = now();
        state.last = Some(now);
        count(&mut state);
        if state.logged.is_none_or(|logged| now.duration_since(logged) >= LOGGED) {
            let State { made_room, turned_away, .. } = std::mem::take(&mut *state);
            (state.logged, state.last) = (Some(now), Some(now));
            tracing::warn!(
                port,
                made_room,
                turned_away,
                "connections are short of room: idle ones make room for new ones"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::advance;
    use super::{Crowding, Full, Metrics, SHOWN};

    #[test]
    fn want_of_room_is_shown_for_a_while() {
        let metrics = Metrics::new();
        let crowding = Crowding::new(&metrics);
        assert!(crowding.has_room("reviews", Ok(false)));
        assert_eq!(crowding.amiss(), None);
        assert!(crowding.has_room("reviews", Ok(true)));
        assert!(crowding.amiss().is_some(), "the first time already, which is logged");
        assert!(!crowding.has_room("reviews", Err(Full::Address)));
        assert!(crowding.amiss().is_some());
        assert_eq!(metrics.crowded.get(), 1);
        advance(SHOWN);
        assert_eq!(crowding.amiss(), None);
    }
}
