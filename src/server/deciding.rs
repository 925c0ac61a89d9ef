//! The CPU that decisions take: a small one is made where its review was read, any other on threads of their own.
//!
//! The workers accept, handshake, read and answer for everybody, so nothing long may run on them. A review that is small
//! is decided on the worker that read it, because a change of threads would cost more than the decision. All others wait
//! in a queue for one of the deciding threads, which yield to the workers and are about as many as there are cores. The
//! queue is fair: the address, and behind it the user, whose decisions took the least time is served first, so that a
//! caller's backlog delays and sheds nobody else's reviews.

mod account;
mod job;
mod queue;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use futures::FutureExt;
use tokio::runtime::Handle;

use self::account::Accounts;
use self::job::{Job, Ticket};
use self::queue::{Queue, ThreadLimits};

/// Bytes of the largest review that is decided where it was read.
const SMALL: usize = 64 << 10;
/// Commas of such a review. Work grows with the number of values, and all of them but the first of a list are behind a
/// comma. An ordinary Pod has about two hundred.
const SMALL_COMMAS: usize = 768;
/// Bytes at the front of a review in which the user's name is looked for. An API server writes it before the object.
const FRONT: usize = 4 << 10;
/// Text before that name, as an API server writes it.
const USERNAME: &[u8] = b"\"username\":\"";
/// Nice value of deciding threads, so that they yield to the workers.
const NICE: i32 = 10;

/// Threads and queue in which decisions are made.
pub(super) struct Deciding {
    queue: Arc<Queue>,
    accounts: Accounts,
    users: RandomState,
}

/// Caller to whom a decision's CPU time is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// Source address of the review.
    pub(super) address: IpAddr,
    /// Set when the caller showed a certificate.
    pub(super) is_known: bool,
    /// A hash of the user's name. It shares CPU among the users of one address, and proves nothing.
    user: u64,
}

/// Reason why a review was not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The queue is full and this caller has the most reviews in it, or its turn did not come in time.
    Busy,
    /// The decision panicked.
    Failed,
}

impl Deciding {
    /// Starts the deciding threads. Needs a runtime, in which they wait for facts and for the trail.
    ///
    /// # Errors
    /// When no threads can be had.
    pub(super) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let limits = ThreadLimits::for_cores(cores);
        let queue = Arc::new(Queue::new(limits));
        let runtime = Handle::current();
        for number in 0..limits.threads {
            let (queue, runtime) = (Arc::clone(&queue), runtime.clone());
            std::thread::Builder::new().name(format!("deciding-{number}")).spawn(move || {
                // In Linux a nice value is a thread's own. Without it the threads only compete with the workers.
                if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                    tracing::warn!(%error, "a deciding thread runs with the priority of the others");
                }
                let _context = runtime.enter();
                while let Some(job) = queue.next() {
                    job.run();
                }
            })?;
        }
        Ok(Self { queue, accounts: Accounts::default(), users: RandomState::new() })
    }

    /// The caller behind a review.
    pub(super) fn caller(&self, address: IpAddr, is_known: bool, review: &[u8]) -> Caller {
        Caller { address, is_known, user: self.users.hash_one(username(review)) }
    }

    /// Decides about a review: at once where it is small, else when the caller's turn comes.
    ///
    /// # Errors
    /// [`Refusal`] when it was not decided.
    pub(super) async fn run(
        &self,
        caller: Caller,
        review: &[u8],
        deadline: Instant,
        decision: impl Future<Output = Response> + Send + 'static,
    ) -> Result<Response, Refusal> {
        if is_small(review)
            && self.accounts.is_cheap(caller, Instant::now())
            && let Some(_place) = self.queue.enter(caller)
        {
            let mut decision = pin!(AssertUnwindSafe(decision).catch_unwind());
            let mut decisions = 1;
            let decided = std::future::poll_fn(|context| {
                let began = Instant::now();
                let polled = decision.as_mut().poll(context);
                let ended = Instant::now();
                // At once, not when its record is written: until then the caller's next ones would run here too.
                self.accounts.charge(caller, std::mem::take(&mut decisions), ended - began, ended);
                polled
            });
            return decided.await.map_err(|_| Refusal::Failed);
        }
        self.run_later(caller, deadline, decision).await
    }

    /// Does what takes long when the caller's turn comes.
    ///
    /// # Errors
    /// [`Refusal`] when it was not done.
    pub(super) async fn run_later(
        &self,
        caller: Caller,
        deadline: Instant,
        decision: impl Future<Output = Response> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let (job, outcome) = Job::new(&self.queue, caller, deadline, Box::pin(decision));
        // Whoever hangs up takes its job with it.
        let _ticket = Ticket(Arc::clone(&job));
        self.queue.push(job);
        outcome.await.unwrap_or(Err(Refusal::Failed))
    }

    /// Reviews that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn is_small(review: &[u8]) -> bool {
    review.len() <= SMALL && memchr::memchr_iter(b',', review).count() <= SMALL_COMMAS
}

/// The user's name as it is written, empty where it is not near the front.
fn username(review: &[u8]) -> &[u8] {
    let front = &review[..review.len().min(FRONT)];
    let found = memchr::memmem::find(front, USERNAME);
    let rest = found.map_or(&[][..], |position| &front[position + USERNAME.len()..]);
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::pin::pin;
    use std::time::{Duration, Instant};

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use futures::FutureExt;

    use super::{Deciding, SMALL, SMALL_COMMAS, is_small, username};

    /// A decision that was made and waits for its record has taken its time already.
    #[tokio::test]
    async fn what_a_decision_took_counts_before_its_record_is_written() {
        let deciding = Deciding::start().expect("threads");
        let caller = deciding.caller(IpAddr::from([10, 0, 0, 1]), false, b"{}");
        let began = Instant::now();
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let decision = async move {
            while began.elapsed() < Duration::from_millis(100) {
                std::hint::spin_loop();
            }
            let _ = told.await;
            StatusCode::OK.into_response()
        };
        let mut running = pin!(deciding.run(caller, b"{}", began + Duration::from_mins(1), decision));
        assert!(running.as_mut().now_or_never().is_none());
        assert!(!deciding.accounts.is_cheap(caller, Instant::now()));
        tell.send(()).expect("it waits");
        assert_eq!(running.await.map(|response| response.status()), Ok(StatusCode::OK));
    }

    #[test]
    fn a_review_is_small_by_its_bytes_and_its_values() {
        assert!(is_small(" ".repeat(SMALL).as_bytes()) && !is_small(" ".repeat(SMALL + 1).as_bytes()));
        assert!(is_small(&[b','; SMALL_COMMAS]) && !is_small(&[b','; SMALL_COMMAS + 1]));
    }

    #[test]
    fn the_user_is_the_one_that_an_api_server_names() {
        assert_eq!(username(br#"{"userInfo":{"username":"alice","uid":"1"},"object":{"username":"bob"}}"#), b"alice");
        assert_eq!(username(br#"{"name":"\"username\":\"bob","userInfo":{"username":"alice""#), b"alice");
        assert_eq!(username(b"{}"), b"");
        assert_eq!(username(br#"{"username":"#), b"");
    }
}
