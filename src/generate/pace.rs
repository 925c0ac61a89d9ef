//! The pace of writes: so many at once, and so many a second after that; and longer and longer pauses where they fail.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Writes at once after a pause, and a second after that.
const BURST: u32 = 50;
const PER_SECOND: u32 = 50;
/// Pause after the first failure in a namespace, doubled by each further one, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Limits the rate of writes.
pub(super) struct Pace {
    /// Time at which the next write would be due if writes were evenly spaced.
    next: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now }
    }

    /// Counts a write; the time from which on it may be made.
    pub(super) fn due(&mut self, now: Instant) -> Instant {
        let space = Duration::from_secs(1) / PER_SECOND;
        let earliest = now.checked_sub(space * (BURST - 1)).unwrap_or(now);
        self.next = self.next.max(earliest);
        let due = self.next;
        self.next += space;
        due
    }
}

/// The namespaces in which writes fail, and when each is tried again.
#[derive(Default)]
pub(super) struct Pauses(BTreeMap<String, (u32, Instant)>);

impl Pauses {
    /// Counts a failure in a namespace; the pause until it is tried again.
    pub(super) fn failed(&mut self, namespace: &str, now: Instant) -> Duration {
        let (failures, due) = self.0.entry(namespace.to_owned()).or_insert((0, now));
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        (*failures, *due) = (failures.saturating_add(1), now + pause);
        pause
    }

    /// Forgets the failures of a namespace.
    pub(super) fn succeeded(&mut self, namespace: &str) {
        self.0.remove(namespace);
    }

    /// Forgets the namespaces that are not among these.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|namespace, _| is_there(namespace));
    }

    /// True if a namespace is not to be tried yet.
    pub(super) fn holds(&self, namespace: &str, now: Instant) -> bool {
        self.0.get(namespace).is_some_and(|(_, due)| now < *due)
    }

    /// The namespaces that are to be tried again.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        self.0.iter().filter(|(_, (_, due))| *due <= now).map(|(name, _)| name.clone()).collect()
    }

    /// The time at which the next namespace is to be tried again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, due)| *due).min()
    }

    /// Number of namespaces in which writes fail.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BURST, LONGEST_PAUSE, PER_SECOND, Pace, Pauses};

    #[test]
    fn after_a_burst_writes_are_spaced() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        // A pause saves no more than a burst.
        let now = began + Duration::from_mins(1);
        let waits: Vec<Duration> = (0..BURST + PER_SECOND).map(|_| pace.due(now).duration_since(now)).collect();
        let (at_once, spaced) = waits.split_at(BURST as usize);
        assert!(at_once.iter().all(Duration::is_zero), "{at_once:?}");
        assert_eq!(spaced.last(), Some(&Duration::from_secs(1)));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        let waits: Vec<u64> = (0..40).map(|_| pauses.failed("a", now).as_secs()).collect();
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits.last(), Some(&LONGEST_PAUSE.as_secs()));
        assert!(pauses.holds("a", now) && !pauses.holds("b", now) && pauses.due(now).is_empty());
        let later = now + LONGEST_PAUSE;
        assert!(!pauses.holds("a", later));
        assert_eq!((pauses.due(later), pauses.next()), (vec!["a".to_owned()], Some(later)));
        pauses.succeeded("a");
        assert_eq!((pauses.count(), pauses.next()), (0, None));
    }
}
