//! Whose turn it is, who is shed, and what a job holds while it waits.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::sync::oneshot;

use super::super::job::{Job, Ticket};
use super::{Caller, Queue, Refusal, STARTED_UNKNOWN, ThreadLimits, WAITING, lock};

type Outcome = oneshot::Receiver<Result<axum::response::Response, Refusal>>;

fn queue() -> Arc<Queue> {
    Arc::new(Queue::new(ThreadLimits::for_cores(2)))
}

fn caller(last: u8, user: u64) -> Caller {
    Caller { address: IpAddr::from([10, 0, 0, last]), is_known: false, user }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn push(queue: &Arc<Queue>, caller: Caller) -> Outcome {
    let (job, outcome) = Job::new(queue, caller, soon(), Box::pin(async { StatusCode::OK.into_response() }));
    queue.push(job);
    outcome
}

/// The next job, without waiting for one.
fn take(queue: &Queue) -> Option<Arc<Job>> {
    lock(&queue.state).take(queue.limits)
}

fn is_over(outcome: &mut Outcome) -> Option<Result<StatusCode, Refusal>> {
    outcome.try_recv().ok().map(|outcome| outcome.map(|response| response.status()))
}

#[test]
fn whoever_has_no_thread_comes_before_a_backlog_and_whoever_had_least_before_others() {
    let queue = queue();
    let _backlog: Vec<Outcome> = (0..10).map(|_| push(&queue, caller(1, 1))).collect();
    let first = take(&queue).expect("a job");
    let _other = push(&queue, caller(2, 1));
    let second = take(&queue).expect("a job");
    assert_eq!((first.caller, second.caller), (caller(1, 1), caller(2, 1)));
    // Both have a thread less again, and one of them had more of it.
    let _more = push(&queue, caller(2, 1));
    for (job, spent) in [(first, 5), (second, 2)] {
        queue.release(&job, Duration::from_millis(spent), true);
    }
    assert_eq!(take(&queue).map(|job| job.caller), Some(caller(2, 1)));
}

#[test]
fn one_user_leaves_a_thread_to_others_of_its_address_and_that_leaves_one_to_other_addresses() {
    let queue = queue();
    let _outcomes: Vec<Outcome> = (0..10).map(|number| push(&queue, caller(1, number / 5))).collect();
    let taken: Vec<Caller> = std::iter::from_fn(|| take(&queue)).map(|job| job.caller).collect();
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!([1, 2].contains(&taken.iter().filter(|taken| **taken == caller(1, 0)).count()));
    let _other = push(&queue, caller(2, 0));
    assert_eq!(take(&queue).map(|job| job.caller), Some(caller(2, 0)));
}

#[test]
fn a_full_queue_sheds_the_last_of_whoever_has_the_most() {
    let queue = queue();
    let mut backlog: Vec<Outcome> = (0..WAITING).map(|_| push(&queue, caller(1, 1))).collect();
    let mut refused = push(&queue, caller(1, 1));
    assert_eq!(is_over(&mut refused), Some(Err(Refusal::Busy)));
    let mut other = push(&queue, caller(2, 1));
    assert_eq!(is_over(&mut other), None);
    let shed: Vec<usize> = (0..WAITING).filter(|number| is_over(&mut backlog[*number]).is_some()).collect();
    assert_eq!(shed, [WAITING - 1]);
    assert_eq!(queue.waiting(), WAITING);
}

#[test]
fn one_whose_time_is_over_is_not_computed() {
    let queue = queue();
    let is_computed = Arc::new(AtomicBool::new(false));
    let computed = Arc::clone(&is_computed);
    let decision = Box::pin(async move {
        computed.store(true, Ordering::Relaxed);
        StatusCode::OK.into_response()
    });
    let (job, mut outcome) = Job::new(&queue, caller(1, 1), Instant::now(), decision);
    queue.push(job);
    take(&queue).expect("a job").run();
    assert_eq!(is_over(&mut outcome), Some(Err(Refusal::Busy)));
    assert!(!is_computed.load(Ordering::Relaxed));
    assert!(lock(&queue.state).addresses.is_empty());
}

#[test]
fn a_decision_that_waits_holds_no_thread_and_goes_on_before_new_ones() {
    let queue = queue();
    let (tell, told) = oneshot::channel::<()>();
    let decision = Box::pin(async move {
        let _ = told.await;
        StatusCode::OK.into_response()
    });
    let (job, mut outcome) = Job::new(&queue, caller(1, 1), soon(), decision);
    queue.push(Arc::clone(&job));
    take(&queue).expect("a job").run();
    assert!(is_over(&mut outcome).is_none() && take(&queue).is_none());
    assert_eq!(lock(&queue.state).addresses[&caller(1, 1).address].running, 0);
    let _new = push(&queue, caller(1, 1));
    tell.send(()).expect("it waits");
    let next = take(&queue).expect("a job");
    assert!(Arc::ptr_eq(&next, &job));
    drop(job);
    next.run();
    assert_eq!(is_over(&mut outcome), Some(Ok(StatusCode::OK)));
}

#[test]
fn whoever_hangs_up_takes_its_job_along() {
    let queue = queue();
    let never = || Box::pin(std::future::pending());
    let (waits, _outcome) = Job::new(&queue, caller(1, 1), soon(), never());
    queue.push(Arc::clone(&waits));
    take(&queue).expect("a job").run();
    let (fresh, _outcome) = Job::new(&queue, caller(1, 1), soon(), never());
    queue.push(Arc::clone(&fresh));
    drop(Ticket(fresh));
    assert_eq!(queue.waiting(), 0);
    drop(Ticket(waits));
    take(&queue).expect("what waited, to be ended").run();
    assert!(take(&queue).is_none());
    let state = lock(&queue.state);
    assert!(state.addresses.is_empty() && state.started == 0);
}

#[test]
fn one_unknown_address_begins_no_more_than_its_share() {
    let queue = queue();
    let places: Vec<_> = (0..STARTED_UNKNOWN).map(|_| queue.enter(caller(1, 1)).expect("a place")).collect();
    assert!(queue.enter(caller(1, 2)).is_none());
    let _waits = push(&queue, caller(1, 2));
    assert!(take(&queue).is_none());
    assert!(queue.enter(caller(2, 1)).is_some());
    assert!(queue.enter(Caller { is_known: true, ..caller(1, 1) }).is_some());
    drop(places);
    assert!(take(&queue).is_some());
}

#[test]
fn a_panic_ends_its_own_decision_alone() {
    let queue = queue();
    let (job, mut outcome) = Job::new(&queue, caller(1, 1), soon(), Box::pin(async { panic!("a decision at fault") }));
    queue.push(job);
    take(&queue).expect("a job").run();
    assert_eq!(is_over(&mut outcome), Some(Err(Refusal::Failed)));
    let mut next = push(&queue, caller(1, 1));
    take(&queue).expect("a job").run();
    assert_eq!(is_over(&mut next), Some(Ok(StatusCode::OK)));
}
