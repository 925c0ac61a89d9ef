//! Runs policies: gathers what they ask, and keeps a panic to the policy that had it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;

use crate::facts::{Facts, Pending};
use crate::labels::Demand;
use crate::mode::Mode;
use crate::policy::defaults::Mutator;
use crate::policy::{Finding, Meta, Report, Validator};
use crate::request::Request;
use crate::steps::POLICY;

/// How often policies run while facts come in. A policy asks for all it needs in one round, or in two where one answer
/// leads to the next question.
const ROUNDS: usize = 4;

/// A policy in force, with its settings and modes.
#[derive(Clone)]
pub struct Active {
    /// Its documentation.
    pub meta: &'static Meta,
    /// The policy.
    pub validator: Arc<dyn Validator>,
    /// How far it acts.
    pub mode: Mode,
    /// How far it was configured to act; the ceiling may be lower.
    pub configured: Mode,
    /// Whether an update is judged like a creation.
    pub strict_updates: bool,
    /// What asked for it, where it was not configured: the namespace's labels.
    pub label: Option<Demand>,
}

/// A mutator in force, with its settings and modes.
#[derive(Clone)]
pub struct Setter {
    /// Its documentation.
    pub meta: &'static Meta,
    /// The mutator.
    pub mutator: Arc<dyn Mutator>,
    /// How far it acts.
    pub mode: Mode,
    /// How far it was configured to act; the ceiling may be lower.
    pub configured: Mode,
}

/// What became of one policy.
pub struct Outcome<'p> {
    /// The policy.
    pub policy: &'p Active,
    /// Its findings, or why there are none.
    pub result: Result<Vec<Finding>, Failure>,
    /// Whether it asked for something that the files at hand say nothing of.
    pub left_out: bool,
}

/// Why a policy came to no conclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It panicked.
    Panicked,
    /// The facts that it asked for did not come in time.
    TimedOut,
    /// It looked at more than a policy may.
    Exhausted,
}

/// Runs every policy that acts at all, and asks the world for what they ask, until `deadline`.
pub async fn judge<'p>(
    policies: &'p [Active],
    request: &Request<'_>,
    facts: &Facts<'_>,
    deadline: Instant,
) -> Vec<Outcome<'p>> {
    let mut outcomes = judge_at_once(policies, request, facts);
    for _ in 1..ROUNDS {
        if !ask(facts, deadline).await {
            break;
        }
        for outcome in &mut outcomes {
            if outcome.result == Err(Failure::TimedOut) {
                outcome.result = run(outcome.policy, request, facts);
                outcome.left_out = facts.take_left_out();
            }
        }
    }
    outcomes
}

/// Asks the world for all that is pending, at once; whether anything was learnt before `deadline`.
pub async fn ask(facts: &Facts<'_>, deadline: Instant) -> bool {
    let questions = facts.take_pending();
    let asked = join_all(questions.iter().map(|question| facts.world().ask(question)));
    let Ok(answers) = tokio::time::timeout_at(deadline.into(), asked).await else { return false };
    let learnt = !questions.is_empty();
    for (question, answer) in questions.into_iter().zip(answers) {
        facts.learn(question, answer);
    }
    learnt
}

/// Runs every policy once, with what is known at once. One that asks for more has failed.
pub fn judge_at_once<'p>(policies: &'p [Active], request: &Request<'_>, facts: &Facts<'_>) -> Vec<Outcome<'p>> {
    policies
        .iter()
        .filter(|policy| policy.mode > Mode::Off)
        .map(|policy| {
            let result = run(policy, request, facts);
            Outcome { policy, result, left_out: facts.take_left_out() }
        })
        .collect()
}

fn run(policy: &Active, request: &Request<'_>, facts: &Facts<'_>) -> Result<Vec<Finding>, Failure> {
    let mut report = Report::with_budget(POLICY);
    // A policy shares nothing with the outside that a panic could leave half written: `facts` only ever gains whole
    // answers.
    let judged = catch_unwind(AssertUnwindSafe(|| policy.validator.judge(request, facts, &mut report)));
    match judged {
        Ok(_) if report.is_exhausted() => Err(Failure::Exhausted),
        Ok(Ok(())) => Ok(report.into_findings()),
        Ok(Err(Pending)) => Err(Failure::TimedOut),
        Err(_) => Err(Failure::Panicked),
    }
}

#[cfg(test)]
mod tests;
