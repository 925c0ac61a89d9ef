//! What policies may ask about the rest of the cluster, what was asked, and what was answered.
//!
//! A policy never calls out. What the [`World`] knows is answered at once; anything else ends the policy with
//! [`Pending`], the engine asks, and the policy runs again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// "I asked for a fact that is not here yet."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending;

/// A question about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What is said of a question. "Not found" and "could not ask" are different answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The ServiceAccount.
    ServiceAccount(Arc<ServiceAccount>),
    /// It does not exist.
    NotFound,
    /// Nobody could say; the reason, for people.
    Unavailable(String),
}

/// What policies read of a ServiceAccount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `automountServiceAccountToken`
    pub automount_token: Option<bool>,
}

/// What is known of one thing: there, not there, or not to be learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It is there.
    Found(T),
    /// It is not.
    Absent,
    /// It could not be asked for; the reason, for people.
    Unknown(String),
}

/// Answers questions: from a reflector's store, an API server, a registry, or files.
pub trait World: Send + Sync {
    /// What is known at once; `None` when it has to be asked for.
    fn known(&self, question: &Question) -> Option<Answer>;

    /// Asks for what is not known.
    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>>;
}

/// The facts of one request: a [`World`], and a record of what was asked of it.
pub struct Facts<'w> {
    world: &'w dyn World,
    answers: Mutex<BTreeMap<Question, Answer>>,
    pending: Mutex<Vec<Question>>,
}

impl<'w> Facts<'w> {
    /// Facts out of `world`.
    pub fn new(world: &'w dyn World) -> Self {
        Self { world, answers: Mutex::default(), pending: Mutex::default() }
    }

    /// A ServiceAccount.
    ///
    /// # Errors
    /// [`Pending`] when the answer is not here yet.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<Known<Arc<ServiceAccount>>, Pending> {
        let question = Question::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(match self.answer(question)? {
            Answer::ServiceAccount(account) => Known::Found(account),
            Answer::NotFound => Known::Absent,
            Answer::Unavailable(why) => Known::Unknown(why),
        })
    }

    /// The world that answers.
    pub fn world(&self) -> &'w dyn World {
        self.world
    }

    /// Takes the questions that ended policies with [`Pending`].
    pub fn take_pending(&self) -> Vec<Question> {
        let mut questions = std::mem::take(&mut *lock(&self.pending));
        questions.sort();
        questions.dedup();
        questions
    }

    /// Adds an answer.
    pub fn learn(&self, question: Question, answer: Answer) {
        lock(&self.answers).insert(question, answer);
    }

    fn answer(&self, question: Question) -> Result<Answer, Pending> {
        if let Some(answer) = lock(&self.answers).get(&question) {
            return Ok(answer.clone());
        }
        let Some(answer) = self.world.known(&question) else {
            lock(&self.pending).push(question);
            return Err(Pending);
        };
        self.learn(question, answer.clone());
        Ok(answer)
    }
}

/// A policy that panicked while it asked leaves whole answers behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
