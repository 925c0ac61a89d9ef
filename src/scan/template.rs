//! Detects manifests that were not rendered: values with placeholders `{{ … }}`.

use crate::document::{Node, Position, Value};

/// Question in messages about them.
pub(crate) const QUESTION: &str = "unrendered template?";

/// Position of the first placeholder in the kind, a name or an image, where it cannot be intended. Elsewhere, as in
/// arguments and annotations, it may be meant for another program.
pub(crate) fn unrendered(object: &Node) -> Option<Position> {
    let metadata = object.get("metadata");
    let fields = ["apiVersion", "kind"].into_iter().map(|field| object.get(field));
    let names =
        ["name", "generateName", "namespace"].into_iter().map(|field| metadata.and_then(|node| node.get(field)));
    let found = fields.chain(names).flatten().find(|node| node.as_text().is_some_and(is_template));
    found.map(|node| node.position).or_else(|| image(object))
}

/// True if a text holds a placeholder.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// True if an invalid document looks like a template: it has a placeholder on the line of the error or next to it, or some
/// line starts with one.
pub(crate) fn is_template_at(text: &str, line: u64) -> bool {
    let near = |number: usize| (number as u64 + 1).abs_diff(line) <= 1;
    let mut lines = text.lines().enumerate();
    lines.any(|(number, text)| text.trim_start().starts_with("{{") || near(number) && is_template(text))
}

fn image(node: &Node) -> Option<Position> {
    match &node.value {
        Value::Map(map) => map.entries.iter().find_map(|(key, node)| {
            let is_image = key.name == "image" && node.as_text().is_some_and(is_template);
            if is_image { Some(node.position) } else { image(node) }
        }),
        Value::List(items) => items.iter().find_map(image),
        _ => None,
    }
}
