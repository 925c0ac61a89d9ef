//! An entry of `namespaces`: the policies in the namespaces that it names, or that carry its label, and the check that it does not
//! relax the global ones unless it says so. An entry by label never does.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::compile::{ENTRY_KEYS, NAMESPACE_MATCH_KEYS, PolicyLayer, read_mode};
use super::problem::{Fields, Problems};
use super::raise::{ENTRIES, label};
use crate::document::{Node, Position};
use crate::engine::ActivePolicy;
use crate::mode::Mode;
use crate::pod_security::Version;
use crate::snapshot::{Raise, RaisingLabel, Scope};

/// The namespaces that entries match. A name may stand in one entry only. Labels add to what is said of a name.
#[derive(Default)]
pub(super) struct NamespaceIndex {
    /// Index of the scope of each namespace that is named.
    pub(super) scopes: HashMap<String, usize>,
    /// The entries that match by a label.
    pub(super) raises: Vec<Raise>,
    places: HashMap<String, Position>,
}

/// The namespaces that an entry matches.
pub(super) enum Matched {
    /// Namespaces by their names.
    Names(Vec<(String, Position)>),
    /// Namespaces by a label.
    Label(RaisingLabel),
}

impl NamespaceIndex {
    /// Adds the entry at `path`, whose scope has the index `scope`.
    pub(super) fn take(
        &mut self,
        matched: Matched,
        position: Position,
        path: &str,
        scope: usize,
        problems: &mut Problems,
    ) {
        let names = match matched {
            Matched::Names(names) => names,
            Matched::Label(label) => {
                if self.raises.len() == ENTRIES {
                    problems.add(position, path, format!("must be at most {ENTRIES} entries that match by labels"));
                }
                self.raises.push(Raise { label, scope });
                return;
            }
        };
        for (name, position) in names {
            match self.places.entry(name.clone()) {
                Entry::Occupied(first) => {
                    let message = format!(
                        "{name} is named at line {} already, and the first entry that names a namespace counts; \
                         name it once",
                        first.get().line
                    );
                    problems.add(position, &format!("{path}.match.names"), message);
                }
                Entry::Vacant(free) => {
                    free.insert(position);
                    self.scopes.insert(name, scope);
                }
            }
        }
    }
}

/// Reads an entry: what it matches, and its scope. `top` is the global layer, which the entry overrides.
pub(super) fn namespace(
    node: &Node,
    path: &str,
    top: &PolicyLayer,
    top_scope: &Scope,
    version: Version,
    cap: Mode,
    problems: &mut Problems,
) -> Option<(Matched, Scope)> {
    let fields = Fields::of(node, path, &ENTRY_KEYS, problems)?;
    let mut layer = top.clone();
    layer.ceiling = read_mode(&fields, "ceiling", problems).unwrap_or(top.ceiling);
    layer.defaults = fields.parsed("defaults", str::parse, problems).unwrap_or(top.defaults);
    let other_settings = layer.add_policies(&fields, version, problems);

    let before = problems.found.len();
    let matched = fields.get("match").and_then(|node| matched(node, &format!("{path}.match"), problems));
    let is_empty = matched.as_ref().is_none_or(|matched| matches!(matched, Matched::Names(names) if names.is_empty()));
    if is_empty && problems.found.len() == before {
        let message =
            "must name namespaces: match: {names: [NAME]}, or a label of theirs: match: {labels: {KEY: VALUE}}";
        problems.add(node.position, &format!("{path}.match"), message);
    }
    let matched = matched.unwrap_or(Matched::Names(Vec::new()));
    // An unreadable `relax` was reported: it counts as true, so that no second error follows.
    let relaxed = fields.flag("relax", problems);
    let scope = layer.compile(version, cap);
    let milder = top_scope.stronger_than(&scope, version).map(|(meta, _, _)| meta.id);
    let stricter =
        |is_strict: fn(&ActivePolicy) -> bool| top_scope.stricter_than(&scope, version, is_strict).map(|meta| meta.id);
    let strict = stricter(|policy| policy.strict_updates).chain(stricter(|policy| policy.enforces_deletes));
    let mut weaker: BTreeSet<&str> = milder.chain(strict).collect();
    let mut refuse = |message: String| problems.add(node.position, path, message);
    if matches!(matched, Matched::Label(_)) {
        weaker.extend((layer.ceiling < top.ceiling).then_some("ceiling"));
        weaker.extend((layer.defaults < top.defaults).then_some("defaults"));
        if !weaker.is_empty() {
            let what = Vec::from_iter(weaker).join(", ");
            refuse(format!(
                "is weaker than the top for {what}: a label may only raise, so that nobody turns a policy off by labelling a \
                 namespace; match names to relax"
            ));
        } else if other_settings {
            refuse("has settings of its own, and a label raises modes only; write settings at the top".to_owned());
        } else if relaxed == Some(true) {
            refuse("has relax: true, and a label may only raise; remove it".to_owned());
        }
    } else if !relaxed.unwrap_or(true) {
        if !weaker.is_empty() {
            let what = Vec::from_iter(weaker).join(", ");
            refuse(format!("is weaker than the top for {what}; if that is meant, add relax: true"));
        } else if other_settings {
            refuse("has settings of its own, which may be weaker than the top's; add relax: true".to_owned());
        }
    }
    Some((matched, scope))
}

fn matched(node: &Node, path: &str, problems: &mut Problems) -> Option<Matched> {
    let fields = Fields::of(node, path, &NAMESPACE_MATCH_KEYS, problems)?;
    let Some(labels) = fields.get("labels") else { return Some(Matched::Names(names(&fields, "names", problems))) };
    if fields.get("names").is_some() {
        problems.add(node.position, path, "must hold names or labels, not both; write two entries");
    }
    label(labels, &fields.path_of("labels"), problems).map(Matched::Label)
}

fn names(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<(String, Position)> {
    let mut names = Vec::new();
    for node in fields.list(key, problems) {
        match node.as_text() {
            Some(name) if is_dns_label(name) => names.push((name.to_owned(), node.position)),
            Some(_) => problems.add(node.position, &fields.path_of(key), "must be the name of a namespace, in full"),
            None => problems.add(node.position, &fields.path_of(key), "must be a string; put it in quotation marks"),
        }
    }
    names
}

/// True for a DNS label (RFC 1123), as names of namespaces are.
pub(super) fn is_dns_label(name: &str) -> bool {
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63
        && alphanumeric(name.bytes().next())
        && alphanumeric(name.bytes().last())
        && name.bytes().all(|byte| byte == b'-' || alphanumeric(Some(byte)))
}
