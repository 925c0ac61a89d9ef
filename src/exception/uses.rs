//! Uses of an exception, and the need for it, as one replica has seen them.
//!
//! They are counts: nothing here changes what an exception covers.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::Exception;

/// Time before its end from which an exception is lapsing.
pub const LAPSING: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Counts of one exception. A reload that leaves the exception as it was keeps them.
#[derive(Debug)]
pub struct Uses {
    since: Timestamp,
    count: AtomicU64,
    need: AtomicU8,
}

/// The result for an exception of one judged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It kept a finding from refusing.
    Used,
    /// There is a finding that it covers, which did not need it: the finding refuses nothing, another exception comes first, or a
    /// required policy does not hold.
    Found,
    /// Every policy of it that judges such objects did, and there is no finding that it covers.
    Clean,
}

/// The need for an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It was about no object that its policies judged.
    Unused,
    /// It was about such an object, and its policies found nothing there. Of an exception for one object the latest judgement
    /// counts; one that may be for several is needed from the first finding on.
    NotNeeded,
    /// Its policies found something that it covers.
    Needed,
}

/// The time that is left to an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has ended.
    Lapsed,
    /// It ends within [`LAPSING`].
    Lapsing,
    /// It ends later.
    Active,
}

impl Uses {
    /// No uses, from this time on.
    pub fn since(time: Timestamp) -> Self {
        Self { since: time, count: AtomicU64::new(0), need: AtomicU8::new(Need::Unused as u8) }
    }

    /// Sets the need. Nothing is written where it is so already: many threads look at a common exception.
    fn set(&self, need: Need) {
        if self.need.load(Ordering::Relaxed) != need as u8 {
            self.need.store(need as u8, Ordering::Relaxed);
        }
    }
}

impl Need {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Unused, Self::NotNeeded, Self::Needed];

    /// The word in metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::NotNeeded => "not-needed",
            Self::Needed => "needed",
        }
    }
}

impl State {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Lapsed, Self::Lapsing, Self::Active];

    /// The word in metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::Lapsing => "lapsing",
            Self::Active => "active",
        }
    }
}

impl Exception {
    /// Counts one judged object.
    pub fn count(&self, seen: Seen) {
        let uses = &self.uses;
        match seen {
            Seen::Used => {
                uses.count.fetch_add(1, Ordering::Relaxed);
                uses.set(Need::Needed);
            }
            Seen::Found => uses.set(Need::Needed),
            Seen::Clean if self.matching.is_of_one() => uses.set(Need::NotNeeded),
            Seen::Clean if self.need() == Need::Unused => {
                let (from, to) = (Need::Unused as u8, Need::NotNeeded as u8);
                // A finding that was seen meanwhile counts for more.
                let _ = uses.need.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
            }
            Seen::Clean => {}
        }
    }

    /// Number of judged objects of which it kept some finding from refusing.
    pub fn uses(&self) -> u64 {
        self.uses.count.load(Ordering::Relaxed)
    }

    /// The time from which uses are counted: of its loading, by this replica.
    pub fn counted_since(&self) -> Timestamp {
        self.uses.since
    }

    /// The need for it.
    pub fn need(&self) -> Need {
        let stored = self.uses.need.load(Ordering::Relaxed);
        Need::ALL.into_iter().find(|need| *need as u8 == stored).unwrap_or(Need::Unused)
    }

    /// The time that is left to it.
    pub fn state(&self, now: Timestamp) -> State {
        if !self.is_in_force(now) {
            State::Lapsed
        } else if self.expires.duration_since(now) <= LAPSING {
            State::Lapsing
        } else {
            State::Active
        }
    }
}
