//! The mapping `webhooks`: what becomes of webhook objects that somebody weakened.

use super::compile::WEBHOOKS_KEYS;
use super::problem::{Fields, NotOneOf, Problems};
use crate::document::Value;

/// Reads `webhooks`: true if webhooks that are weaker than derived are repaired (`drift: repair`).
pub(super) fn repairs(fields: &Fields<'_>, problems: &mut Problems) -> bool {
    let Some(node) = fields.get("webhooks") else { return false };
    if !matches!(node.value, Value::Map(_)) {
        let message = "must be a mapping, such as webhooks: {drift: repair}";
        problems.add(node.position, "webhooks", message);
        return false;
    }
    let Some(fields) = Fields::of(node, "webhooks", &WEBHOOKS_KEYS, problems) else { return false };
    fields.parsed("drift", drift, problems).unwrap_or_default()
}

fn drift(text: &str) -> Result<bool, NotOneOf> {
    match text {
        "report" => Ok(false),
        "repair" => Ok(true),
        _ => Err(NotOneOf("report or repair")),
    }
}
