//! What policies may ask about the rest of the cluster, what was asked, and what was answered.
//!
//! A policy never calls out. What the [`World`] knows is answered at once; anything else ends the policy with
//! [`Pending`], the engine asks, and the policy runs again.

mod namespace;
mod network_policy;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

pub use namespace::Namespace;
pub use network_policy::{Direction, NetworkPolicy, Operator, Requirement, Selector};

/// "I asked for a fact that is not here yet."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending;

/// A question about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// A Namespace.
    Namespace {
        /// Its name.
        name: String,
    },
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The NetworkPolicies of a namespace.
    NetworkPolicies {
        /// The namespace.
        namespace: String,
        /// Whether a store will not do: it is asked for of the API server, now.
        live: bool,
    },
}

/// What is said of a question. "Not found" and "could not ask" are different answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The Namespace.
    Namespace(Arc<Namespace>),
    /// The ServiceAccount.
    ServiceAccount(Arc<ServiceAccount>),
    /// The NetworkPolicies.
    NetworkPolicies(Arc<[NetworkPolicy]>),
    /// The files at hand hold nothing of the kind, and say nothing of the cluster.
    LeftOut,
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
    /// The files at hand say nothing of such things: nothing can be found missing.
    LeftOut,
}

/// Answers questions: from a reflector's store, an API server, a registry, or files.
pub trait World: Send + Sync {
    /// What is known at once; `None` when it has to be asked for.
    fn known(&self, question: &Question) -> Option<Answer>;

    /// Asks for what is not known.
    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>>;
}

/// What is said of a world that answers another question than it was asked.
const OTHER: &str = "the answer was to another question";

/// The facts of one request: a [`World`], and a record of what was asked of it.
pub struct Facts<'w> {
    world: &'w dyn World,
    answers: Mutex<BTreeMap<Question, Answer>>,
    pending: Mutex<Vec<Question>>,
    left_out: AtomicBool,
}

impl<'w> Facts<'w> {
    /// Facts out of `world`.
    pub fn new(world: &'w dyn World) -> Self {
        Self { world, answers: Mutex::default(), pending: Mutex::default(), left_out: AtomicBool::new(false) }
    }

    /// A Namespace.
    ///
    /// # Errors
    /// [`Pending`] when the answer is not here yet.
    pub fn namespace(&self, name: &str) -> Result<Known<Arc<Namespace>>, Pending> {
        let answer = self.answer(Question::Namespace { name: name.to_owned() })?;
        Ok(known(answer, |answer| if let Answer::Namespace(namespace) = answer { Some(namespace) } else { None }))
    }

    /// A ServiceAccount.
    ///
    /// # Errors
    /// [`Pending`] when the answer is not here yet.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<Known<Arc<ServiceAccount>>, Pending> {
        let question = Question::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
        let answer = self.answer(question)?;
        Ok(known(answer, |answer| if let Answer::ServiceAccount(account) = answer { Some(account) } else { None }))
    }

    /// The NetworkPolicies of a namespace; with `live`, as the API server lists them now rather than as a store
    /// remembers them.
    ///
    /// # Errors
    /// [`Pending`] when the answer is not here yet.
    pub fn network_policies(&self, namespace: &str, live: bool) -> Result<Known<Arc<[NetworkPolicy]>>, Pending> {
        let question = Question::NetworkPolicies { namespace: namespace.to_owned(), live };
        let answer = self.answer(question)?;
        Ok(known(answer, |answer| if let Answer::NetworkPolicies(policies) = answer { Some(policies) } else { None }))
    }

    /// Whether, since this was last asked, some answer was that the files at hand say nothing.
    pub fn take_left_out(&self) -> bool {
        self.left_out.swap(false, Ordering::Relaxed)
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
        let answer = self.look_up(question)?;
        if answer == Answer::LeftOut {
            self.left_out.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    fn look_up(&self, question: Question) -> Result<Answer, Pending> {
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

/// What an answer says of the one kind that was asked for, which `take` takes out of it.
fn known<T>(answer: Answer, take: impl FnOnce(Answer) -> Option<T>) -> Known<T> {
    match answer {
        Answer::Unavailable(why) => Known::Unknown(why),
        Answer::LeftOut => Known::LeftOut,
        Answer::NotFound => Known::Absent,
        found => take(found).map_or_else(|| Known::Unknown(OTHER.to_owned()), Known::Found),
    }
}
