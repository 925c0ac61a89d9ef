//! Who edited a webhook, by the managers that the API server keeps for each field.

use serde_json::{Value, json};

use super::repair::MANAGER;
use crate::webhooks::NAME;

/// Managers whose writes are ours: of `caBundle`, and of repairs.
const OURS: [&str; 2] = [NAME, MANAGER];

/// The manager that last wrote a field of a webhook, or anything if nobody owns it; `None` if nobody but us did.
pub(super) fn last_editor<'o>(object: &'o Value, webhook: &str, field: Option<&str>) -> Option<&'o str> {
    let others = || entries(object).filter(|entry| manager(entry).is_some_and(|name| !OURS.contains(&name)));
    let owner =
        field.and_then(|field| others().filter(|entry| owns(entry, webhook, field)).max_by_key(|entry| time(entry)));
    owner.or_else(|| others().max_by_key(|entry| time(entry))).and_then(manager)
}

/// True if that manager owns a field of a webhook.
pub(super) fn is_owned_by(object: &Value, webhook: &str, field: &str, name: &str) -> bool {
    entries(object).any(|entry| manager(entry) == Some(name) && owns(entry, webhook, field))
}

/// True if one manager owns a field of a webhook and that annotation.
pub(super) fn is_of_one_owner(object: &Value, webhook: &str, field: &str, annotation: &str) -> bool {
    let has_annotation =
        |entry: &Value| !entry["fieldsV1"]["f:metadata"]["f:annotations"][format!("f:{annotation}")].is_null();
    entries(object).any(|entry| has_annotation(entry) && owns(entry, webhook, field))
}

/// Position of the first entry of a manager.
pub(super) fn position(object: &Value, name: &str) -> Option<usize> {
    entries(object).position(|entry| manager(entry) == Some(name))
}

fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten()
}

fn time(entry: &Value) -> &str {
    entry["time"].as_str().unwrap_or_default()
}

fn manager(entry: &Value) -> Option<&str> {
    entry["manager"].as_str()
}

fn owns(entry: &Value, webhook: &str, field: &str) -> bool {
    let item = format!("k:{}", json!({"name": webhook}));
    !entry["fieldsV1"]["f:webhooks"][item][format!("f:{field}")].is_null()
}
