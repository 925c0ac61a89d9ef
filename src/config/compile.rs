//! Compiles the text of a configuration, whole or not at all, with every error in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::break_glass;
use super::existing::existing;
use super::generate::generate;
use super::namespace::{NamespaceIndex, namespace};
use super::policies::{PolicyFields, policies};
use super::problem::{ConfigError, Fields, NotOneOf, Problems};
use super::raise::labels_of;
use super::trail::trail;
use super::workload::workload;
use super::{Configuration, Defaults, exception, levels, profile, webhooks};
use crate::digest::sha256;
use crate::document::{self, Position};
use crate::engine::{ActiveMutator, ActivePolicy};
use crate::mode::Mode;
use crate::object::Workloads;
use crate::pod_security::Version;
use crate::policy::catalogue::{self, Built, CATALOGUE};
use crate::policy::defaults::Safety;
use crate::snapshot::{Levels, Parts, Scope, Snapshot, without_replaced};

/// The `apiVersion` of a configuration.
const API_VERSION: &str = "portcullis.dev/v1alpha1";

/// The policy that judges updates which take labels from a Namespace.
const KEEPER: &str = "unlabelled-namespaces";

pub(super) const TOP_KEYS: [&str; 16] = [
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
    "existing",
    "breakGlass",
    "webhooks",
    "generate",
    "workloads",
    "trail",
];
pub(super) const NAMESPACE_MATCH_KEYS: [&str; 2] = ["names", "labels"];
pub(super) const ENTRY_KEYS: [&str; 5] = ["match", "ceiling", "policies", "defaults", "relax"];
pub(super) const EXCEPTIONS_KEYS: [&str; 2] = ["maxLifetime", "entries"];
pub(super) const EXCEPTION_KEYS: [&str; 8] =
    ["name", "policies", "match", "expires", "reason", "owner", "ticket", "requires"];
pub(super) const MATCH_KEYS: [&str; 7] = ["namespace", "kind", "name", "namePrefix", "containers", "images", "users"];
pub(super) const BREAK_GLASS_KEYS: [&str; 1] = ["groups"];
pub(super) const WEBHOOKS_KEYS: [&str; 1] = ["drift"];
pub(super) const EXISTING_KEYS: [&str; 2] = ["admit", "createdBefore"];
pub(super) const GENERATE_KEYS: [&str; 2] = ["allowIngress", "defaultDeny"];
pub(super) const ALLOW_INGRESS_KEYS: [&str; 2] = ["namespaces", "from"];
pub(super) const DEFAULT_DENY_KEYS: [&str; 2] = ["namespaces", "directions"];
pub(super) const WORKLOAD_KEYS: [&str; 5] = ["group", "kind", "resource", "path", "immutable"];
pub(super) const TRAIL_KEYS: [&str; 9] =
    ["file", "cluster", "spool", "key", "sinks", "sample", "redaction", "identities", "identitiesKeyFile"];
pub(super) const SPOOL_KEYS: [&str; 5] = ["directory", "guarantee", "maxSize", "segmentSize", "retention"];
pub(super) const RETENTION_KEYS: [&str; 3] = ["allow", "refused", "access"];
pub(super) const KEY_KEYS: [&str; 2] = ["file", "name"];

/// Compiles the text of a configuration file. `file` is its name in errors; `ceiling` lowers every mode, as
/// `check --ceiling` does.
///
/// # Errors
/// [`ConfigError`] with every error in it.
pub fn compile(file: &str, text: &str, ceiling: Option<Mode>) -> Result<Configuration, ConfigError> {
    compile_at(file, text, ceiling, Timestamp::now())
}

/// The same at another time, from which the ends of exceptions are counted.
///
/// # Errors
/// [`ConfigError`] with every error in it.
pub fn compile_at(file: &str, text: &str, ceiling: Option<Mode>, now: Timestamp) -> Result<Configuration, ConfigError> {
    let mut problems = Problems::new(file);
    let configuration = read(text, ceiling, now, &mut problems);
    match configuration {
        Some(configuration) if problems.found.is_empty() => Ok(configuration),
        _ => {
            problems.found.sort_by_key(|problem| problem.position);
            Err(ConfigError(problems.found))
        }
    }
}

/// The configuration that consists of a profile.
///
/// # Errors
/// [`ConfigError`] if no profile has that name.
pub fn compile_profile(name: &str, ceiling: Option<Mode>) -> Result<Configuration, ConfigError> {
    let text = format!("apiVersion: {API_VERSION}\nkind: Configuration\nprofile: {name}\n");
    compile("--profile", &text, ceiling)
}

fn read(text: &str, ceiling: Option<Mode>, now: Timestamp, problems: &mut Problems) -> Option<Configuration> {
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
    let kept = labels_of(&fields).into_iter().map(|label| json!({"key": label.key, "values": label.values})).collect();
    let break_glass: Arc<[String]> = break_glass::groups(&fields, problems).into();
    let mut top = PolicyLayer {
        ceiling: read_mode(&fields, "ceiling", problems).or(base.ceiling).unwrap_or(Mode::Enforce),
        defaults: fields.parsed("defaults", str::parse, problems).unwrap_or_default(),
        counts_labels: levels.is_some(),
        kept,
        break_glass: Arc::clone(&break_glass),
        policies: base.policies,
    };
    top.add_policies(&fields, version, problems);

    let cap = ceiling.unwrap_or(Mode::Enforce);
    let mut index = NamespaceIndex::default();
    let mut scopes = vec![top.compile(version, cap)];
    for (position, node) in fields.list("namespaces", problems).iter().enumerate() {
        let path = format!("namespaces[{position}]");
        let Some((matched, scope)) = namespace(node, &path, &top, &scopes[0], version, cap, problems) else { continue };
        index.take(matched, node.position, &path, scopes.len(), problems);
        scopes.push(scope);
    }
    let in_force =
        |namespace: &str| index.scopes.get(namespace).and_then(|scope| scopes.get(*scope)).or(scopes.first());
    let raised: Vec<&Scope> = index.raises.iter().filter_map(|raise| scopes.get(raise.scope)).collect();
    let reading = exception::Reading { now, in_force: &in_force, raised: &raised, version };
    let (exceptions, warnings) = exception::exceptions(&fields, &reading, problems);
    let existing = existing(&fields, now, problems);
    let repairs_webhooks = webhooks::repairs(&fields, problems);
    let generate = generate(&fields, problems);
    let mut workloads = Workloads::built_in().clone();
    for (position, node) in fields.list("workloads", problems).iter().enumerate() {
        let path = format!("workloads[{position}]");
        if let Some(Err(error)) = workload(node, &path, problems).map(|row| workloads.push(row)) {
            problems.add(node.position, &path, error.to_string());
        }
    }
    let trail = fields.get("trail").map(|node| trail(node, problems)).unwrap_or_default();
    let digest = sha256(text.as_bytes());
    let redacts = !trail.is_unredacted;
    let NamespaceIndex { scopes: by_name, raises, .. } = index;
    let parts = Parts {
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
    };
    Some(Configuration { snapshot: Snapshot::new(parts), trail, generate, warnings })
}

/// Ceiling, defaults and policies, at the top or in an entry of `namespaces`.
#[derive(Clone)]
pub(super) struct PolicyLayer {
    pub(super) ceiling: Mode,
    pub(super) defaults: Defaults,
    /// True if the labels of namespaces may add policies (`podSecurityLabels: tighten`).
    pub(super) counts_labels: bool,
    /// The labels that entries match, as the settings of `unlabelled-namespaces` hold them.
    pub(super) kept: Vec<serde_json::Value>,
    /// Groups whose members may break the glass.
    pub(super) break_glass: Arc<[String]>,
    pub(super) policies: BTreeMap<&'static str, PolicyFields>,
}

impl PolicyLayer {
    /// Adds the policies of `fields`; returns true if one of them has settings.
    pub(super) fn add_policies(&mut self, fields: &Fields<'_>, version: Version, problems: &mut Problems) -> bool {
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
                if let Some(Err(error)) = catalogue::find(id).map(|entry| entry.build(&value, version, &[])) {
                    bad.push((node.clone(), id, error));
                }
            }
        });
        let path = fields.path_of("policies");
        for (position, id) in unset {
            problems.add(position, &format!("{path}.{id}"), "needs a mode: the profile does not set one");
        }
        for (node, id, error) in bad {
            problems.add_typed(&node, &format!("{path}.{id}.settings"), &error);
        }
        changed
    }

    pub(super) fn compile(&self, version: Version, cap: Mode) -> Scope {
        let ceiling = self.ceiling.min(cap);
        let labels = if self.counts_labels { ceiling } else { Mode::Off };
        let mut scope = Scope { policies: Vec::new(), mutators: Vec::new(), labels, settings: BTreeMap::new() };
        for entry in CATALOGUE {
            let written = self.policies.get(entry.meta.id).cloned().unwrap_or_default();
            let Some(configured) = written.mode.or(self.default_mode(entry)) else { continue };
            if let Some(settings) = &written.settings {
                scope.settings.insert(entry.meta.id, settings.clone());
            }
            let mut settings = written.settings.unwrap_or_else(|| json!({}));
            self.keep_labels(entry.meta.id, &mut settings);
            let (meta, mode) = (entry.meta, configured.min(ceiling));
            match entry.build(&settings, version, &self.break_glass) {
                Ok(Built::Judge(validator)) => {
                    let strict_updates = written.strict_updates.unwrap_or(false);
                    let enforces_deletes = written.enforces_deletes.unwrap_or(false);
                    scope.policies.push(ActivePolicy {
                        meta,
                        validator,
                        mode,
                        configured,
                        strict_updates,
                        enforces_deletes,
                        label: None,
                    });
                }
                Ok(Built::Set(mutator)) => scope.mutators.push(ActiveMutator { meta, mutator, mode, configured }),
                // Invalid settings were reported where they were read.
                Err(_) => {}
            }
        }
        scope.policies = without_replaced(scope.policies, version);
        scope
    }

    /// Adds the labels that entries match to those that an update of a Namespace must not take away.
    fn keep_labels(&self, id: &str, settings: &mut serde_json::Value) {
        if id != KEEPER || self.kept.is_empty() {
            return;
        }
        match &mut settings["keep"] {
            serde_json::Value::Array(keep) => keep.extend(self.kept.iter().cloned()),
            keep => *keep = self.kept.clone().into(),
        }
    }

    /// The mode that `defaults` gives a mutator; `None` if it leaves the mutator off.
    fn default_mode(&self, entry: &catalogue::Entry) -> Option<Mode> {
        let is_on = match entry.safety? {
            Safety::Safe => self.defaults != Defaults::Off,
            Safety::Extended => self.defaults == Defaults::All,
        };
        is_on.then_some(Mode::Enforce)
    }
}

/// A bad value of `podSecurityLabels`.
#[derive(Debug, thiserror::Error)]
enum LabelsError {
    #[error(transparent)]
    Word(#[from] NotOneOf),
    #[error(transparent)]
    Profile(#[from] profile::ProfileError),
}

/// Reads `podSecurityLabels`: the policies that the labels of namespaces may add, `None` if the labels are ignored.
fn labels(text: &str) -> Result<Option<Arc<Levels>>, LabelsError> {
    match text {
        "ignore" => Ok(None),
        "tighten" => Ok(Some(Arc::new(levels::load()?))),
        _ => Err(NotOneOf("ignore or tighten").into()),
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
