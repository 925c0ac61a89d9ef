//! The world in which a namespace has other labels.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::facts::{Answer, Namespace, Question, World};
use crate::lock::lock;

/// Answers that are kept for the next Pod: owners of Pods are objects of up to a few mebibytes.
const ANSWERS: usize = 64;
/// Bytes of all objects that are kept.
const BYTES: usize = 4 << 20;
/// Questions that one judgement may leave open.
const OPEN: usize = 32;

/// Answers to questions that a world cannot answer from memory. A check takes a second, so that they do not grow old.
#[derive(Default)]
pub(super) struct Asked {
    kept: Mutex<Kept>,
    open: Mutex<Vec<Question>>,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<Question, Answer>,
    bytes: usize,
}

impl Asked {
    /// Asks what was left open since the last time; false if nothing was, or the time is over.
    pub(super) async fn ask(&self, world: &dyn World, until: Instant) -> bool {
        let open = std::mem::take(&mut *lock(&self.open));
        let is_any = !open.is_empty();
        for question in open {
            let Ok(answer) = tokio::time::timeout_at(until.into(), world.ask(&question)).await else { return false };
            self.keep(question, answer);
        }
        is_any
    }

    /// Forgets what was left open.
    pub(super) fn clear(&self) {
        lock(&self.open).clear();
    }

    fn keep(&self, question: Question, answer: Answer) {
        let bytes = if let Answer::Object(text) = &answer { text.len() } else { 0 };
        let mut kept = lock(&self.kept);
        if kept.answers.len() >= ANSWERS || kept.bytes + bytes > BYTES {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.answers.insert(question, answer);
    }

    fn kept(&self, question: &Question) -> Option<Answer> {
        lock(&self.kept).answers.get(question).cloned()
    }

    fn leave_open(&self, question: &Question) {
        let mut open = lock(&self.open);
        if open.len() < OPEN && !open.contains(question) {
            open.push(question.clone());
        }
    }
}

/// A world in which one namespace has these labels.
pub(super) struct Relabelled<'w> {
    pub(super) world: &'w dyn World,
    pub(super) namespace: &'w str,
    pub(super) labels: &'w Arc<Namespace>,
    pub(super) asked: &'w Asked,
}

impl World for Relabelled<'_> {
    fn known(&self, question: &Question) -> Option<Answer> {
        if matches!(question, Question::Namespace { name, .. } if name == self.namespace) {
            return Some(Answer::Namespace(Arc::clone(self.labels)));
        }
        let answer = self.asked.kept(question).or_else(|| self.world.known(question));
        if answer.is_none() {
            self.asked.leave_open(question);
        }
        answer
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        self.world.ask(question)
    }
}
