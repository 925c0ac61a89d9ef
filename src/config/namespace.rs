//! An entry of `namespaces`: the policies in the namespaces that it names, and the check that it does not relax the global
//! ones unless it says so.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::compile::{ENTRY_KEYS, PolicyLayer, read_mode};
use super::problem::{Fields, Problems};
use crate::document::{Node, Position};
use crate::engine::ActivePolicy;
use crate::mode::Mode;
use crate::pod_security::Version;
use crate::snapshot::Scope;

/// The namespaces that entries name. Each may be named once: only the first entry that matches counts.
#[derive(Default)]
pub(super) struct NamespaceIndex {
    /// Index of each namespace's scope.
    pub(super) scopes: HashMap<String, usize>,
    places: HashMap<String, Position>,
}

impl NamespaceIndex {
    /// Adds the names of the entry at `path`, whose scope has the index `scope`.
    pub(super) fn take(&mut self, names: Vec<(String, Position)>, path: &str, scope: usize, problems: &mut Problems) {
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

/// Reads an entry: the names that it matches, and its scope. `top` is the global layer, which the entry overrides.
pub(super) fn namespace(
    node: &Node,
    path: &str,
    top: &PolicyLayer,
    top_scope: &Scope,
    version: Version,
    cap: Mode,
    problems: &mut Problems,
) -> Option<(Vec<(String, Position)>, Scope)> {
    let fields = Fields::of(node, path, &ENTRY_KEYS, problems)?;
    let mut layer = top.clone();
    layer.ceiling = read_mode(&fields, "ceiling", problems).unwrap_or(top.ceiling);
    layer.defaults = fields.parsed("defaults", str::parse, problems).unwrap_or(top.defaults);
    let other_settings = layer.add_policies(&fields, version, problems);

    let before = problems.found.len();
    let matched = fields.get("match").and_then(|node| {
        let path = format!("{path}.match");
        Fields::of(node, &path, &["names"], problems).map(|fields| names(&fields, "names", problems))
    });
    let names = matched.unwrap_or_default();
    if names.is_empty() && problems.found.len() == before {
        problems.add(node.position, &format!("{path}.match"), "must name namespaces: match: {names: [NAME]}");
    }
    // An unreadable `relax` was reported: it counts as true, so that no second error follows.
    let relaxed = fields.flag("relax", problems).unwrap_or(true);
    let scope = layer.compile(version, cap);
    if !relaxed {
        let milder = top_scope.stronger_than(&scope).map(|(meta, _, _)| meta.id);
        let stricter =
            |is_strict: fn(&ActivePolicy) -> bool| top_scope.stricter_than(&scope, is_strict).map(|meta| meta.id);
        let strict = stricter(|policy| policy.strict_updates).chain(stricter(|policy| policy.enforces_deletes));
        let weaker: BTreeSet<&str> = milder.chain(strict).collect();
        if !weaker.is_empty() {
            let what = Vec::from_iter(weaker).join(", ");
            problems.add(
                node.position,
                path,
                format!("is weaker than the top for {what}; if that is meant, add relax: true"),
            );
        } else if other_settings {
            problems.add(
                node.position,
                path,
                "has settings of its own, which may be weaker than the top's; add relax: true",
            );
        }
    }
    Some((names, scope))
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
