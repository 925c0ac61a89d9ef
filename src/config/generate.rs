//! The mapping `generate`: settings of `portcullis generate`, in which namespaces it keeps NetworkPolicies.

use std::collections::BTreeSet;

use super::compile::{ALLOW_INGRESS_KEYS, DEFAULT_DENY_KEYS, GENERATE_KEYS};
use super::namespace::is_dns_label;
use super::problem::{Fields, Problems, suggestion};
use crate::document::Value;
use crate::generate::{Direction, Settings, is_excluded};

/// Maximum number of namespaces in a list.
const NAMES: usize = 1_000;

/// Reads `generate`; the default if there is none.
pub(super) fn generate(fields: &Fields<'_>, problems: &mut Problems) -> Settings {
    let mut settings = Settings::default();
    let Some(node) = fields.get("generate") else { return settings };
    if !matches!(node.value, Value::Map(_)) {
        let message = "must be a mapping, such as generate: {allowIngress: {namespaces: [shop]}}";
        problems.add(node.position, "generate", message);
        return settings;
    }
    let Some(fields) = Fields::of(node, "generate", &GENERATE_KEYS, problems) else { return settings };
    let within = |key: &str, known: &[&str], problems: &mut Problems| {
        fields.get(key).and_then(|node| Fields::of(node, &fields.path_of(key), known, problems))
    };
    if let Some(allow) = within("allowIngress", &ALLOW_INGRESS_KEYS, problems) {
        settings.allow_ingress = names(&allow, "namespaces", false, problems);
        settings.from = names(&allow, "from", true, problems);
    }
    if let Some(deny) = within("defaultDeny", &DEFAULT_DENY_KEYS, problems) {
        settings.default_deny = names(&deny, "namespaces", false, problems);
        settings.directions = directions(&deny, problems);
    }
    settings
}

/// Names of namespaces; those of Kubernetes itself only where they are sources.
fn names(fields: &Fields<'_>, key: &str, are_sources: bool, problems: &mut Problems) -> BTreeSet<String> {
    let (list, path) = (fields.list(key, problems), fields.path_of(key));
    if let Some(surplus) = list.get(NAMES) {
        problems.add(surplus.position, &path, format!("must be at most {NAMES} namespaces"));
    }
    let mut names = BTreeSet::new();
    for (place, node) in list.iter().enumerate() {
        let mut add = |message: &str| problems.add(node.position, &format!("{path}[{place}]"), message);
        match node.as_text() {
            None => add("must be a string; put it in quotation marks"),
            Some(name) if !is_dns_label(name) => add("must be the name of a namespace, in full"),
            Some(name) if !are_sources && is_excluded("", name) => {
                add("must not begin with kube-: nothing is generated in the namespaces of Kubernetes itself");
            }
            Some(name) if !names.insert(name.to_owned()) => add("is named already; remove one"),
            Some(_) => {}
        }
    }
    names
}

fn directions(fields: &Fields<'_>, problems: &mut Problems) -> BTreeSet<Direction> {
    let key = "directions";
    let (list, path) = (fields.list(key, problems), fields.path_of(key));
    if let Some(node) = fields.get(key).filter(|node| list.is_empty() && matches!(node.value, Value::List(_))) {
        let message = "must name directions: [ingress, egress]; leave it out for both";
        problems.add(node.position, &path, message);
    }
    let known = Direction::ALL.map(Direction::as_str);
    let mut directions = BTreeSet::new();
    for (place, node) in list.iter().enumerate() {
        let text = node.as_text().unwrap_or_default();
        let found = Direction::ALL.into_iter().find(|one| one.as_str() == text);
        let message = match found {
            Some(one) if directions.insert(one) => continue,
            Some(_) => "is named already; remove one".to_owned(),
            None => format!("must be ingress or egress{}", suggestion(text, &known, "there are")),
        };
        problems.add(node.position, &format!("{path}[{place}]"), message);
    }
    directions
}
