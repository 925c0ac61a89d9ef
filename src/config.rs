//! What an operator wrote, compiled: one [`Snapshot`] a request, taken once.

mod change;
mod compile;
mod problem;
pub mod profile;
pub mod schema;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::engine::Active;
use crate::mode::Mode;
use crate::object::Workloads;
use crate::policy::Meta;

pub use change::{Weaker, weaker};
pub use compile::{compile, compile_profile, hex};
pub use problem::{ConfigError, Problem};
pub use watch::{Reload, watch};

/// A configuration in force. It never changes; a reload makes another.
#[derive(Clone)]
pub struct Snapshot {
    digest: Arc<str>,
    /// The top first, then the entries of `namespaces`.
    scopes: Vec<Scope>,
    by_name: HashMap<String, usize>,
    workloads: Workloads,
    trail: TrailSettings,
}

/// What applies in some namespaces.
#[derive(Clone)]
struct Scope {
    policies: Vec<Active>,
    defaults: Defaults,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailSettings {
    /// File that events are appended to; standard output where there is none.
    pub file: Option<PathBuf>,
    /// Name of the cluster in every event.
    pub cluster: String,
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

    /// Which mutators are on for objects governed by `namespace`.
    pub fn defaults(&self, namespace: &str) -> Defaults {
        self.scope(namespace).defaults
    }

    /// The strongest mode of any policy there.
    pub fn strongest(&self, namespace: &str) -> Mode {
        self.scope(namespace).strongest()
    }

    /// The kinds with pod templates.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// What it says about the trail.
    pub fn trail(&self) -> &TrailSettings {
        &self.trail
    }

    /// Every namespace that an entry names, in order, with its strongest mode.
    pub fn named_namespaces(&self) -> Vec<(&str, Mode)> {
        let named = self.by_name.iter().map(|(name, scope)| (name.as_str(), self.scopes[*scope].strongest()));
        let mut named: Vec<_> = named.collect();
        named.sort_unstable();
        named
    }

    fn scope(&self, namespace: &str) -> &Scope {
        &self.scopes[self.by_name.get(namespace).copied().unwrap_or(0)]
    }
}

impl Scope {
    fn strongest(&self) -> Mode {
        self.policies.iter().map(|policy| policy.mode).max().unwrap_or(Mode::Off)
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
        self.policies.iter().filter_map(|policy| {
            let there = other.policies.iter().find(|there| std::ptr::eq(there.meta, policy.meta));
            let there = there.map_or(Mode::Off, |there| there.mode);
            (policy.mode > there).then_some((policy.meta, policy.mode, there))
        })
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
