//! The state of both webhook objects, in words.

use serde_json::Value;

use super::compare::{Difference, Part, Relation};
use super::editors::last_editor;
use crate::webhooks::NAME;

/// The differences of both objects from what is derived, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) struct Report {
    /// All differences, but for what a provider edits.
    pub(in crate::server) lag: Vec<String>,
    /// Objects that should exist, and do not, or are empty.
    pub(in crate::server) missing: Vec<String>,
    /// Parts that are weaker, of objects that are derived from the configuration in force: somebody edited them.
    pub(in crate::server) drift: Vec<String>,
    /// Parts that a provider made weaker.
    pub(in crate::server) provider: Vec<String>,
    /// Reasons why something is not repaired that was to be.
    pub(in crate::server) remarks: Vec<String>,
}

impl Report {
    /// Adds an object that does not exist.
    pub(super) fn add_absent(&mut self, kind: &str, was_seen: bool) {
        self.lag.push(format!("{kind} {NAME} is not installed"));
        let event = if was_seen { "was deleted" } else { "does not exist" };
        self.add_missing(kind, event);
    }

    /// Adds an object that exists, with its differences. `is_current` is true if it is derived from the configuration in force,
    /// `has_webhooks` if there are webhooks to derive.
    pub(super) fn add(
        &mut self,
        kind: &str,
        object: &Value,
        differences: &[Difference],
        is_current: bool,
        has_webhooks: bool,
    ) {
        if is_empty(object) && has_webhooks {
            self.add_missing(kind, "has no webhooks");
        }
        for one in differences {
            let Difference { webhook, part, relation, provider, .. } = one;
            if let (Some(provider), Part::Field(field)) = (provider, part) {
                let line = format!("{kind} {NAME}: {webhook}: {field} was narrowed by {provider}, and is left alone");
                self.provider.push(line);
                continue;
            }
            self.lag.push(match part {
                Part::Missing => format!("{kind} {NAME} has no webhook {webhook}"),
                Part::Surplus => format!("{kind} {NAME} has a webhook too many: {webhook}"),
                Part::Field(field) => format!("{kind} {NAME}: {webhook} has another {field}"),
            });
            if *relation == Relation::Weaker && is_current {
                let (field, what) = match part {
                    Part::Field(field) => (Some(*field), format!("{field} is weaker than derived")),
                    _ => (None, "is missing".to_owned()),
                };
                let editor = last_editor(object, webhook, field);
                let editor = editor.map(|name| format!("; last edited by {name}")).unwrap_or_default();
                self.drift.push(format!("{kind} {NAME}: {webhook}: {what}{editor}"));
            }
        }
    }

    fn add_missing(&mut self, kind: &str, event: &str) {
        self.missing.push(format!(
            "{kind} {NAME} {event}: the API server asks nothing of it until `helm upgrade`, or whatever applied it, restores it"
        ));
    }

    /// Lines about drift: the parts, and the reasons why they are not repaired.
    pub(in crate::server) fn drift_lines(&self) -> Vec<String> {
        self.drift.iter().chain(&self.remarks).cloned().collect()
    }
}

/// True if an object has no webhooks.
pub(super) fn is_empty(object: &Value) -> bool {
    object["webhooks"].as_array().is_none_or(Vec::is_empty)
}
