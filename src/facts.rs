//! Facts about the rest of the cluster: the questions that policies may ask, and their answers.
//!
//! A policy performs no I/O. A question that the [`World`] can answer from memory is answered at once; any other ends the
//! policy with [`Pending`], the engine asks it, and the policy runs again.

mod namespace;
mod network_policy;
mod owner;
mod pods;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

pub use namespace::Namespace;
pub use network_policy::{
    Direction, Isolation, Label, Misread, NetworkPolicies, NetworkPolicy, Operator, PolicyKind, Requirement, Scope,
    Selector, Subject, allow_everything,
};
pub use owner::OwnerKind;
pub use pods::{PodGroup, PodLabels, RunningPods};

/// The policy asked for a fact that is not at hand yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending;

/// A question about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// A Namespace.
    Namespace {
        /// Its name.
        name: String,
        /// Keys of labels that are asked for beside those for Pod Security.
        keys: Arc<[String]>,
    },
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The NetworkPolicies of a namespace, and the policies of other kinds that may select its Pods.
    NetworkPolicies {
        /// The namespace.
        namespace: String,
        /// True to ask the API server now, rather than a store that may lag behind.
        live: bool,
    },
    /// The Pods of a namespace that have not ended and are not on the network of their node.
    RunningPods {
        /// The namespace.
        namespace: String,
    },
    /// An object that owns others, as it is stored now.
    Owner {
        /// Its kind.
        kind: OwnerKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The answer to a question. "Not found" and "could not ask" are different answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The Namespace.
    Namespace(Arc<Namespace>),
    /// The ServiceAccount.
    ServiceAccount(Arc<ServiceAccount>),
    /// The NetworkPolicies.
    NetworkPolicies(Arc<NetworkPolicies>),
    /// The running Pods.
    RunningPods(Arc<RunningPods>),
    /// JSON of the object.
    Object(Arc<str>),
    /// The input files hold no object of this kind, and do not describe the cluster.
    LeftOut,
    /// The object does not exist.
    NotFound,
    /// The question could not be answered; holds the reason.
    Unavailable(String),
}

/// The fields of a ServiceAccount that policies read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `automountServiceAccountToken`
    pub automount_token: Option<bool>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The state of an object that a policy asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It exists.
    Found(T),
    /// It does not exist.
    Absent,
    /// The question could not be answered; holds the reason.
    Unavailable(String),
    /// The input files do not describe such objects, so that nothing can be found missing.
    LeftOut,
}

/// Answers questions: from a reflector's store, an API server, or files.
pub trait World: Send + Sync {
    /// The answer from memory; `None` if the question has to be asked.
    fn known(&self, question: &Question) -> Option<Answer>;

    /// Asks a question that cannot be answered from memory.
    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>>;
}

/// Reason given when a world answers another question than was asked.
const OTHER: &str = "the answer was to another question";

/// The facts of one request: a [`World`], and a record of the questions put to it.
///
/// The answers are shared by all policies of the request; [`for_run`](Self::for_run) gives each run of a policy a
/// recorder of its own.
pub struct Facts<'w> {
    request: Arc<Shared<'w>>,
    left_out: AtomicBool,
}

/// The part of the facts that all policies of a request share.
struct Shared<'w> {
    world: &'w dyn World,
    answers: Mutex<BTreeMap<Question, Answer>>,
    pending: Mutex<Vec<Question>>,
}

impl<'w> Facts<'w> {
    /// Facts from `world`.
    pub fn new(world: &'w dyn World) -> Self {
        let request = Shared { world, answers: Mutex::default(), pending: Mutex::default() };
        Self { request: Arc::new(request), left_out: AtomicBool::new(false) }
    }

    /// The same facts for one run of one policy: [`had_left_out`](Self::had_left_out) covers this run only.
    #[must_use]
    pub fn for_run(&self) -> Self {
        Self { request: Arc::clone(&self.request), left_out: AtomicBool::new(false) }
    }

    /// A Namespace, with its Pod Security labels and those with one of `keys`.
    ///
    /// # Errors
    /// [`Pending`] if the answer is not at hand yet.
    pub fn namespace(&self, name: &str, keys: &Arc<[String]>) -> Result<Lookup<Arc<Namespace>>, Pending> {
        let answer = self.answer(Question::Namespace { name: name.to_owned(), keys: Arc::clone(keys) })?;
        Ok(known(answer, |answer| if let Answer::Namespace(namespace) = answer { Some(namespace) } else { None }))
    }

    /// A ServiceAccount.
    ///
    /// # Errors
    /// [`Pending`] if the answer is not at hand yet.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<Lookup<Arc<ServiceAccount>>, Pending> {
        let question = Question::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
        let answer = self.answer(question)?;
        Ok(known(answer, |answer| if let Answer::ServiceAccount(account) = answer { Some(account) } else { None }))
    }

    /// The NetworkPolicies of a namespace; with `live`, as the API server lists them now rather than from a store.
    ///
    /// # Errors
    /// [`Pending`] if the answer is not at hand yet.
    pub fn network_policies(&self, namespace: &str, live: bool) -> Result<Lookup<Arc<NetworkPolicies>>, Pending> {
        let question = Question::NetworkPolicies { namespace: namespace.to_owned(), live };
        let answer = self.answer(question)?;
        Ok(known(answer, |answer| if let Answer::NetworkPolicies(policies) = answer { Some(policies) } else { None }))
    }

    /// The Pods of a namespace that have not ended and are not on the network of their node.
    ///
    /// # Errors
    /// [`Pending`] if the answer is not at hand yet.
    pub fn running_pods(&self, namespace: &str) -> Result<Lookup<Arc<RunningPods>>, Pending> {
        let answer = self.answer(Question::RunningPods { namespace: namespace.to_owned() })?;
        Ok(known(answer, |answer| if let Answer::RunningPods(pods) = answer { Some(pods) } else { None }))
    }

    /// JSON of an object that owns others, as it is stored now. Nothing is known yet of who it is: compare its uid.
    ///
    /// # Errors
    /// [`Pending`] if the answer is not at hand yet.
    pub fn owner(&self, kind: OwnerKind, namespace: &str, name: &str) -> Result<Lookup<Arc<str>>, Pending> {
        let question = Question::Owner { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        let answer = self.answer(question)?;
        Ok(known(answer, |answer| if let Answer::Object(json) = answer { Some(json) } else { None }))
    }

    /// True if an answer of this run was [`Answer::LeftOut`].
    pub fn had_left_out(&self) -> bool {
        self.left_out.load(Ordering::Relaxed)
    }

    /// The world that answers.
    pub fn world(&self) -> &'w dyn World {
        self.request.world
    }

    /// Takes the questions that ended policies with [`Pending`].
    pub fn take_pending(&self) -> Vec<Question> {
        let mut questions = std::mem::take(&mut *lock(&self.request.pending));
        questions.sort();
        questions.dedup();
        questions
    }

    /// Adds an answer.
    pub fn learn(&self, question: Question, answer: Answer) {
        lock(&self.request.answers).insert(question, answer);
    }

    fn answer(&self, question: Question) -> Result<Answer, Pending> {
        let answer = self.look_up(question)?;
        if answer == Answer::LeftOut {
            self.left_out.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    fn look_up(&self, question: Question) -> Result<Answer, Pending> {
        if let Some(answer) = lock(&self.request.answers).get(&question) {
            return Ok(answer.clone());
        }
        let Some(answer) = self.request.world.known(&question) else {
            lock(&self.request.pending).push(question);
            return Err(Pending);
        };
        self.learn(question, answer.clone());
        Ok(answer)
    }
}

/// Turns an answer into the state of the object that was asked for; `take` extracts an object of its kind.
fn known<T>(answer: Answer, take: impl FnOnce(Answer) -> Option<T>) -> Lookup<T> {
    match answer {
        Answer::Unavailable(why) => Lookup::Unavailable(why),
        Answer::LeftOut => Lookup::LeftOut,
        Answer::NotFound => Lookup::Absent,
        found => take(found).map_or_else(|| Lookup::Unavailable(OTHER.to_owned()), Lookup::Found),
    }
}
