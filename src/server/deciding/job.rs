//! One decision: polled by whichever deciding thread it gets, and by none while it waits for a fact or for the trail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use axum::response::Response;
use tokio::sync::oneshot;

use super::queue::Queue;
use super::{Caller, Refusal};
use crate::lock::lock;

type Decision = Pin<Box<dyn Future<Output = Response> + Send>>;
type Outcome = Result<Response, Refusal>;

/// A decision under way.
pub(super) struct Job {
    pub(super) caller: Caller,
    queue: Arc<Queue>,
    deadline: Instant,
    stage: Mutex<Stage>,
    /// Set when nobody wants the answer any more.
    is_given_up: AtomicBool,
    decision: Mutex<Option<Decision>>,
    outcome: Mutex<Option<oneshot::Sender<Outcome>>>,
}

/// Stage of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the queue, not begun.
    Fresh,
    /// In the queue again, after it waited for something.
    Woken,
    /// On a deciding thread.
    Running,
    /// The same, and what it waits for came in the meantime.
    RunningWoken,
    /// Neither in the queue nor on a thread: it waits for something.
    Waiting,
    /// Over.
    Done,
}

/// Gives the job up when dropped.
pub(super) struct Ticket(pub(super) Arc<Job>);

impl Job {
    /// A job, and its outcome to come.
    pub(super) fn new(
        queue: &Arc<Queue>,
        caller: Caller,
        deadline: Instant,
        decision: Decision,
    ) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (sender, outcome) = oneshot::channel();
        let job = Self {
            caller,
            queue: Arc::clone(queue),
            deadline,
            stage: Mutex::new(Stage::Fresh),
            is_given_up: AtomicBool::new(false),
            decision: Mutex::new(Some(decision)),
            outcome: Mutex::new(Some(sender)),
        };
        (Arc::new(job), outcome)
    }

    /// Goes on with the decision until it is made, or waits for something. A queue has handed the job out for this.
    pub(super) fn run(self: Arc<Self>) {
        let began = Instant::now();
        let is_fresh = std::mem::replace(&mut *lock(&self.stage), Stage::Running) == Stage::Fresh;
        let outcome = if self.is_given_up.load(Ordering::Acquire) {
            Some(Err(Refusal::Busy))
        } else if is_fresh && began >= self.deadline {
            // The API server has given it up, or is about to.
            Some(Err(Refusal::Busy))
        } else {
            self.poll()
        };
        let spent = began.elapsed();
        match outcome {
            Some(outcome) => {
                *lock(&self.stage) = Stage::Done;
                self.finish(outcome);
                self.queue.release(&self, spent, true);
            }
            None => self.suspend(spent),
        }
    }

    fn poll(self: &Arc<Self>) -> Option<Outcome> {
        let waker = Waker::from(Arc::clone(self));
        let mut decision = lock(&self.decision);
        let decision = decision.as_mut()?;
        let mut context = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| decision.as_mut().poll(&mut context))) {
            Ok(Poll::Ready(response)) => Some(Ok(response)),
            Ok(Poll::Pending) => None,
            Err(_) => Some(Err(Refusal::Failed)),
        }
    }

    /// Leaves the thread to others.
    fn suspend(self: Arc<Self>, spent: Duration) {
        self.queue.release(&self, spent, false);
        let mut stage = lock(&self.stage);
        if *stage == Stage::RunningWoken || self.is_given_up.load(Ordering::Acquire) {
            *stage = Stage::Woken;
            drop(stage);
            let queue = Arc::clone(&self.queue);
            queue.push_woken(self);
        } else {
            *stage = Stage::Waiting;
        }
    }

    /// Ends the job, and frees what it holds.
    pub(super) fn finish(&self, outcome: Outcome) {
        drop(lock(&self.decision).take());
        if let Some(sender) = lock(&self.outcome).take() {
            // Nobody may want it any more.
            let _ = sender.send(outcome);
        }
    }

    fn give_up(self: &Arc<Self>) {
        self.is_given_up.store(true, Ordering::Release);
        let stage = *lock(&self.stage);
        if stage == Stage::Fresh && self.queue.remove(self) {
            self.finish(Err(Refusal::Busy));
        } else {
            // One that waits for something is ended by a deciding thread.
            Arc::clone(self).wake();
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        let mut stage = lock(&self.stage);
        match *stage {
            Stage::Waiting => {
                *stage = Stage::Woken;
                drop(stage);
                let queue = Arc::clone(&self.queue);
                queue.push_woken(self);
            }
            Stage::Running => *stage = Stage::RunningWoken,
            Stage::Fresh | Stage::Woken | Stage::RunningWoken | Stage::Done => {}
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if *lock(&self.0.stage) != Stage::Done {
            self.0.give_up();
        }
    }
}
