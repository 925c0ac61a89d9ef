//! Detection of leaps of the wall clock, before anything is removed by its age.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Maximum time by which the wall clock may be ahead of the expected time.
const LEAP: SignedDuration = SignedDuration::from_mins(5);
/// After a restart, how long a clock that is ahead is watched before it is believed: the machine may have been off.
const SETTLING: Duration = Duration::from_mins(10);

/// State of the wall clock. A clock that leaps would make all evidence old at once.
#[derive(Debug)]
pub(super) struct Clock(Known);

#[derive(Debug)]
enum Known {
    /// Time of the wall clock at a moment at which it was right.
    Since(Timestamp, Instant),
    /// No moment is known to be right; the clock is believed some time after this instant.
    Nothing(Instant),
}

impl Clock {
    /// At the start. `last` is the time of the last record there is; `has_leapt` says that the clock was ahead when the
    /// program last ran.
    pub(super) fn new(last: Option<Timestamp>, has_leapt: bool, wall: Timestamp, now: Instant) -> Self {
        Self(match last {
            Some(last) if has_leapt || wall.duration_since(last) > LEAP => Known::Nothing(now),
            last => Known::Since(last.map_or(wall, |last| last.max(wall)), now),
        })
    }

    /// By how much the wall clock is too far ahead; `None` where it is believed. A clock that is still watched after a
    /// restart is ahead by nothing that is known.
    pub(super) fn ahead(&mut self, wall: Timestamp, now: Instant) -> Option<SignedDuration> {
        match self.0 {
            Known::Since(then, at) => {
                let passed = SignedDuration::try_from(now.saturating_duration_since(at)).unwrap_or(SignedDuration::MAX);
                let ahead = wall.duration_since(then).saturating_sub(passed);
                (ahead > LEAP).then_some(ahead)
            }
            Known::Nothing(since) if now.saturating_duration_since(since) < SETTLING => Some(SignedDuration::ZERO),
            Known::Nothing(_) => {
                self.0 = Known::Since(wall, now);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::{SignedDuration, Timestamp};

    use super::{Clock, LEAP, SETTLING};

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn a_clock_that_leaps_is_not_believed_until_it_is_back() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut clock = Clock::new(None, false, WALL, now);
        assert_eq!(clock.ahead(WALL + LEAP, now), None);
        assert_eq!(clock.ahead(WALL + DAY, later(60)), Some(DAY - SignedDuration::from_secs(60)));
        // However long it stays so: what was recorded meanwhile proves nothing.
        assert!(clock.ahead(WALL + DAY * 2, later(86_400)).is_some());
        assert_eq!(clock.ahead(WALL + DAY, later(86_400)), None);
        assert_eq!(clock.ahead(WALL - DAY, later(86_400)), None);
    }

    #[test]
    fn after_a_restart_one_that_is_ahead_is_watched_and_then_believed() {
        let now = Instant::now();
        for (last, has_leapt) in [(WALL, false), (WALL + DAY, true)] {
            let mut clock = Clock::new(Some(last), has_leapt, WALL + DAY, now);
            assert_eq!(clock.ahead(WALL + DAY, now), Some(SignedDuration::ZERO));
            let soon = now + (SETTLING.saturating_sub(Duration::from_secs(1)));
            assert!(clock.ahead(WALL + DAY, soon).is_some());
            assert_eq!(clock.ahead(WALL + DAY, now + SETTLING), None);
            assert!(clock.ahead(WALL + DAY * 2, now + SETTLING).is_some(), "from then on it may not leap");
        }
        let mut clock = Clock::new(Some(WALL), false, WALL + LEAP, now);
        assert_eq!(clock.ahead(WALL + LEAP, now), None, "it was only down for a moment");
        // From a clock that was ahead, and is back.
        let mut clock = Clock::new(Some(WALL + DAY), false, WALL, now);
        assert_eq!(clock.ahead(WALL, now), None);
    }
}
