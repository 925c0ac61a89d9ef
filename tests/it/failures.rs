//! Policies that fail: a panic, and facts that never come. Each stays the trouble of its policy alone.

use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::engine::{self, ActivePolicy, Failure};
use portcullis::facts::{Answer, Facts, Pending, Question, World};
use portcullis::mode::Mode;
use portcullis::policy::{Fields, Kinds, Meta, Report, Severity, Validator};
use portcullis::request::{Request, Source};
use serde_json::json;

use crate::judging::{configured, with_creation};

/// Maximum time that the engine waits for an answer that never comes.
const PATIENCE: Duration = Duration::from_millis(50);
/// So far away that only an answer ends the wait.
const LONG: Duration = Duration::from_mins(1);

macro_rules! meta {
    ($name:ident) => {
        static $name: Meta = Meta {
            id: stringify!($name),
            title: "a test",
            severity: Severity::Low,
            since: "0.0.0",
            why: "It is tested.",
            fix: "test it",
            kinds: &[Kinds::Pods],
            fields: &[Fields::of(&["spec"])],
            changes: &[],
            controls: &[],
        };
    };
}
meta!(FINDS);
meta!(PANICS);
meta!(ASKS);

struct Finds;
impl Validator for Finds {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        request.pods().iter().for_each(|pod| report.add(pod.at("spec"), "must not be"));
        Ok(())
    }
}

struct Panics;
impl Validator for Panics {
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        request.pods().iter().for_each(|pod| report.add(pod.at("spec"), "must be thrown away"));
        let _ = facts.service_account("default", "asked-before-the-panic");
        panic!("a policy at fault");
    }
}

/// Asks for so many ServiceAccounts, each once the one before is known.
struct Asks(usize);
impl Validator for Asks {
    fn judge(&self, request: &Request<'_>, facts: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        request.pods().iter().for_each(|pod| report.add(pod.at("spec"), "must be found once"));
        (0..self.0).try_for_each(|number| facts.service_account("default", &number.to_string()).map(drop))
    }
}

/// Knows nothing at once, and answers when asked, or never.
struct Slow {
    answers: bool,
    asked: AtomicUsize,
}
impl World for Slow {
    fn known(&self, _: &Question) -> Option<Answer> {
        None
    }

    fn ask<'w>(&'w self, _: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.answers { Box::pin(ready(Answer::NotFound)) } else { Box::pin(pending()) }
    }
}

fn slow(answers: bool) -> Slow {
    Slow { answers, asked: AtomicUsize::new(0) }
}

fn active(meta: &'static Meta, validator: impl Validator + 'static) -> ActivePolicy {
    ActivePolicy {
        meta,
        validator: Arc::new(validator),
        mode: Mode::Enforce,
        configured: Mode::Enforce,
        strict_updates: false,
        enforces_deletes: false,
        label: None,
    }
}

/// The result of each policy: the messages of its findings, or the reason why there are none.
fn judge(policies: &[ActivePolicy], world: &dyn World, patience: Duration) -> Vec<Result<Vec<String>, Failure>> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let facts = Facts::new(world);
    let outcomes = with_creation(&configured(""), &pod, Source::ApiServer, |request| {
        runtime.block_on(engine::judge(policies, request, &facts, Instant::now() + patience))
    });
    let said =
        |findings: Vec<portcullis::policy::Finding>| findings.into_iter().map(|finding| finding.message).collect();
    outcomes.expect("a Pod").into_iter().map(|outcome| outcome.result.map(said)).collect()
}

#[test]
fn a_panic_is_its_policys_own() {
    let policies = [active(&FINDS, Finds), active(&PANICS, Panics), active(&ASKS, Asks(1))];
    let outcomes = judge(&policies, &slow(true), LONG);
    assert_eq!(
        outcomes,
        [Ok(vec!["must not be".to_owned()]), Err(Failure::Panicked), Ok(vec!["must be found once".to_owned()])]
    );
}

#[test]
fn facts_that_never_come_fail_the_policies_that_asked_for_them() {
    let policies = [active(&ASKS, Asks(1)), active(&FINDS, Finds), active(&ASKS, Asks(0))];
    let outcomes = judge(&policies, &slow(false), PATIENCE);
    assert_eq!(outcomes[0], Err(Failure::TimedOut));
    assert_eq!(outcomes[1], Ok(vec!["must not be".to_owned()]));
    assert_eq!(outcomes[2], Ok(vec!["must be found once".to_owned()]));
}

#[test]
fn an_answer_may_lead_to_the_next_question_a_few_times() {
    let world = slow(true);
    let outcomes = judge(&[active(&ASKS, Asks(2))], &world, LONG);
    assert_eq!(outcomes, [Ok(vec!["must be found once".to_owned()])]);
    assert_eq!(world.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_policy_that_never_stops_asking_has_failed() {
    let world = slow(true);
    let outcomes = judge(&[active(&ASKS, Asks(usize::MAX))], &world, LONG);
    assert_eq!(outcomes, [Err(Failure::TimedOut)]);
    assert!(world.asked.load(Ordering::Relaxed) < 10, "rounds are bounded");
}

#[test]
fn what_two_policies_ask_is_asked_once() {
    let world = slow(true);
    judge(&[active(&ASKS, Asks(1)), active(&FINDS, Asks(1))], &world, LONG);
    assert_eq!(world.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_policy_that_is_off_does_not_run() {
    let off = ActivePolicy { mode: Mode::Off, ..active(&PANICS, Panics) };
    assert_eq!(judge(&[off], &slow(true), LONG), []);
}
