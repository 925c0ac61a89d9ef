//! The monotonic clock, which tests move.

/// The current time, which tests can advance.
#[cfg(not(test))]
pub(super) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[cfg(test)]
pub(super) use moved::{advance, now};

#[cfg(test)]
mod moved {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::Instant;

    thread_local! {
        static MOVED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(in super::super) fn now() -> Instant {
        Instant::now() + MOVED.get()
    }

    /// Moves this thread's clock. Who sleeps sleeps on.
    pub(in super::super) fn advance(by: Duration) {
        MOVED.set(MOVED.get() + by);
    }
}
