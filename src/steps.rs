//! A limit on the work of one policy: a count instead of a clock, so that exceeding it is deterministic.
//!
//! The engine allows a number of steps before a policy runs. Every iterator over the items of a list takes one step per
//! item, and ends once none are left: a policy need not know of the limit, and cannot forget it. The count is kept per
//! thread, because a policy runs on one thread from start to end.

use std::cell::Cell;
use std::marker::PhantomData;

/// Steps of one policy on one object. An API server takes requests of 3 MiB, and an item of a list has four bytes there at
/// the least: this is ten steps for each. A policy that looks at every item a few times never needs as many; one that
/// looks at every item for each other one does, and would hold a thread for seconds.
pub(crate) const POLICY: u32 = 8 << 20;

thread_local! {
    /// Steps left; negative once exhausted.
    static LEFT: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// A number of steps, allowed until this is dropped.
#[derive(Debug)]
pub(crate) struct Allowance {
    allowed: i64,
    /// Not `Send`: the count belongs to the thread.
    _thread: PhantomData<*const ()>,
}

impl Allowance {
    /// Allows `steps` on this thread.
    pub(crate) fn new(steps: u32) -> Self {
        let allowed = i64::from(steps);
        LEFT.set(allowed);
        Self { allowed, _thread: PhantomData }
    }

    /// True if more steps were needed than allowed.
    #[expect(clippy::unused_self, reason = "only whoever allowed steps asks for them")]
    pub(crate) fn is_exhausted(&self) -> bool {
        LEFT.get() < 0
    }

    /// Steps taken so far.
    pub(crate) fn taken(&self) -> u64 {
        (self.allowed - LEFT.get()).try_into().unwrap_or(0)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        LEFT.set(i64::MAX);
    }
}

/// Does something without counting: what it makes is kept and serves others, so it has to be whole.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let left = LEFT.replace(i64::MAX);
    let made = work();
    LEFT.set(left);
    made
}

/// Takes `steps`; false if fewer are left.
pub(crate) fn take(steps: u32) -> bool {
    let left = LEFT.get().saturating_sub(i64::from(steps));
    LEFT.set(left);
    left >= 0
}

/// The items of a list, at one step each; ends early when no steps are left.
pub(crate) fn counted<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().take_while(|_| take(1))
}

#[cfg(test)]
mod tests {
    use super::{Allowance, counted, take, uncounted};

    #[test]
    fn a_list_ends_when_no_steps_are_left_and_is_whole_where_none_are_counted() {
        assert_eq!(counted(0..100).count(), 100);
        let allowance = Allowance::new(10);
        assert_eq!(counted(0..10).count(), 10);
        assert!(!allowance.is_exhausted());
        assert_eq!((counted(0..10).count(), allowance.is_exhausted()), (0, true));
        assert_eq!((uncounted(|| counted(0..10).count()), counted(0..10).count()), (10, 0));
        assert!(!take(0), "it stays so");
        drop(allowance);
        assert_eq!(counted(0..100).count(), 100);
    }
}
