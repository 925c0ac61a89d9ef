//! The reviews that wait to be decided, and whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::job::Job;
use super::{Caller, Refusal};
use crate::lock::lock;

/// Reviews that wait at the most. Their bytes are bounded by the budget of all bodies; beyond it the caller that has the
/// most of them loses its last one.
const WAITING: usize = 512;
/// Decisions that have begun and are not made. The findings of each take a mebibyte at most, and an object that is read
/// without asking for room takes three eighths of one: 176 MiB. With those that ask for room (`READ` in [`crate::server`])
/// all of them together stay within half of what `deploy/` allows the pod.
const STARTED: usize = 128;
/// The same, for one address without a client certificate.
const STARTED_UNKNOWN: usize = STARTED / 2;

/// Number of deciding threads, and how many of them one caller may use at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadLimits {
    pub(super) threads: usize,
    address: usize,
    user: usize,
}

/// The jobs that wait, by caller.
pub(super) struct Queue {
    limits: ThreadLimits,
    state: Mutex<State>,
    changed: Condvar,
    /// Jobs that have not begun; read without the lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    addresses: HashMap<IpAddr, Address>,
    waiting: usize,
    started: usize,
    /// CPU time charged to the address served last: an address that was away starts there, and saves nothing up.
    clock: Duration,
    is_closed: bool,
}

/// Waiting reviews of one address.
#[derive(Default)]
struct Address {
    users: HashMap<u64, User>,
    /// CPU that its decisions took.
    spent: Duration,
    /// As in [`State::clock`], among its users.
    clock: Duration,
    waiting: usize,
    running: usize,
    started: usize,
}

/// Waiting reviews of one user of an address.
#[derive(Default)]
struct User {
    fresh: VecDeque<Arc<Job>>,
    woken: VecDeque<Arc<Job>>,
    spent: Duration,
    running: usize,
    started: usize,
}

/// A decision that is made elsewhere, and counts here.
pub(super) struct Permit<'q> {
    queue: &'q Queue,
    caller: Caller,
}

impl ThreadLimits {
    /// As many threads for one user as there are cores, one more for another user of its address, and one more for
    /// another address: who asks for little finds a thread that no long decision occupies.
    pub(super) fn for_cores(cores: usize) -> Self {
        Self { threads: cores + 2, address: cores + 1, user: cores }
    }
}

impl Queue {
    pub(super) fn new(limits: ThreadLimits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// A place for a decision that is made elsewhere; `None` when too many have begun.
    pub(super) fn enter(&self, caller: Caller) -> Option<Permit<'_>> {
        let mut state = lock(&self.state);
        if !state.may_start(caller) {
            return None;
        }
        state.begin(caller);
        Some(Permit { queue: self, caller })
    }

    /// Adds a job that has not begun.
    pub(super) fn push(&self, job: Arc<Job>) {
        let refused = {
            let mut state = lock(&self.state);
            let refused = if state.is_closed {
                Some(job)
            } else if state.waiting < WAITING {
                state.add(job);
                None
            } else {
                state.displace(job)
            };
            self.waiting.store(state.waiting, Ordering::Relaxed);
            refused
        };
        self.changed.notify_one();
        if let Some(job) = refused {
            job.finish(Err(Refusal::Busy));
        }
    }

    /// Adds one that goes on: it is before all of its caller's that have not begun.
    pub(super) fn push_woken(&self, job: Arc<Job>) {
        let mut state = lock(&self.state);
        if !state.is_closed {
            state.user(job.caller).woken.push_back(job);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes a job out that has not begun; false when it is not there.
    pub(super) fn remove(&self, job: &Arc<Job>) -> bool {
        let mut state = lock(&self.state);
        let is_removed = state.remove(job);
        self.waiting.store(state.waiting, Ordering::Relaxed);
        is_removed
    }

    /// The next job, when there is one; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Arc<Job>> {
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.take(self.limits) {
                self.waiting.store(state.waiting, Ordering::Relaxed);
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job that [`Self::next`] handed out leaves its thread.
    pub(super) fn release(&self, job: &Job, spent: Duration, is_over: bool) {
        let mut state = lock(&self.state);
        state.leave(job.caller, spent);
        if is_over {
            state.end(job.caller);
        }
        drop(state);
        // What could not begin before may now.
        self.changed.notify_one();
    }

    /// Jobs that have not begun.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the threads. Jobs that wait are dropped.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.addresses);
        drop(state);
        drop(dropped);
        self.changed.notify_all();
    }
}

impl State {
    fn user(&mut self, caller: Caller) -> &mut User {
        let clock = self.clock;
        let address =
            self.addresses.entry(caller.address).or_insert_with(|| Address { spent: clock, ..Address::default() });
        let clock = address.clock;
        address.users.entry(caller.user).or_insert_with(|| User { spent: clock, ..User::default() })
    }

    fn may_start(&self, caller: Caller) -> bool {
        let of_address = self.addresses.get(&caller.address).map_or(0, |address| address.started);
        self.started < STARTED && (caller.is_known || of_address < STARTED_UNKNOWN)
    }

    fn begin(&mut self, caller: Caller) {
        self.user(caller).started += 1;
        self.started += 1;
        if let Some(address) = self.addresses.get_mut(&caller.address) {
            address.started += 1;
        }
    }

    fn end(&mut self, caller: Caller) {
        self.started -= 1;
        // After the end of the queue nobody is known any more.
        if let Some(address) = self.addresses.get_mut(&caller.address)
            && let Some(user) = address.users.get_mut(&caller.user)
        {
            user.started -= 1;
            address.started -= 1;
        }
        self.forget(caller);
    }

    fn leave(&mut self, caller: Caller, spent: Duration) {
        if let Some(address) = self.addresses.get_mut(&caller.address)
            && let Some(user) = address.users.get_mut(&caller.user)
        {
            user.running -= 1;
            user.spent += spent;
            address.running -= 1;
            address.spent += spent;
        }
    }

    /// Forgets a caller that asks for nothing any more.
    fn forget(&mut self, caller: Caller) {
        let Some(address) = self.addresses.get_mut(&caller.address) else { return };
        if address.users.get(&caller.user).is_some_and(User::is_idle) {
            address.users.remove(&caller.user);
        }
        if address.users.is_empty() {
            self.addresses.remove(&caller.address);
        }
    }

    fn add(&mut self, job: Arc<Job>) {
        let caller = job.caller;
        self.user(caller).fresh.push_back(job);
        self.waiting += 1;
        if let Some(address) = self.addresses.get_mut(&caller.address) {
            address.waiting += 1;
        }
    }

    /// Adds a job where none has room, and hands back the last one of whoever has the most.
    fn displace(&mut self, job: Arc<Job>) -> Option<Arc<Job>> {
        self.add(job);
        let fullest = self.addresses.values_mut().max_by_key(|address| address.waiting)?;
        let longest = fullest.users.values_mut().max_by_key(|user| user.fresh.len())?;
        let last = longest.fresh.pop_back()?;
        fullest.waiting -= 1;
        self.waiting -= 1;
        self.forget(last.caller);
        Some(last)
    }

    fn remove(&mut self, job: &Arc<Job>) -> bool {
        let Some(address) = self.addresses.get_mut(&job.caller.address) else { return false };
        let Some(user) = address.users.get_mut(&job.caller.user) else { return false };
        let Some(position) = user.fresh.iter().position(|other| Arc::ptr_eq(other, job)) else { return false };
        user.fresh.remove(position);
        address.waiting -= 1;
        self.waiting -= 1;
        self.forget(job.caller);
        true
    }

    /// Takes the job whose turn it is: of the address that has the fewest threads now, and of those the one whose
    /// decisions took the least; among its users in the same way.
    fn take(&mut self, limits: ThreadLimits) -> Option<Arc<Job>> {
        let has_room = self.started < STARTED;
        let candidates = self.addresses.iter().filter(|(_, address)| address.running < limits.address);
        let candidates = candidates.filter_map(|(at, address)| {
            let users = address.users.iter().filter(|(_, user)| {
                let may_start = has_room && user.fresh.front().is_some_and(|job| self.may_start(job.caller));
                user.running < limits.user && (!user.woken.is_empty() || may_start)
            });
            let (user, _) = users.min_by_key(|(_, user)| (user.running, user.spent))?;
            Some(((address.running, address.spent), *at, *user))
        });
        let (_, at, user) = candidates.min_by_key(|(turn, ..)| *turn)?;
        let address = self.addresses.get_mut(&at)?;
        let user = address.users.get_mut(&user)?;
        self.clock = self.clock.max(address.spent);
        address.clock = address.clock.max(user.spent);
        address.running += 1;
        user.running += 1;
        if let Some(job) = user.woken.pop_front() {
            return Some(job);
        }
        let job = user.fresh.pop_front()?;
        address.waiting -= 1;
        self.waiting -= 1;
        self.begin(job.caller);
        Some(job)
    }
}

impl User {
    fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.woken.is_empty() && self.running == 0 && self.started == 0
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.end(self.caller);
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.queue.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
