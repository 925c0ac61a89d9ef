//! The configuration in force. Each request takes one [`Snapshot`] and uses it to the end.

mod levels;
mod raise;
mod replaced;
mod weaker;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::{ActiveMutator, ActivePolicy};
use crate::exception::Exceptions;
use crate::mode::Mode;
use crate::object::resource::DELETED_NETWORK_POLICIES;
use crate::object::{NamedKind, Workloads};
use crate::pod_security::{Demand, Version};
use crate::policy::{Kinds, Meta, Severity};

pub use levels::Levels;
pub use raise::{RAISES, Raise, RaisingLabel};
pub use replaced::without_replaced;
pub use weaker::{Change, Weaker, weaker};

/// Stands for the namespace's labels in findings and reloads. Not a policy of the catalogue: the labels turn policies on.
/// The id is the key in the configuration.
pub static LABELS: Meta = Meta {
    id: "podSecurityLabels",
    title: "the Pod Security labels of the namespace",
    severity: Severity::High,
    since: "0.1.0",
    why: "Labels of the namespace may ask for more than is configured, so that nothing is admitted before they are read.",
    fix: "try again; if it stays so, see that Portcullis may get, list and watch namespaces",
    kinds: &[Kinds::Pods],
    fields: &[],
    changes: &[],
    controls: &[],
};

/// A compiled configuration. It is immutable; a reload makes another.
#[derive(Clone)]
pub struct Snapshot {
    digest: Arc<str>,
    /// The global scope, then one for each entry of `namespaces`.
    scopes: Vec<Scope>,
    by_name: HashMap<String, usize>,
    raises: Vec<Raise>,
    /// Keys of the labels in `raises`.
    raising_keys: Arc<[String]>,
    workloads: Workloads,
    version: Version,
    /// Policies that labels of namespaces may add; `None` if labels are ignored.
    levels: Option<Arc<Levels>>,
    exceptions: Exceptions,
    existing: Option<Timestamp>,
    break_glass: Arc<[String]>,
    repairs_webhooks: bool,
    redacts: bool,
    traces: bool,
}

/// The parts of a [`Snapshot`].
pub struct Parts {
    /// SHA-256 of the configuration file, hexadecimal.
    pub digest: String,
    /// The global scope first, then one for each entry of `namespaces`.
    pub scopes: Vec<Scope>,
    /// Index in `scopes` for each namespace that an entry names.
    pub by_name: HashMap<String, usize>,
    /// The entries of `namespaces` that match by a label, in order.
    pub raises: Vec<Raise>,
    /// The kinds with pod templates.
    pub workloads: Workloads,
    /// The version of the Pod Security Standards that policies follow.
    pub version: Version,
    /// Policies that labels of namespaces may add; `None` if labels are ignored.
    pub levels: Option<Arc<Levels>>,
    /// The exceptions, expired ones included.
    pub exceptions: Exceptions,
    /// Time before which a workload must have been created for its findings not to refuse its Pods; `None` if all refuse.
    pub existing: Option<Timestamp>,
    /// Groups whose members may break the glass.
    pub break_glass: Arc<[String]>,
    /// True if webhooks that are weaker than derived are repaired (`webhooks.drift`).
    pub repairs_webhooks: bool,
    /// True if secrets are redacted (`trail.redaction`).
    pub redacts: bool,
}

/// The policies and settings that apply in a set of namespaces.
#[derive(Clone)]
pub struct Scope {
    /// Validators, in the catalogue's order.
    pub policies: Vec<ActivePolicy>,
    /// Mutators, in the catalogue's order.
    pub mutators: Vec<ActiveMutator>,
    /// Strongest mode that labels of a namespace may ask for; off if labels are ignored.
    pub labels: Mode,
    /// Settings as configured, by policy id.
    pub settings: BTreeMap<&'static str, serde_json::Value>,
}

impl Snapshot {
    /// A snapshot of these parts.
    ///
    /// # Panics
    /// If there is no scope, or an index in `by_name` or `raises` is out of range.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            digest,
            scopes,
            by_name,
            raises,
            workloads,
            version,
            levels,
            exceptions,
            existing,
            break_glass,
            repairs_webhooks,
            redacts,
        } = parts;
        let mut used = by_name.values().copied().chain(raises.iter().map(|raise| raise.scope)).chain([0]);
        assert!(used.all(|scope| scope < scopes.len()), "every namespace has a scope");
        let digest = digest.into();
        let keys: BTreeSet<&String> = raises.iter().map(|raise| &raise.label.key).collect();
        let raising_keys = keys.into_iter().cloned().collect();
        Self {
            digest,
            scopes,
            by_name,
            raises,
            raising_keys,
            workloads,
            version,
            levels,
            exceptions,
            existing,
            break_glass,
            repairs_webhooks,
            redacts,
            traces: false,
        }
    }

    /// SHA-256 of the configuration file, hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The policies for objects governed by `namespace` (empty for cluster-scoped ones), in the catalogue's order.
    pub fn policies(&self, namespace: &str) -> &[ActivePolicy] {
        &self.scope(namespace).policies
    }

    /// The settings of a policy for objects governed by `namespace`, as configured; `None` if there are none.
    pub fn settings(&self, namespace: &str, policy: &str) -> Option<&serde_json::Value> {
        self.scope(namespace).settings.get(policy)
    }

    /// Strongest mode that the labels of `namespace` may ask for: its ceiling, or off if labels are ignored.
    pub fn labels(&self, namespace: &str) -> Mode {
        self.scope(namespace).labels
    }

    /// The policies for objects in `namespace`, and those that its labels ask for beyond them, in the catalogue's order.
    pub fn tightened(&self, namespace: &str, demands: &[Demand]) -> Cow<'_, [ActivePolicy]> {
        self.tightened_in(Cow::Borrowed(self.scope(namespace)), demands)
    }

    /// The policies of a scope, and those that the labels of the namespace ask for beyond them, in the catalogue's order.
    pub fn tightened_in<'s>(&self, scope: Cow<'s, Scope>, demands: &[Demand]) -> Cow<'s, [ActivePolicy]> {
        let levels = self.levels.as_ref().filter(|_| scope.labels > Mode::Off);
        let added = levels.map(|levels| levels.beyond(&scope, self.version, demands)).unwrap_or_default();
        if added.is_empty() {
            return match scope {
                Cow::Borrowed(scope) => Cow::Borrowed(&scope.policies),
                Cow::Owned(scope) => Cow::Owned(scope.policies),
            };
        }
        let mut all = [scope.policies.as_slice(), &added].concat();
        levels::sort(&mut all);
        Cow::Owned(all)
    }

    /// The mutators for objects governed by `namespace`, in the catalogue's order.
    pub fn mutators(&self, namespace: &str) -> &[ActiveMutator] {
        &self.scope(namespace).mutators
    }

    /// Strongest mode of any validator in `namespace`, including those that labels may add.
    pub fn strongest(&self, namespace: &str) -> Mode {
        self.strongest_on(namespace, |_| true)
    }

    /// The strongest mode there of the validators on objects that `covers` picks, no mode above what a validator takes on such
    /// objects, and of those too that labels may add.
    pub fn strongest_on(&self, namespace: &str, covers: impl Fn(Kinds<'_>) -> bool) -> Mode {
        self.scope(namespace).strongest_on(Some(namespace), covers)
    }

    /// Every validator and every source of validators that acts somewhere, more than once where several entries set it.
    pub fn judging(&self) -> impl Iterator<Item = &'static Meta> {
        let of_scope = |scope: &Scope| {
            let labels = (scope.labels > Mode::Off).then_some(&LABELS);
            let policies = scope.policies.iter().filter(|policy| policy.mode > Mode::Off).map(|policy| policy.meta);
            policies.chain(labels).collect::<Vec<_>>()
        };
        self.scopes.iter().flat_map(of_scope)
    }

    /// The objects that some validator judges somewhere, more than once where several do.
    pub fn judged(&self) -> impl Iterator<Item = Kinds<'_>> {
        self.judged_by(|_| true)
    }

    /// Those of them in which something may be found when they are stored already: who wrote them is not known any more.
    pub fn judged_when_stored(&self) -> impl Iterator<Item = Kinds<'_>> {
        self.judged_by(ActivePolicy::is_about_object)
    }

    fn judged_by(&self, counts: impl Fn(&ActivePolicy) -> bool) -> impl Iterator<Item = Kinds<'_>> {
        let policies = self.scopes.iter().flat_map(|scope| &scope.policies);
        let policies = policies.filter(move |policy| policy.mode > Mode::Off && counts(policy));
        let counts_labels = self.scopes.iter().any(|scope| scope.labels > Mode::Off);
        policies.flat_map(ActivePolicy::kinds).chain(LABELS.kinds.iter().copied().filter(move |_| counts_labels))
    }

    /// True if some validator asks for the Pods that run: one that judges NetworkPolicies that are taken away.
    pub fn asks_for_pods(&self) -> bool {
        self.judged().any(|kinds| kinds == Kinds::Resource(DELETED_NETWORK_POLICIES))
    }

    /// The kinds that settings name, more than once where several do.
    pub fn named_kinds(&self) -> impl Iterator<Item = &NamedKind> {
        self.judged().filter_map(|kinds| match kinds {
            Kinds::Named(named) => Some(named),
            _ => None,
        })
    }

    /// Every mutator that acts somewhere, more than once where several entries set it.
    pub fn setting(&self) -> impl Iterator<Item = &'static Meta> {
        let mutators = self.scopes.iter().flat_map(|scope| &scope.mutators);
        mutators.filter(|active| active.mode > Mode::Off).map(|active| active.meta)
    }

    /// Strongest mode of any mutator in `namespace`.
    pub fn strongest_default(&self, namespace: &str) -> Mode {
        self.scope(namespace).strongest_default()
    }

    /// The version of the Pod Security Standards that policies follow.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The exceptions, expired ones included.
    pub fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    /// Time before which a workload must have been created for its findings not to refuse its Pods; `None` if all refuse.
    pub fn existing(&self) -> Option<Timestamp> {
        self.existing
    }

    /// Groups whose members may admit an object that policies refuse, with a reason on it; empty if there are none.
    pub fn break_glass(&self) -> &[String] {
        &self.break_glass
    }

    /// True if webhooks that are weaker than derived are repaired, and not only reported.
    pub fn repairs_webhooks(&self) -> bool {
        self.repairs_webhooks
    }

    /// The kinds with pod templates.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// True if secrets are redacted: unless `trail.redaction` is off.
    pub fn redacts(&self) -> bool {
        self.redacts
    }

    /// True if findings that refuse say what an exception has to name to cover them.
    pub fn traces(&self) -> bool {
        self.traces
    }

    /// Makes findings that refuse say what an exception has to name to cover them.
    #[must_use]
    pub fn tracing(self) -> Self {
        Self { traces: true, ..self }
    }

    /// Keeps the redaction setting of `before`: settings of the trail take effect at the next start only.
    pub fn keep_redaction(&mut self, before: &Self) {
        self.redacts = before.redacts;
    }

    /// Goes on with the counts of the exceptions that `before` had too.
    pub fn keep_uses(&mut self, before: &Self) {
        self.exceptions.keep_uses(&before.exceptions);
    }

    /// Every namespace that an entry names, or to which settings at the top limit a policy, in order.
    pub fn named_namespaces(&self) -> Vec<&str> {
        let acting = self.scope("").policies.iter().filter(|policy| policy.mode > Mode::Off);
        let limited = acting.filter_map(|policy| policy.validator.namespaces()).flatten();
        let mut named: Vec<&str> = self.by_name.keys().chain(limited).map(String::as_str).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    fn scope(&self, namespace: &str) -> &Scope {
        &self.scopes[self.by_name.get(namespace).copied().unwrap_or(0)]
    }
}

impl Scope {
    /// The strongest mode here of the validators on objects that `covers` picks, and of those that labels may add: in one namespace, or
    /// in any.
    pub fn strongest_on(&self, namespace: Option<&str>, covers: impl Fn(Kinds<'_>) -> bool) -> Mode {
        let of_policy = |policy: &ActivePolicy| {
            let covered = policy.kinds().filter(|kinds| covers(*kinds));
            covered.map(|kinds| policy.mode_on(kinds)).max()
        };
        let labels = LABELS.kinds.iter().any(|kinds| covers(*kinds)).then_some(self.labels);
        let acting = self.policies.iter().filter(|policy| namespace.is_none_or(|name| policy.acts_in(name)));
        acting.filter_map(of_policy).chain(labels).max().unwrap_or(Mode::Off)
    }

    /// Strongest mode of any mutator here.
    pub fn strongest_default(&self) -> Mode {
        self.mutators.iter().map(|active| active.mode).max().unwrap_or(Mode::Off)
    }

    /// The policies that are strict here and not in `other`: in judging updates like creations, or in refusing deletions. One that
    /// finds all that another finds stands for it.
    pub fn stricter_than<'s>(
        &'s self,
        other: &'s Self,
        version: Version,
        strict: fn(&ActivePolicy) -> bool,
    ) -> impl Iterator<Item = &'static Meta> + 's {
        let is_strict = move |scope: &Self, meta: &'static Meta| {
            scope.policies.iter().any(|policy| stands_for(policy.meta, meta, version) && strict(policy))
        };
        let metas = self.policies.iter().map(|policy| policy.meta);
        metas.filter(move |meta| is_strict(self, meta) && !is_strict(other, meta))
    }

    /// The policies with a stronger mode here than in `other`, with both modes. One that finds all that another finds stands for it.
    pub fn stronger_than<'s>(
        &'s self,
        other: &'s Self,
        version: Version,
    ) -> impl Iterator<Item = (&'static Meta, Mode, Mode)> + 's {
        self.modes().filter_map(move |(meta, here)| {
            let there = other.modes().filter(|(there, _)| stands_for(there, meta, version)).map(|(_, mode)| mode);
            let there = there.max().unwrap_or(Mode::Off);
            (here > there).then_some((meta, here, there))
        })
    }

    fn modes(&self) -> impl Iterator<Item = (&'static Meta, Mode)> {
        let judging = self.policies.iter().map(|policy| (policy.meta, policy.mode));
        let setting = self.mutators.iter().map(|active| (active.meta, active.mode));
        judging.chain(setting).chain([(&LABELS, self.labels)])
    }
}

/// True for the same policy, and for one that finds all that it finds.
fn stands_for(meta: &'static Meta, other: &'static Meta, version: Version) -> bool {
    std::ptr::eq(meta, other) || replaced::replaces(meta, other, version)
}
