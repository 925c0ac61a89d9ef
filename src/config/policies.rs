//! The policies of a configuration, at the top, in an entry of `namespaces` or in a profile.

use super::compile::read_mode;
use super::problem::{Fields, NotOneOf, Problems, suggestion, twice};
use crate::document::{Node, Position, Value};
use crate::mode::Mode;
use crate::policy::catalogue::{self, CATALOGUE};

/// Of a policy that judges no deletions.
pub(super) const POLICY_KEYS: [&str; 3] = ["mode", "updates", "settings"];
/// Of a policy that judges deletions.
pub(super) const DELETION_KEYS: [&str; 4] = ["mode", "updates", "deletes", "settings"];
/// Of a mutator: it never refuses an update.
pub(super) const MUTATOR_KEYS: [&str; 2] = ["mode", "settings"];

/// The fields of one policy, as configured; `None` for those not given.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyFields {
    pub(super) mode: Option<Mode>,
    pub(super) strict_updates: Option<bool>,
    pub(super) enforces_deletes: Option<bool>,
    pub(super) settings: Option<serde_json::Value>,
}

impl PolicyFields {
    pub(super) fn override_with(&mut self, other: &Self) {
        self.mode = other.mode.or(self.mode);
        self.strict_updates = other.strict_updates.or(self.strict_updates);
        self.enforces_deletes = other.enforces_deletes.or(self.enforces_deletes);
        self.settings = other.settings.clone().or(self.settings.take());
    }
}

/// The fields of one policy, with the node of its settings for positions in errors.
pub(super) struct ParsedPolicy<'n> {
    pub(super) fields: PolicyFields,
    pub(super) settings: Option<&'n Node>,
}

/// Calls `each` with every policy under `policies`: its id, position and fields.
pub(super) fn policies<'n>(
    fields: &Fields<'n>,
    problems: &mut Problems,
    each: &mut dyn FnMut(&'static str, Position, ParsedPolicy<'n>),
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
        let judges_deletions = entry.judges_deletions();
        let keys: &[&str] = match entry.safety {
            Some(_) => &MUTATOR_KEYS,
            None if judges_deletions || node.get("deletes").is_some() => &DELETION_KEYS,
            None => &POLICY_KEYS,
        };
        let Some(fields) = Fields::of(node, &path, keys, problems) else { continue };
        if let Some(node) = fields.get("deletes").filter(|_| entry.safety.is_none() && !judges_deletions) {
            let message = format!("{} judges no deletions; remove this key", entry.meta.id);
            problems.add(node.position, &fields.path_of("deletes"), message);
        }
        let strict = |text: &str| match text {
            "strict" => Ok(true),
            "lenient" => Ok(false),
            _ => Err(NotOneOf("strict or lenient")),
        };
        let enforces = |text: &str| match text {
            "enforce" => Ok(true),
            "warn" => Ok(false),
            _ => Err(NotOneOf("warn or enforce")),
        };
        let settings = fields.get("settings").filter(|node| is_mapping(node, &fields.path_of("settings"), problems));
        // An invalid mode was reported; the strongest replaces it, so that no second error follows.
        let stand_in = fields.get("mode").map(|_| Mode::Enforce);
        let written = PolicyFields {
            mode: read_mode(&fields, "mode", problems).or(stand_in),
            strict_updates: fields.parsed("updates", strict, problems),
            enforces_deletes: fields.parsed("deletes", enforces, problems),
            settings: settings.map(|node| serde_json::to_value(node).unwrap_or_default()),
        };
        each(entry.meta.id, key.position, ParsedPolicy { fields: written, settings });
    }
}

/// True if settings are a mapping; keys repeated in it, at any depth, are errors.
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
