//! `match` of an exception. What could never match, or would match more than anybody meant, is refused.

use super::super::compile::MATCH_KEYS;
use super::super::namespace::is_dns_label;
use super::super::problem::{Fields, Problems};
use super::{FieldError, TEXT, bounded, texts};
use crate::document::{Node, Position, Value};
use crate::exception::{KindMatch, Match, NameMatch};
use crate::object::{ImagePattern, is_cluster_scoped, is_namespaced};

/// Bytes of an image pattern.
const PATTERN: usize = 1_024;

/// A bad value in `match`.
#[derive(Debug, thiserror::Error)]
enum MatchError {
    #[error("must be the name of a namespace, in full")]
    Namespace,
    #[error("must be the kind, as in `kind:` of a manifest, such as Deployment, or with its group, Deployment.apps")]
    Kind,
    #[error(transparent)]
    Text(#[from] FieldError),
}

/// Reads `match` of the exception at `node`.
pub(super) fn matching(exception: &Fields<'_>, node: &Node, problems: &mut Problems) -> Option<Match> {
    let before = problems.found.len();
    let path = exception.path_of("match");
    let Some(matched) = exception.get("match") else {
        let message = "is missing; write match: {namespace: NAME, kind: Deployment, name: NAME}";
        problems.add(node.position, &path, message);
        return None;
    };
    let fields = Fields::of(matched, &path, &MATCH_KEYS, problems)?;
    let namespace = fields.parsed("namespace", namespace, problems);
    let kind = fields.parsed("kind", kind, problems);
    let name = fields.parsed("name", |text| bounded(text, TEXT), problems);
    let prefix = fields.parsed("namePrefix", |text| bounded(text, TEXT), problems);
    let containers = owned(&fields, "containers", problems);
    let users = owned(&fields, "users", problems);
    let images = images(&fields, problems);
    if problems.found.len() > before {
        return None;
    }
    let both = fields.get("name").zip(fields.get("namePrefix"));
    if let Some((_, prefix)) = both {
        problems.add(prefix.position, &fields.path_of("namePrefix"), "cannot be combined with name; keep one");
    } else if let Some(prefix) = fields.get("namePrefix").filter(|_| images.is_empty()) {
        let message = "needs images beside it: anybody can give an object a name that begins so; write the images that it may \
                       run, or the whole name as name";
        problems.add(prefix.position, &fields.path_of("namePrefix"), message);
    }
    let name = name.map(NameMatch::Exact).or(prefix.map(NameMatch::Prefix));
    let matching = Match { namespace, kind, name, containers, images, users };
    check_place(&matching, &fields, &path, matched.position, problems);
    (problems.found.len() == before).then_some(matching)
}

/// Refuses a match in no namespace of a kind that lives in one, and the other way round.
fn check_place(matching: &Match, fields: &Fields<'_>, path: &str, position: Position, problems: &mut Problems) {
    let place = fields.path_of("namespace");
    match (&matching.namespace, &matching.kind) {
        _ if matching.is_empty() => {
            let message = "matches everything; write match: {namespace: NAME, kind: Deployment, name: NAME}";
            problems.add(position, path, message);
        }
        (None, Some(kind)) if is_own(kind) && is_namespaced(&kind.kind) => {
            let message = format!("is missing: every {} lives in a namespace; write namespace: NAME", kind.kind);
            problems.add(position, &place, message);
        }
        (None, None) => {
            let message = "is missing; write namespace: NAME, or the kind of an object that lives in no namespace";
            problems.add(position, &place, message);
        }
        (Some(_), Some(kind)) if is_own(kind) && kind.kind != "Namespace" && is_cluster_scoped(&kind.kind) => {
            let position = fields.get("namespace").map_or(position, |node| node.position);
            problems.add(position, &place, format!("must be left out: a {} lives in no namespace", kind.kind));
        }
        _ => {}
    }
}

/// True for a kind that may be Kubernetes' own: its groups are the core group, those without a dot, and `*.k8s.io`.
fn is_own(kind: &KindMatch) -> bool {
    kind.group.as_ref().is_none_or(|group| !group.contains('.') || group.ends_with(".k8s.io"))
}

fn namespace(text: &str) -> Result<String, MatchError> {
    if is_dns_label(text) { Ok(text.to_owned()) } else { Err(MatchError::Namespace) }
}

fn kind(text: &str) -> Result<KindMatch, MatchError> {
    let (kind, group) = text.split_once('.').map_or((text, None), |(kind, group)| (kind, Some(group)));
    let is_kind = kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.len() <= 63
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_group = group.is_none_or(|group| group.len() <= TEXT && group.split('.').all(is_dns_label));
    if !is_kind || !is_group {
        return Err(MatchError::Kind);
    }
    Ok(KindMatch { kind: kind.to_owned(), group: group.map(str::to_owned) })
}

/// The texts of a list, none of them empty or too long.
fn owned(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<String> {
    let mut found = Vec::new();
    for (text, position) in texts(fields, key, problems) {
        match bounded(text, TEXT) {
            Ok(text) => found.push(text),
            Err(error) => problems.add(position, &fields.path_of(key), error.to_string()),
        }
    }
    refuse_empty(fields, key, problems);
    found
}

fn images(fields: &Fields<'_>, problems: &mut Problems) -> Vec<ImagePattern> {
    let mut found = Vec::new();
    for (text, position) in texts(fields, "images", problems) {
        let wrong = match ImagePattern::parse(text) {
            Ok(pattern) if text.len() <= PATTERN => {
                found.push(pattern);
                continue;
            }
            Ok(_) => format!("must not be longer than {PATTERN} bytes"),
            Err(error) => format!("must be an image pattern, such as registry.example.com/** or shop/web:1.2; {error}"),
        };
        problems.add(position, &fields.path_of("images"), wrong);
    }
    refuse_empty(fields, "images", problems);
    found
}

/// Refuses a list that is written and empty: it could be read as all and as none.
fn refuse_empty(fields: &Fields<'_>, key: &str, problems: &mut Problems) {
    if let Some(Node { position, value: Value::List(items) }) = fields.get(key)
        && items.is_empty()
    {
        problems.add(*position, &fields.path_of(key), "must not be empty; leave it out where all match");
    }
}
