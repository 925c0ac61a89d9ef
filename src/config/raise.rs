//! The label that an entry of `namespaces` matches: one key, with one value or a list of values.
//!
//! One key, because webhooks leave out the namespaces of an entry by their label, and a selector cannot leave out those that carry
//! several labels at once.

use super::problem::{Fields, Problems};
use crate::document::{Node, Value};
use crate::object::label_key::{is_label_key, is_label_value};
use crate::snapshot::RaisingLabel;

/// Maximum number of entries that match by a label. Each has webhooks of its own.
pub(super) const ENTRIES: usize = 16;
/// Maximum number of values.
const VALUES: usize = 64;
/// The label that every namespace carries with its own name.
const NAME: &str = "kubernetes.io/metadata.name";

/// Reads `labels`.
pub(super) fn label(node: &Node, path: &str, problems: &mut Problems) -> Option<RaisingLabel> {
    let fields = Fields::open(node, path, problems)?;
    let mut entries = fields.entries();
    let Some((key, value)) = entries.next() else {
        problems.add(node.position, path, "must hold a label: labels: {KEY: VALUE}");
        return None;
    };
    if let Some((surplus, _)) = entries.next() {
        let message = "must be one label: a webhook cannot leave out the namespaces that carry several labels at once; give such \
                       namespaces a label of their own";
        problems.add(surplus.position, path, message);
        return None;
    }
    let place = fields.path_of(&key.name);
    if !is_label_key(&key.name) {
        problems.add(key.position, &place, "is not the key of a label, such as tier or example.com/tier");
        return None;
    }
    if key.name == NAME {
        problems.add(key.position, &place, "is the name of a namespace; write match: {names: [NAME]}");
        return None;
    }
    let nodes = match &value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if nodes.is_empty() {
        problems.add(value.position, &place, "must be a value, or a list of values");
    }
    if let Some(surplus) = nodes.get(VALUES) {
        problems.add(surplus.position, &place, format!("must be at most {VALUES} values"));
    }
    let before = problems.found.len();
    let mut values = Vec::new();
    for node in nodes {
        match node.as_text() {
            None => problems.add(node.position, &place, "must be a string; put it in quotation marks"),
            Some(text) if !is_label_value(text) => {
                let message = "must be the value of a label: at most 63 letters, digits, -, _ and .";
                problems.add(node.position, &place, message);
            }
            Some(text) => values.push(text.to_owned()),
        }
    }
    values.sort_unstable();
    values.dedup();
    (problems.found.len() == before && !values.is_empty()).then(|| RaisingLabel { key: key.name.clone(), values })
}

/// The labels of all entries that can be read, before their policies are: an update of a Namespace must not take them away.
pub(super) fn labels_of(fields: &Fields<'_>) -> Vec<RaisingLabel> {
    let mut unheard = Problems::new("");
    let entries = fields.list("namespaces", &mut unheard).iter();
    let labels = entries.filter_map(|entry| entry.get("match")?.get("labels"));
    labels.filter_map(|node| label(node, "", &mut unheard)).collect()
}
