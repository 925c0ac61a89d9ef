//! Finds pod templates in custom kinds that are not judged because no row of `workloads` covers them.

use crate::document::{Node, Value};
use crate::object::{TemplatePath, Workload};

/// Maximum number of templates reported per object.
const PLACES: usize = 4;

/// True if an API group is one of Kubernetes' own, whose kinds with pod templates are all known.
pub(super) fn is_own(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io")
}

/// The rows to add to `workloads`, one for each pod template of an object that is not judged; `None` for a template that no
/// row can cover. `workload` is the configured row of its kind.
pub(super) fn rows(object: &Node, group: &str, kind: &str, workload: Option<&Workload>) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let Value::Map(map) = &object.value else { return Vec::new() };
    for (key, node) in &map.entries {
        if key.name != "metadata" && key.name != "status" {
            look(node, &format!("/{}", token(&key.name)), &mut found);
        }
    }
    let judged: Vec<String> = workload.map_or_else(Vec::new, |workload| {
        let pointer =
            |path: &TemplatePath| jsonptr::PointerBuf::from_tokens(path.iter().map(AsRef::<str>::as_ref)).to_string();
        workload.templates.iter().map(|path| pointer(path) + "/spec").collect()
    });
    found.retain(|path| !judged.contains(path));
    let row = |path: &String| match path.strip_suffix("/spec") {
        Some(template) if !template.is_empty() && !template.starts_with("/*") => {
            Some(format!("{{group: {group}, kind: {kind}, path: {template}}}"))
        }
        _ => None,
    };
    found.iter().map(row).collect()
}

/// Finds the paths of objects with containers below a node.
fn look(node: &Node, path: &str, found: &mut Vec<String>) {
    if found.len() == PLACES {
        return;
    }
    match &node.value {
        Value::Map(map) => {
            if node.get("containers").is_some_and(is_containers) && !found.iter().any(|known| known == path) {
                found.push(path.to_owned());
            }
            for (key, child) in &map.entries {
                look(child, &format!("{path}/{}", token(&key.name)), found);
            }
        }
        Value::List(items) => items.iter().for_each(|item| look(item, &format!("{path}/*"), found)),
        _ => {}
    }
}

fn is_containers(node: &Node) -> bool {
    let Value::List(items) = &node.value else { return false };
    items.iter().any(|item| item.get("image").is_some() || item.get("name").is_some())
}

fn token(name: &str) -> String {
    jsonptr::Token::new(name).encoded().to_owned()
}
