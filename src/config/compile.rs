//! What an operator wrote → [`Snapshot`], whole or not at all, with every error in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::labels::Levels;
use super::namespace::{Named, namespace};
use super::problem::{ConfigError, Fields, Problems, suggestion, twice};
use super::trail::trail;
use super::workload::workload;
use super::{Defaults, Scope, Snapshot, profile};
use crate::digest::sha256;
use crate::document::{self, Node, Position, Value};
use crate::engine::{Active, Setter};
use crate::mode::Mode;
use crate::object::Workloads;
use crate::policy::PodSecurityVersion;
use crate::policy::catalogue::{self, Act, CATALOGUE};
use crate::policy::defaults::Safety;

/// The `apiVersion` of a configuration.
const API_VERSION: &str = "portcullis.dev/v1alpha1";

pub(super) const TOP_KEYS: [&str; 12] = [
    "apiVersion",
    "kind",
    "profile",
    "ceiling",
    "defaults",
    "policies",
    "podSecurityVersion",
    "podSecurityLabels",
    "namespaces",
    "exceptions",
    "workloads",
    "trail",
];
pub(super) const ENTRY_KEYS: [&str; 5] = ["match", "ceiling", "policies", "defaults", "relax"];
pub(super) const POLICY_KEYS: [&str; 3] = ["mode", "updates", "settings"];
/// Of a mutator: it never refuses an update.
pub(super) const MUTATOR_KEYS: [&str; 2] = ["mode", "settings"];
pub(super) const WORKLOAD_KEYS: [&str; 5] = ["group", "kind", "resource", "path", "immutable"];
pub(super) const TRAIL_KEYS: [&str; 9] =
    ["file", "cluster", "spool", "key", "sinks", "sample", "redaction", "identities", "identitiesKeyFile"];
pub(super) const SPOOL_KEYS: [&str; 5] = ["directory", "guarantee", "maxSize", "segmentSize", "retention"];
pub(super) const RETENTION_KEYS: [&str; 3] = ["allow", "refused", "access"];
pub(super) const KEY_KEYS: [&str; 2] = ["file", "name"];

/// What was written of one policy.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyFields {
    mode: Option<Mode>,
    strict_updates: Option<bool>,
    settings: Option<serde_json::Value>,
}

impl PolicyFields {
    pub(super) fn override_with(&mut self, other: &Self) {
        self.mode = other.mode.or(self.mode);
        self.strict_updates = other.strict_updates.or(self.strict_updates);
        self.settings = other.settings.clone().or(self.settings.take());
    }
}

/// The same, and where its settings stand.
pub(super) struct Written<'n> {
    pub(super) fields: PolicyFields,
    settings: Option<&'n Node>,
}

/// Compiles the text of a configuration file. `file` is its name in errors; `ceiling` lowers every mode, as
/// `check --ceiling` does.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn compile(file: &str, text: &str, ceiling: Option<Mode>) -> Result<Snapshot, ConfigError> {
    let mut problems = Problems::new(file);
    let snapshot = read(text, ceiling, &mut problems);
    match snapshot {
        Some(snapshot) if problems.found.is_empty() => Ok(snapshot),
        _ => {
            problems.found.sort_by_key(|problem| problem.position);
            Err(ConfigError(problems.found))
        }
    }
}

/// The configuration that names nothing but a profile.
///
/// # Errors
/// [`ConfigError`] when no profile has that name.
pub fn compile_profile(name: &str, ceiling: Option<Mode>) -> Result<Snapshot, ConfigError> {
    let text = format!("apiVersion: {API_VERSION}\nkind: Configuration\nprofile: {name}\n");
    compile("--profile", &text, ceiling)
}

fn read(text: &str, ceiling: Option<Mode>, problems: &mut Problems) -> Option<Snapshot> {
    let nodes = match document::read(text) {
        Ok(nodes) => nodes,
        Err(error) => {
            problems.add(error.position, "", error.message);
            return None;
        }
    };
    let start = Position { line: 1, column: 1 };
    let root = match nodes.as_slice() {
        [root] => root,
        [] => {
            problems.add(start, "", format!("is empty; write apiVersion: {API_VERSION} and kind: Configuration"));
            return None;
        }
        [_, second, ..] => {
            problems.add(second.position, "", "a configuration is one document; remove this one");
            return None;
        }
    };
    let fields = Fields::of(root, "", &TOP_KEYS, problems)?;
    require(&fields, "apiVersion", API_VERSION, root.position, problems);
    require(&fields, "kind", "Configuration", root.position, problems);

    let base = fields.parsed("profile", profile::load, problems).unwrap_or_default();
    let version = fields.parsed("podSecurityVersion", str::parse, problems).unwrap_or_default();
    let levels = fields.parsed("podSecurityLabels", labels, problems).flatten();
    let mut top = Layer {
        ceiling: read_mode(&fields, "ceiling", problems).or(base.ceiling).unwrap_or(Mode::Enforce),
        defaults: fields.parsed("defaults", str::parse, problems).unwrap_or_default(),
        counts_labels: levels.is_some(),
        policies: base.policies,
    };
    top.add_policies(&fields, version, problems);

    let cap = ceiling.unwrap_or(Mode::Enforce);
    let mut named = Named::default();
    let mut scopes = vec![top.compile(version, cap)];
    for (position, node) in fields.list("namespaces", problems).iter().enumerate() {
        let path = format!("namespaces[{position}]");
        let Some((names, scope)) = namespace(node, &path, &top, &scopes[0], version, cap, problems) else { continue };
        named.take(names, &path, scopes.len(), problems);
        scopes.push(scope);
    }
    if let Some(first) = fields.list("exceptions", problems).first() {
        problems.add(first.position, "exceptions", "this version knows no exceptions; leave the list empty");
    }
    let mut workloads = Workloads::built_in();
    for (position, node) in fields.list("workloads", problems).iter().enumerate() {
        let path = format!("workloads[{position}]");
        if let Some(Err(message)) = workload(node, &path, problems).map(|row| workloads.push(row)) {
            problems.add(node.position, &path, message);
        }
    }
    let trail = fields.get("trail").map(|node| trail(node, problems)).unwrap_or_default();
    let digest = sha256(text.as_bytes());
    let redacts = !trail.is_unredacted;
    Some(Snapshot { digest: digest.into(), scopes, by_name: named.scopes, workloads, version, levels, trail, redacts })
}

/// Ceiling, defaults and policies, at the top or in an entry of `namespaces`.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) ceiling: Mode,
    pub(super) defaults: Defaults,
    /// Whether the labels of namespaces count.
    pub(super) counts_labels: bool,
    pub(super) policies: BTreeMap<&'static str, PolicyFields>,
}

impl Layer {
    /// Adds the policies of `fields`; says whether one got other settings.
    pub(super) fn add_policies(
        &mut self,
        fields: &Fields<'_>,
        version: PodSecurityVersion,
        problems: &mut Problems,
    ) -> bool {
        let mut changed = false;
        let mut unset = Vec::new();
        let mut bad = Vec::new();
        policies(fields, problems, &mut |id, position, written| {
            let slot = self.policies.entry(id).or_default();
            slot.override_with(&written.fields);
            if slot.mode.is_none() && catalogue::find(id).is_some_and(|entry| entry.safety.is_none()) {
                unset.push((position, id));
            }
            if let Some(node) = written.settings {
                changed = true;
                let value = serde_json::to_value(node).unwrap_or_default();
                if let Some(Err(error)) = catalogue::find(id).map(|entry| entry.build(value, version)) {
                    bad.push((node.clone(), id, error));
                }
            }
        });
        let path = fields.path_of("policies");
        for (position, id) in unset {
            problems.add(position, &format!("{path}.{id}"), "needs a mode: the profile does not set one");
        }
        for (node, id, error) in bad {
            let position = setting_position(&node, &error);
            let below = if error.path == "." { String::new() } else { format!(".{}", error.path) };
            problems.add(position, &format!("{path}.{id}.settings{below}"), error.message);
        }
        changed
    }

    pub(super) fn compile(&self, version: PodSecurityVersion, cap: Mode) -> Scope {
        let ceiling = self.ceiling.min(cap);
        let labels = if self.counts_labels { ceiling } else { Mode::Off };
        let mut scope = Scope { policies: Vec::new(), setters: Vec::new(), labels, settings: BTreeMap::new() };
        for entry in CATALOGUE {
            let written = self.policies.get(entry.meta.id).cloned().unwrap_or_default();
            let Some(configured) = written.mode.or(self.default_mode(entry)) else { continue };
            if let Some(settings) = &written.settings {
                scope.settings.insert(entry.meta.id, settings.clone());
            }
            let settings = written.settings.unwrap_or_else(|| serde_json::json!({}));
            let (meta, mode) = (entry.meta, configured.min(ceiling));
            match entry.build(settings, version) {
                Ok(Act::Judge(validator)) => {
                    let strict_updates = written.strict_updates.unwrap_or(false);
                    scope.policies.push(Active { meta, validator, mode, configured, strict_updates, label: None });
                }
                Ok(Act::Set(mutator)) => scope.setters.push(Setter { meta, mutator, mode, configured }),
                // Bad settings were reported where they stand.
                Err(_) => {}
            }
        }
        scope.policies = without_replaced(scope.policies, version);
        scope
    }

    /// The mode that `defaults` gives a mutator.
    fn default_mode(&self, entry: &catalogue::Entry) -> Option<Mode> {
        let is_on = match entry.safety? {
            Safety::Safe => self.defaults != Defaults::Off,
            Safety::Daring => self.defaults == Defaults::All,
        };
        is_on.then_some(Mode::Enforce)
    }
}

/// Leaves out what another policy finds too, where that acts at least as far.
fn without_replaced(policies: Vec<Active>, version: PodSecurityVersion) -> Vec<Active> {
    let is_replaced = |one: &Active| {
        policies.iter().any(|other| {
            let replaces =
                catalogue::find(other.meta.id).is_some_and(|entry| entry.replaces(version).contains(&one.meta.id));
            replaces
                && other.mode >= one.mode
                && other.configured >= one.configured
                && other.strict_updates >= one.strict_updates
        })
    };
    let kept: Vec<bool> = policies.iter().map(|policy| !is_replaced(policy)).collect();
    policies.into_iter().zip(kept).filter_map(|(policy, is_kept)| is_kept.then_some(policy)).collect()
}

/// The place of the setting that an error is about.
fn setting_position(node: &Node, error: &catalogue::SettingsError) -> Position {
    let unknown = error.message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let key = match &node.value {
        Value::Map(map) => map.entries.iter().find(|(key, _)| Some(key.name.as_str()) == unknown).map(|(key, _)| key),
        _ => None,
    };
    key.map_or_else(|| node.follow(&crate::object::Path::root().fields(&error.path).pointer()).1, |key| key.position)
}

/// Calls `each` with every policy under `policies`: its id, its place, what was written.
pub(super) fn policies<'n>(
    fields: &Fields<'n>,
    problems: &mut Problems,
    each: &mut dyn FnMut(&'static str, Position, Written<'n>),
) {
    let path = fields.path_of("policies");
    let Some(map) = fields.get("policies").and_then(|node| Fields::open(node, &path, problems)) else { return };
    for (key, node) in map.entries() {
        let path = map.path_of(&key.name);
        let Some(entry) = catalogue::find(&key.name) else {
            let known: Vec<&str> = CATALOGUE.iter().map(|entry| entry.meta.id).collect();
            let message = format!("no policy has this id{}", suggestion(&key.name, &known, "there are"));
            problems.add(key.position, &path, message);
            continue;
        };
        let keys: &[&str] = if entry.safety.is_none() { &POLICY_KEYS } else { &MUTATOR_KEYS };
        let Some(fields) = Fields::of(node, &path, keys, problems) else { continue };
        let strict = |text: &str| match text {
            "strict" => Ok(true),
            "lenient" => Ok(false),
            _ => Err("must be strict or lenient".to_owned()),
        };
        let settings = fields.get("settings").filter(|node| is_mapping(node, &fields.path_of("settings"), problems));
        // A bad mode was reported; the strongest stands in, so that nothing follows from its absence.
        let stand_in = fields.get("mode").map(|_| Mode::Enforce);
        let written = PolicyFields {
            mode: read_mode(&fields, "mode", problems).or(stand_in),
            strict_updates: fields.parsed("updates", strict, problems),
            settings: settings.map(|node| serde_json::to_value(node).unwrap_or_default()),
        };
        each(entry.meta.id, key.position, Written { fields: written, settings });
    }
}

/// Whether settings are a mapping; keys that stand there again, at any depth, are errors.
fn is_mapping(node: &Node, path: &str, problems: &mut Problems) -> bool {
    if !matches!(node.value, Value::Map(_)) {
        problems.add(node.position, path, "must be a mapping");
        return false;
    }
    for key in node.repeated_keys() {
        problems.add(key.position, path, format!("{} {}", key.name, twice(key)));
    }
    true
}

/// What the labels of namespaces add, where they count.
fn labels(text: &str) -> Result<Option<Arc<Levels>>, String> {
    match text {
        "ignore" => Ok(None),
        "tighten" => Levels::load().map(|levels| Some(Arc::new(levels))),
        _ => Err("must be ignore or tighten".to_owned()),
    }
}

pub(super) fn read_mode(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<Mode> {
    fields.parsed(key, str::parse, problems)
}

fn require(fields: &Fields<'_>, key: &str, wanted: &str, start: Position, problems: &mut Problems) {
    match fields.get(key) {
        Some(node) if node.as_text() == Some(wanted) => {}
        Some(node) => problems.add(node.position, key, format!("must be {wanted}")),
        None => problems.add(start, key, format!("is missing; write {key}: {wanted}")),
    }
}
