//! An entry of `namespaces`: what applies in the namespaces that it names, and whether that is weaker than the top.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::Scope;
use super::compile::{ENTRY_KEYS, Layer, read_mode};
use super::problem::{Fields, Problems};
use crate::document::{Node, Position};
use crate::mode::Mode;
use crate::policy::PodSecurityVersion;

/// The namespaces that entries name: each by one entry, as no other would count.
#[derive(Default)]
pub(super) struct Named {
    /// The scope of each.
    pub(super) scopes: HashMap<String, usize>,
    places: HashMap<String, Position>,
}

impl Named {
    /// Takes the names of an entry, whose path is `path` and whose scope is number `scope`.
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

/// The names that an entry matches, and what applies there; `top` is what the entry starts from.
pub(super) fn namespace(
    node: &Node,
    path: &str,
    top: &Layer,
    top_scope: &Scope,
    version: PodSecurityVersion,
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
    // What cannot be read was meant to say something: nothing more is said of it.
    let relaxed = fields.flag("relax", problems).unwrap_or(true);
    let scope = layer.compile(version, cap);
    if !relaxed {
        let milder = top_scope.stronger_than(&scope).map(|(meta, _, _)| meta.id);
        let weaker: BTreeSet<&str> = milder.chain(top_scope.stricter_than(&scope).map(|meta| meta.id)).collect();
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

/// RFC 1123, which namespaces' names follow.
fn is_dns_label(name: &str) -> bool {
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63
        && alphanumeric(name.bytes().next())
        && alphanumeric(name.bytes().last())
        && name.bytes().all(|byte| byte == b'-' || alphanumeric(Some(byte)))
}
