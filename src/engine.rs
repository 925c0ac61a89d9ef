//! Runs policies: fetches the facts that they ask for, and isolates a panic to its policy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;

use crate::facts::{Facts, Pending};
use crate::mode::Mode;
use crate::pod_security::Demand;
use crate::policy::defaults::Mutator;
use crate::policy::{About, Finding, Kinds, Meta, Report, Validator};
use crate::request::Request;
use crate::steps::POLICY;

/// Maximum number of runs of a policy while facts arrive. A policy asks for everything in one round, or in two if one
/// answer leads to another question.
const ROUNDS: usize = 4;

/// A policy in force, with its settings and modes.
#[derive(Clone)]
pub struct ActivePolicy {
    /// Metadata of the policy.
    pub meta: &'static Meta,
    /// Its code, with its settings.
    pub validator: Arc<dyn Validator>,
    /// Mode in force.
    pub mode: Mode,
    /// Configured mode; the ceiling may lower it.
    pub configured: Mode,
    /// True if updates are judged like creations (`updates: strict`).
    pub strict_updates: bool,
    /// True if deletions may be refused (`deletes: enforce`).
    pub enforces_deletes: bool,
    /// The namespace label that asks for the policy; `None` if it is configured.
    pub label: Option<Demand>,
}

impl ActivePolicy {
    /// The objects that it judges: of its documentation, and of its settings.
    pub fn kinds(&self) -> impl Iterator<Item = Kinds<'_>> {
        let own = self.meta.kinds.iter().copied().filter(|kinds| *kinds != Kinds::Settings);
        own.chain(self.validator.named().iter().map(Kinds::Named))
    }

    /// The paths that it reads, of its documentation and of its settings.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.meta.paths().chain(self.validator.paths().into_iter().map(str::to_owned))
    }

    /// True if it judges objects in that namespace, empty for those in none.
    pub fn acts_in(&self, namespace: &str) -> bool {
        self.validator.namespaces().is_none_or(|names| names.contains(namespace))
    }

    /// True if a finding does not refuse that the old object, or an owner that is old enough, has too.
    pub fn inherits(&self) -> bool {
        !self.strict_updates && self.is_about_object()
    }

    /// True if its findings are about the object, and not about who writes it.
    pub fn is_about_object(&self) -> bool {
        self.validator.about() == About::Object
    }

    /// The mode in force of findings on these objects.
    pub fn mode_on(&self, kinds: Kinds<'_>) -> Mode {
        let is_lenient = if kinds.is_deletion() {
            !self.enforces_deletes
        } else {
            self.validator.depends_on_others(kinds) && !self.strict_updates
        };
        if is_lenient || self.validator.only_warns(kinds) { self.mode.min(Mode::Warn) } else { self.mode }
    }
}

/// A mutator in force, with its settings and modes.
#[derive(Clone)]
pub struct ActiveMutator {
    /// Metadata of the policy.
    pub meta: &'static Meta,
    /// Its code, with its settings.
    pub mutator: Arc<dyn Mutator>,
    /// Mode in force.
    pub mode: Mode,
    /// Configured mode; the ceiling may lower it.
    pub configured: Mode,
}

/// The outcome of one policy.
pub struct Outcome<'p> {
    /// The policy.
    pub policy: &'p ActivePolicy,
    /// Its findings, or the reason why it failed.
    pub result: Result<Vec<Finding>, Failure>,
    /// The reason that it demanded, as the object states it.
    pub reason: Option<String>,
    /// True if it asked for objects that the input files do not describe.
    pub left_out: bool,
}

/// The reason why a policy failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It panicked.
    Panicked,
    /// Facts that it asked for did not arrive before the deadline.
    TimedOut,
    /// It exceeded its number of steps.
    Exhausted,
}

/// Runs every policy that is not off, and asks the world for the facts that they need, until `deadline`.
pub async fn judge<'p>(
    policies: &'p [ActivePolicy],
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
                *outcome = run(outcome.policy, request, facts);
            }
        }
    }
    outcomes
}

/// Asks the world all pending questions concurrently; true if there were any and all were answered before `deadline`.
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

/// Runs every policy once that is on and judges such requests, with the facts at hand. A policy that asks for more fails.
pub fn judge_at_once<'p>(policies: &'p [ActivePolicy], request: &Request<'_>, facts: &Facts<'_>) -> Vec<Outcome<'p>> {
    let is_asked = |policy: &&ActivePolicy| {
        policy.mode > Mode::Off
            && policy.acts_in(request.governed_by())
            && policy.kinds().any(|kinds| kinds.cover(request))
    };
    policies.iter().filter(is_asked).map(|policy| run(policy, request, facts)).collect()
}

fn run<'p>(policy: &'p ActivePolicy, request: &Request<'_>, facts: &Facts<'_>) -> Outcome<'p> {
    let facts = facts.for_run();
    let mut report = Report::with_budget(POLICY);
    // Unwind safe: a policy changes nothing but `report`, which a panic discards, and `facts`, which gain whole answers.
    let judged = catch_unwind(AssertUnwindSafe(|| policy.validator.judge(request, &facts, &mut report)));
    let reason = report.take_reason();
    let result = match judged {
        Ok(_) if report.is_exhausted() => Err(Failure::Exhausted),
        Ok(Ok(())) => Ok(report.into_findings()),
        Ok(Err(Pending)) => Err(Failure::TimedOut),
        Err(_) => Err(Failure::Panicked),
    };
    Outcome { policy, result, reason, left_out: facts.had_left_out() }
}

#[cfg(test)]
mod tests;
