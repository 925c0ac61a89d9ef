//! Entries of `namespaces` that match by a label: they raise policies in the namespaces that carry it, and lower none.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Scope, Snapshot, levels, without_replaced};
use crate::mode::Mode;
use crate::policy::{Kinds, Meta, Severity};

/// Stands for the labels that entries of `namespaces` match, in findings. Not a policy of the catalogue: the labels raise policies.
/// The id is the key in the configuration.
pub static RAISES: Meta = Meta {
    id: "namespaces",
    title: "the labels of the namespace that entries of namespaces match",
    severity: Severity::High,
    since: "0.1.0",
    why: "Labels of the namespace may raise policies, so that nothing is admitted before they are read.",
    fix: "try again; if it stays so, see that Portcullis may get, list and watch namespaces",
    kinds: &[],
    fields: &[],
    changes: &[],
    controls: &[],
};

/// A label of namespaces: a key, with one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisingLabel {
    /// The key.
    pub key: String,
    /// The values, sorted, each once. There is at least one.
    pub values: Vec<String>,
}

impl RaisingLabel {
    /// True if an object carries the label; `label` gives the value of a key.
    pub fn is_in<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        label(&self.key).is_some_and(|value| self.values.iter().any(|one| one == value))
    }

    /// True if whatever carries `other` carries this too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.key == other.key && other.values.iter().all(|value| self.values.contains(value))
    }
}

impl fmt::Display for RaisingLabel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.key, self.values.join("|"))
    }
}

/// An entry of `namespaces` that matches by a label.
#[derive(Debug, Clone)]
pub struct Raise {
    /// The label.
    pub label: RaisingLabel,
    /// Index of the scope, which is nowhere weaker than the global one.
    pub scope: usize,
}

impl Snapshot {
    /// The labels that entries match, in the order of the entries.
    pub fn raising(&self) -> impl ExactSizeIterator<Item = &RaisingLabel> {
        self.raises.iter().map(|raise| &raise.label)
    }

    /// The keys of these labels, sorted, each once.
    pub fn raising_keys(&self) -> &Arc<[String]> {
        &self.raising_keys
    }

    /// The policies and settings in a namespace that carries those of the labels that `has` picks: of every policy the strongest mode
    /// that the entry by name, or else the top, and the entries of these labels give it.
    pub fn raised(&self, namespace: &str, has: impl Fn(&RaisingLabel) -> bool) -> Cow<'_, Scope> {
        let mut scopes = self.raises.iter().filter(|raise| has(&raise.label)).map(|raise| &self.scopes[raise.scope]);
        let is_named = self.by_name.contains_key(namespace);
        // An entry by label is never weaker than the top.
        let base = if is_named { Some(self.scope(namespace)) } else { scopes.next() };
        let mut scope = Cow::Borrowed(base.unwrap_or_else(|| self.scope(namespace)));
        for other in scopes {
            scope.to_mut().raise_to(other);
        }
        if let Cow::Owned(scope) = &mut scope {
            scope.policies = without_replaced(std::mem::take(&mut scope.policies), self.version);
        }
        scope
    }

    /// The strongest mode of the validators on objects that `covers` picks, as the entry of a label gives it, counted from 0; off if there
    /// is no such entry: in one namespace, or in any.
    pub fn strongest_raised_on(
        &self,
        entry: usize,
        namespace: Option<&str>,
        covers: impl Fn(Kinds<'_>) -> bool,
    ) -> Mode {
        self.raised_by(entry).map_or(Mode::Off, |scope| scope.strongest_on(namespace, covers))
    }

    /// True if labels of a namespace may make policies refuse Pods in it.
    pub fn labels_may_refuse(&self, namespace: &str) -> bool {
        let on_pods = |kinds: Kinds<'_>| matches!(kinds, Kinds::Pods | Kinds::Named(_));
        let raised = (0..self.raises.len()).map(|entry| self.strongest_raised_on(entry, None, on_pods));
        raised.chain([self.labels(namespace)]).any(|mode| mode == Mode::Enforce)
    }

    /// The strongest mode of any mutator, as the entry of a label gives it.
    pub fn strongest_raised_default(&self, entry: usize) -> Mode {
        self.raised_by(entry).map_or(Mode::Off, Scope::strongest_default)
    }

    /// The scope of the entry of a label, counted from 0.
    pub fn raised_by(&self, entry: usize) -> Option<&Scope> {
        self.raises.get(entry).map(|raise| &self.scopes[raise.scope])
    }
}

impl Scope {
    /// Gives every policy at least the mode that it has in `other`.
    fn raise_to(&mut self, other: &Self) {
        for policy in &other.policies {
            match self.policies.iter_mut().find(|own| std::ptr::eq(own.meta, policy.meta)) {
                Some(own) => {
                    own.mode = own.mode.max(policy.mode);
                    own.configured = own.configured.max(policy.configured);
                    own.strict_updates |= policy.strict_updates;
                    own.enforces_deletes |= policy.enforces_deletes;
                }
                None => {
                    self.policies.push(policy.clone());
                    let settings = other.settings.get(policy.meta.id);
                    self.settings.extend(settings.map(|settings| (policy.meta.id, settings.clone())));
                }
            }
        }
        levels::sort(&mut self.policies);
        for mutator in &other.mutators {
            match self.mutators.iter_mut().find(|own| std::ptr::eq(own.meta, mutator.meta)) {
                Some(own) => {
                    own.mode = own.mode.max(mutator.mode);
                    own.configured = own.configured.max(mutator.configured);
                }
                None => self.mutators.push(mutator.clone()),
            }
        }
        self.mutators.sort_by_key(|mutator| levels::place(mutator.meta));
        self.labels = self.labels.max(other.labels);
    }
}
