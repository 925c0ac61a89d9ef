//! The mapping `breakGlass`: groups whose members may admit one object that policies refuse, with a reason on it.

use super::compile::BREAK_GLASS_KEYS;
use super::problem::{Fields, Problems};
use crate::document::Value;

/// Maximum number of groups.
const GROUPS: usize = 64;
/// Maximum length of the name of a group, in bytes.
const NAME: usize = 253;
/// Beginning of the groups that Kubernetes keeps to itself, such as `system:authenticated`: everybody is in some of them.
const RESERVED: &str = "system:";
/// The one of them whose members may do anything already.
const MASTERS: &str = "system:masters";

/// Reads `breakGlass`: the groups; empty if there is none.
pub(super) fn groups(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(node) = fields.get("breakGlass") else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        let message = "must be a mapping, such as breakGlass: {groups: [platform-admins]}";
        problems.add(node.position, "breakGlass", message);
        return Vec::new();
    }
    let Some(fields) = Fields::of(node, "breakGlass", &BREAK_GLASS_KEYS, problems) else { return Vec::new() };
    let path = fields.path_of("groups");
    let list = fields.list("groups", problems);
    if list.is_empty() {
        let message = "must name groups, such as groups: [platform-admins]; leave breakGlass out if nobody may use it";
        problems.add(node.position, &path, message);
    }
    if let Some(surplus) = list.get(GROUPS) {
        problems.add(surplus.position, &path, format!("must be at most {GROUPS} groups"));
    }
    let mut groups: Vec<String> = Vec::new();
    for (place, node) in list.iter().enumerate() {
        let mut add = |message: String| problems.add(node.position, &format!("{path}[{place}]"), message);
        match node.as_text() {
            None | Some("") => add("must be the name of a group".to_owned()),
            Some(name) if name.len() > NAME => add(format!("must be at most {NAME} bytes long")),
            Some(name) if name.starts_with(RESERVED) && name != MASTERS => add(format!(
                "must not begin with {RESERVED}: Kubernetes gives such groups to users and programs by itself; name a group of \
                 people, or {MASTERS}"
            )),
            Some(name) if groups.iter().any(|known| known == name) => add("is named already; remove one".to_owned()),
            Some(name) => groups.push(name.to_owned()),
        }
    }
    groups
}
