//! CPU time of decisions that were made on the workers, by caller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Caller;
use crate::lock::lock;

/// The time over which costs are added up. Much longer than one decision, however busy the machine: a caller whose
/// decisions are dear is back on the workers only once in that time.
const WINDOW: Duration = Duration::from_secs(4);
/// CPU time on the workers that a caller's decisions may take in that time.
const SHARE: Duration = Duration::from_millis(60);
/// CPU time that one decision may take on average: several times that of an ordinary one. Many that are cheap stay where
/// they are, because a change of threads would cost about as much as they do.
const CHEAP: Duration = Duration::from_micros(500);
/// Callers that are told apart in that time; reviews of others wait for the deciding threads.
const CALLERS: usize = 4_096;

/// CPU time that each caller's decisions took on the workers recently.
#[derive(Default)]
pub(super) struct Accounts(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    spent: HashMap<(IpAddr, Option<u64>), Spent>,
}

#[derive(Default, Clone, Copy)]
struct Spent {
    time: Duration,
    decisions: u32,
}

impl Accounts {
    /// True if a caller's next decision may be made on a worker: its last ones were few, or cheap.
    pub(super) fn is_cheap(&self, caller: Caller, now: Instant) -> bool {
        let mut window = lock(&self.0);
        window.renew(now);
        let keys = keys(caller);
        let has_room = window.spent.len() < CALLERS || keys.iter().all(|key| window.spent.contains_key(key));
        has_room && keys.iter().all(|key| window.spent.get(key).is_none_or(|spent| spent.is_cheap()))
    }

    /// Adds what a part of a decision took; `decisions` is 1 for its first part, and 0 for the others.
    pub(super) fn charge(&self, caller: Caller, decisions: u32, time: Duration, now: Instant) {
        let mut window = lock(&self.0);
        window.renew(now);
        for key in keys(caller) {
            let spent = window.spent.entry(key).or_default();
            spent.time += time;
            spent.decisions += decisions;
        }
    }
}

/// The accounts of a caller: of its address, and of the user there.
fn keys(caller: Caller) -> [(IpAddr, Option<u64>); 2] {
    [(caller.address, None), (caller.address, Some(caller.user))]
}

impl Window {
    fn renew(&mut self, now: Instant) {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) > WINDOW) {
            self.began = Some(now);
            self.spent.clear();
        }
    }
}

impl Spent {
    fn is_cheap(self) -> bool {
        self.time <= SHARE || self.time / self.decisions.max(1) <= CHEAP
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::super::Caller;
    use super::{Accounts, CHEAP, SHARE, WINDOW};

    fn caller(last: u8, user: u64) -> Caller {
        Caller { address: IpAddr::from([10, 0, 0, last]), is_known: false, user }
    }

    #[test]
    fn dear_decisions_of_one_caller_leave_the_workers_and_those_of_others_stay() {
        let (accounts, now) = (Accounts::default(), Instant::now());
        accounts.charge(caller(1, 1), 1, SHARE + Duration::from_millis(1), now);
        assert!(!accounts.is_cheap(caller(1, 1), now));
        // Whoever calls from an address may name any user.
        assert!(!accounts.is_cheap(caller(1, 2), now));
        assert!(accounts.is_cheap(caller(2, 1), now));
        assert!(accounts.is_cheap(caller(1, 1), now + WINDOW * 2), "it is over");
    }

    #[test]
    fn many_cheap_decisions_stay_on_the_workers() {
        let (accounts, now) = (Accounts::default(), Instant::now());
        for _ in 0..1_000 {
            accounts.charge(caller(1, 1), 1, CHEAP, now);
        }
        assert!(accounts.is_cheap(caller(1, 1), now));
    }
}
