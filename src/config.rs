//! What an operator wrote, compiled: one [`Snapshot`] a request, taken once.

mod change;
mod compile;
mod labels;
mod namespace;
mod problem;
pub mod profile;
pub mod schema;
mod trail;
mod watch;
mod workload;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::engine::{Active, Setter};
use crate::labels::Demand;
use crate::mode::Mode;
use crate::object::Workloads;
use crate::policy::{Meta, PodSecurityVersion};
use crate::trail::NamedSink;

pub use change::{Change, Weaker, weaker};
pub use compile::{compile, compile_profile};
pub(crate) use problem::suggestion;
pub use problem::{ConfigError, Problem};
pub(crate) use trail::{duration, size};
pub use watch::{Reload, watch};

use self::labels::Levels;

/// A configuration in force. It never changes; a reload makes another.
#[derive(Clone)]
pub struct Snapshot {
    digest: Arc<str>,
    /// The top first, then the entries of `namespaces`.
    scopes: Vec<Scope>,
    by_name: HashMap<String, usize>,
    workloads: Workloads,
    version: PodSecurityVersion,
    /// Where the labels of namespaces count.
    levels: Option<Arc<Levels>>,
    trail: TrailSettings,
    redacts: bool,
}

/// What applies in some namespaces.
#[derive(Clone)]
struct Scope {
    policies: Vec<Active>,
    setters: Vec<Setter>,
    /// How far the labels of a namespace may act.
    labels: Mode,
    /// Settings as they were written, by policy.
    settings: BTreeMap<&'static str, serde_json::Value>,
}

/// Which mutators are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defaults {
    /// None.
    #[default]
    Off,
    /// Those that change nothing that an ordinary image does.
    Safe,
    /// Those too that some images do not survive.
    All,
}

/// What the configuration says about the trail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrailSettings {
    /// File that events are appended to; standard output where there is neither that nor a spool.
    pub file: Option<PathBuf>,
    /// Name of the cluster in every event.
    pub cluster: String,
    /// A disk of ours, from where sinks take events.
    pub spool: Option<crate::trail::Settings>,
    /// What signs checkpoints.
    pub key: Option<KeySettings>,
    /// Where couriers take what is in the spool.
    pub sinks: Vec<NamedSink>,
    /// Of how many decisions without a finding one is written; the others are counted.
    pub sample: u64,
    /// Whether texts are remembered as they are.
    pub is_unredacted: bool,
    /// The key that makes pseudonyms of identities.
    pub identities_key: Option<PathBuf>,
}

/// The key that signs checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// An Ed25519 private key in PEM.
    pub file: PathBuf,
    /// The name that it signs under.
    pub name: String,
}

impl Snapshot {
    /// SHA-256 of the configuration file, hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The policies for objects governed by `namespace` (empty for cluster-scoped ones), in the catalogue's order.
    pub fn policies(&self, namespace: &str) -> &[Active] {
        &self.scope(namespace).policies
    }

    /// How far the labels of `namespace` may act: as far as its ceiling, or not at all.
    pub fn labels(&self, namespace: &str) -> Mode {
        self.scope(namespace).labels
    }

    /// The policies for objects in `namespace`, and those that its labels ask for beyond them, in the catalogue's order.
    pub fn tightened(&self, namespace: &str, demands: &[Demand]) -> Cow<'_, [Active]> {
        let scope = self.scope(namespace);
        let levels = self.levels.as_ref().filter(|_| scope.labels > Mode::Off);
        let added = levels.map(|levels| levels.beyond(scope, self.version, demands)).unwrap_or_default();
        if added.is_empty() {
            return Cow::Borrowed(&scope.policies);
        }
        let mut all = [scope.policies.as_slice(), &added].concat();
        labels::sort(&mut all);
        Cow::Owned(all)
    }

    /// The mutators for objects governed by `namespace`, in the catalogue's order.
    pub fn setters(&self, namespace: &str) -> &[Setter] {
        &self.scope(namespace).setters
    }

    /// The strongest mode of any validator there, of those too that labels may add.
    pub fn strongest(&self, namespace: &str) -> Mode {
        self.scope(namespace).strongest()
    }

    /// The strongest mode of any mutator there.
    pub fn strongest_default(&self, namespace: &str) -> Mode {
        self.scope(namespace).setters.iter().map(|setter| setter.mode).max().unwrap_or(Mode::Off)
    }

    /// The kinds with pod templates.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// Whether secrets are taken out of what is said: unless `trail.redaction` is off.
    pub fn redacts(&self) -> bool {
        self.redacts
    }

    /// Takes over whether secrets are taken out: what it says of the trail waits for the next start, which warns.
    fn keep_redaction(&mut self, before: &Self) {
        self.redacts = before.redacts;
    }

    /// What it says about the trail.
    pub fn trail(&self) -> &TrailSettings {
        &self.trail
    }

    /// Every namespace that an entry names, in order.
    pub fn named_namespaces(&self) -> Vec<&str> {
        let mut named: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        named.sort_unstable();
        named
    }

    fn scope(&self, namespace: &str) -> &Scope {
        &self.scopes[self.by_name.get(namespace).copied().unwrap_or(0)]
    }
}

impl Scope {
    fn strongest(&self) -> Mode {
        self.policies.iter().map(|policy| policy.mode).fold(self.labels, Mode::max)
    }

    /// The policies that judge updates like creations here and not in `other`.
    fn stricter_than<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'static Meta> + 's {
        let is_strict = |scope: &Self, meta: &'static Meta| {
            scope.policies.iter().any(|policy| std::ptr::eq(policy.meta, meta) && policy.strict_updates)
        };
        let metas = self.policies.iter().map(|policy| policy.meta);
        metas.filter(move |meta| is_strict(self, meta) && !is_strict(other, meta))
    }

    /// The policies that act further here than in `other`, with both modes.
    fn stronger_than<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = (&'static Meta, Mode, Mode)> + 's {
        self.modes().filter_map(|(meta, here)| {
            let there = other.modes().find(|(there, _)| std::ptr::eq(*there, meta)).map_or(Mode::Off, |(_, mode)| mode);
            (here > there).then_some((meta, here, there))
        })
    }

    fn modes(&self) -> impl Iterator<Item = (&'static Meta, Mode)> {
        let judging = self.policies.iter().map(|policy| (policy.meta, policy.mode));
        let setting = self.setters.iter().map(|setter| (setter.meta, setter.mode));
        judging.chain(setting).chain([(&crate::labels::META, self.labels)])
    }
}

impl FromStr for Defaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "safe" => Ok(Self::Safe),
            "all" => Ok(Self::All),
            _ => Err("must be off, safe or all".to_owned()),
        }
    }
}
