//! The exceptions in force, found by policy and namespace, and by namespace and name.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::named::Named;
use super::{Exception, Subject};
use crate::policy::Meta;

/// An exception that decisions share with the configuration.
pub type Shared = Arc<Exception>;

/// A set of exceptions. It does not matter in which order they were written: they are kept in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Exceptions {
    all: Vec<Shared>,
    /// By policy and namespace.
    by_policy: HashMap<&'static str, HashMap<String, Vec<Shared>>>,
    by_namespace: HashMap<String, Named>,
    /// Those for objects that live in no namespace.
    elsewhere: Named,
}

impl Exceptions {
    /// The set of these exceptions.
    pub fn new(exceptions: Vec<Exception>) -> Self {
        let mut all: Vec<Shared> = exceptions.into_iter().map(Arc::new).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let mut by_policy: HashMap<&'static str, HashMap<String, Vec<Shared>>> = HashMap::new();
        let (mut by_namespace, mut elsewhere) = (HashMap::<String, Named>::new(), Named::default());
        for exception in &all {
            let Some(namespace) = &exception.matching.namespace else {
                elsewhere.add(Arc::clone(exception));
                continue;
            };
            by_namespace.entry(namespace.clone()).or_default().add(Arc::clone(exception));
            for policy in &exception.policies {
                let by_namespace = by_policy.entry(policy.id).or_default();
                by_namespace.entry(namespace.clone()).or_default().push(Arc::clone(exception));
            }
        }
        Self { all, by_policy, by_namespace, elsewhere }
    }

    /// Goes on with the counts of each exception that `before` had too, whatever its end and its reason are now.
    pub fn keep_uses(&mut self, before: &Self) {
        if self.is_empty() || before.is_empty() {
            return;
        }
        let kept = self.all.iter().map(|one| {
            let first = before.all.partition_point(|had| had.name < one.name);
            let mut named = before.all.iter().skip(first).take_while(|had| had.name == one.name);
            let had = named.find(|had| one.is_for_same(had));
            let uses = had.map_or(&one.uses, |had| &had.uses);
            Exception { uses: Arc::clone(uses), ..Exception::clone(one) }
        });
        *self = Self::new(kept.collect());
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every exception, expired ones included, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Shared> {
        self.all.iter()
    }

    /// True if an exception from this policy may be for an object of one of these kinds (group and kind) in this namespace at this
    /// time.
    pub fn may_be_about(&self, policy: &Meta, namespace: &str, kinds: &[(&str, &str)], now: Timestamp) -> bool {
        let named = self.by_policy.get(policy.id).and_then(|by_namespace| by_namespace.get(namespace));
        let is_of_kind = |one: &Shared| match &one.matching.kind {
            Some(wanted) => kinds.iter().any(|(group, kind)| wanted.is(group, kind)),
            None => true,
        };
        named.into_iter().flatten().any(|one| one.is_in_force(now) && is_of_kind(one))
    }

    /// The exceptions from this policy for this object at this time, in the order of their names.
    pub fn about(&self, policy: &Meta, subject: &Subject<'_>, now: Timestamp) -> Vec<&Shared> {
        let names = |one: &&Shared| one.policies.iter().any(|named| named.id == policy.id);
        let mut about: Vec<&Shared> = self.all_about(*subject, now).filter(names).collect();
        about.sort_by(|one, other| one.name.cmp(&other.name));
        about
    }

    /// The exceptions for this object at this time, from whatever policy.
    pub fn all_about<'e>(&'e self, subject: Subject<'_>, now: Timestamp) -> impl Iterator<Item = &'e Shared> {
        let here = self.by_namespace.get(subject.governed_by);
        let elsewhere = subject.is_in_no_namespace.then_some(&self.elsewhere);
        let named = here.into_iter().chain(elsewhere).flat_map(move |named| named.matching(subject.name));
        named.filter(move |one| one.is_about(&subject, now))
    }
}
