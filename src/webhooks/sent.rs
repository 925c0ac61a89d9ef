//! The resources that webhooks send, each once, whichever and however many policies judge its objects.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::object::resource::Condition;
use crate::object::{Scope, Workload};
use crate::operation::Operation;
use crate::policy::Kinds;

/// Groups of Kubernetes' own kinds with pod templates, all of which live in namespaces.
const WORKLOADS: [&str; 3] = ["", "apps", "batch"];

/// A resource, or a subresource, as webhook rules name it.
pub(super) struct Sent<'s> {
    pub(super) group: Cow<'s, str>,
    pub(super) name: Cow<'s, str>,
    pub(super) operations: Vec<Operation>,
    pub(super) scope: Scope,
    /// The objects whose rule names it.
    pub(super) source: Kinds<'s>,
    /// Every kind of objects that policies judge through it.
    pub(super) kinds: Vec<Kinds<'s>>,
}

/// A resource that policies on Pods judge.
pub(super) struct OfPods<'s> {
    group: &'s str,
    name: &'s str,
    operations: &'static [Operation],
}

impl<'s> OfPods<'s> {
    /// A kind with pods.
    pub(super) fn of(row: &'s Workload, operations: &'static [Operation]) -> Self {
        Self { group: &row.group, name: &row.resource, operations }
    }

    /// A subresource of Pods.
    pub(super) fn below(name: &'static str) -> Self {
        Self { group: "", name, operations: &[Operation::Update] }
    }
}

impl Sent<'_> {
    /// True if a namespaceSelector holds it back. Of what lives in no namespace that is a Namespace alone.
    pub(super) fn is_selected(&self) -> bool {
        let resource = self.name.split('/').next().unwrap_or_default();
        self.scope != Scope::Cluster || self.group.is_empty() && resource == "namespaces"
    }

    /// True if it has a webhook of its own, so that what holds for it holds for nothing else: Secrets, deletions, and what is sent on
    /// a condition.
    pub(super) fn is_alone(&self) -> bool {
        let is_secret = match self.source {
            Kinds::Resource(row) => row.is_secret(),
            Kinds::Named(named) => named.is_secret(),
            Kinds::Pods | Kinds::Settings => false,
        };
        is_secret || self.source.is_deletion() || self.condition().is_some()
    }

    /// True if it is the same resource, and both are deleted or neither.
    fn is_same(&self, other: &Self) -> bool {
        self.group == other.group && self.name == other.name && self.source.is_deletion() == other.source.is_deletion()
    }

    /// The condition on which it is sent: the one that all have who judge objects through it.
    pub(super) fn condition(&self) -> Option<Condition> {
        let of = |kinds: &Kinds<'_>| match kinds {
            Kinds::Resource(row) => row.condition,
            _ => None,
        };
        let first = self.kinds.first().and_then(of);
        first.filter(|_| self.kinds.iter().all(|kinds| of(kinds) == first))
    }

    /// True if no settings name its kind, so that it is sent wherever others of its source are.
    pub(super) fn is_plain(&self) -> bool {
        !self.kinds.iter().any(|kinds| matches!(kinds, Kinds::Named(_)))
    }

    fn add(&mut self, kinds: Kinds<'_>, operations: &[Operation]) -> bool {
        for operation in operations {
            if !self.operations.contains(operation) {
                self.operations.push(*operation);
            }
        }
        matches!(kinds, Kinds::Resource(_)) && !matches!(self.source, Kinds::Resource(_))
    }
}

/// The resources of some objects: those with pods, then the others by name, so that the order of the catalogue changes no rule and
/// no webhook's name. One that two kinds of policies judge stands in the rule of the table, else in that of Pods.
pub(super) fn sent<'s>(judged: impl Iterator<Item = Kinds<'s>>, of_pods: &[OfPods<'s>]) -> Vec<Sent<'s>> {
    let mut all: Vec<Kinds<'s>> = Vec::new();
    for kinds in judged {
        if !all.contains(&kinds) {
            all.push(kinds);
        }
    }
    all.sort_by_key(|kinds| order(*kinds));
    let mut found: Vec<Sent<'s>> = Vec::new();
    for kinds in all {
        for new in of_kinds(kinds, of_pods) {
            let Some(position) = found.iter().position(|one| one.is_same(&new)) else {
                found.push(new);
                continue;
            };
            let Some(known) = found.get_mut(position) else { continue };
            known.kinds.push(kinds);
            if known.add(kinds, &new.operations) {
                let known = found.remove(position);
                found.push(Sent { source: kinds, scope: new.scope, ..known });
            }
        }
    }
    found
}

/// Of rows of the same resource, the one with the most operations comes first.
fn order(kinds: Kinds<'_>) -> Option<(&str, &str, bool, Reverse<usize>)> {
    match kinds {
        Kinds::Pods | Kinds::Settings => None,
        Kinds::Resource(row) => Some((row.resource, row.path_group(), false, Reverse(row.operations.len()))),
        Kinds::Named(named) => Some((&named.resource, &named.group, true, Reverse(0))),
    }
}

fn of_kinds<'s>(kinds: Kinds<'s>, of_pods: &[OfPods<'s>]) -> Vec<Sent<'s>> {
    let sent = |group: &'s str, name: Cow<'s, str>, operations: &[Operation], scope| {
        let (group, operations) = (Cow::Borrowed(group), operations.to_vec());
        Sent { group, name, operations, scope, source: kinds, kinds: vec![kinds] }
    };
    match kinds {
        Kinds::Settings => Vec::new(),
        Kinds::Pods => {
            let scope = |group| if WORKLOADS.contains(&group) { Scope::Namespaced } else { Scope::Unknown };
            of_pods.iter().map(|one| sent(one.group, one.name.into(), one.operations, scope(one.group))).collect()
        }
        Kinds::Resource(row) => {
            let scope = if row.is_namespaced { Scope::Namespaced } else { Scope::Cluster };
            row.names().map(|name| sent(row.path_group(), name.into(), row.operations, scope)).collect()
        }
        Kinds::Named(named) => {
            named.names().map(|(name, operations)| sent(&named.group, name, operations, named.scope)).collect()
        }
    }
}
