//! A row of `workloads`: a kind of another project, and where it holds pod templates.

use super::compile::WORKLOAD_KEYS;
use super::problem::{Fields, Problems};
use crate::document::Node;
use crate::object::{TemplatePath, Workload, plural};

/// The longest label of a DNS name.
const LABEL: usize = 63;

/// Reads a row; what could match nothing is refused, with what to write instead.
pub(super) fn workload(node: &Node, path: &str, problems: &mut Problems) -> Option<Workload> {
    let fields = Fields::of(node, path, &WORKLOAD_KEYS, problems)?;
    let is_immutable = fields.flag("immutable", problems).unwrap_or(false);
    let before = problems.found.len();
    let is_named = fields.get("resource").is_some();
    let group = fields.parsed("group", group, problems);
    let kind = fields.parsed("kind", |text| kind(text, is_named), problems);
    let template = fields.parsed("path", template, problems);
    let resource = fields.parsed("resource", resource, problems);
    let (Some(group), Some(kind), Some(template)) = (group, kind, template) else {
        if problems.found.len() == before {
            problems.add(
                node.position,
                path,
                "must have group, kind and path, such as argoproj.io, Rollout, /spec/template",
            );
        }
        return None;
    };
    Some(Workload {
        is_guessed: resource.is_none(),
        resource: resource.unwrap_or_else(|| plural(&kind)).into(),
        group: group.into(),
        kind: kind.into(),
        templates: vec![template],
        is_immutable,
    })
}

fn group(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        _ if text.is_empty() => Err("must not be empty".to_owned()),
        Some((group, _)) if group.split('.').all(is_label) => {
            Err(format!("must be the group without its version: {group}; every version is judged"))
        }
        None if text.split('.').all(is_label) => Ok(text.to_owned()),
        _ => Err("must be an API group, such as argoproj.io".to_owned()),
    }
}

/// A kind. One that starts with a small letter is a resource's name, as a rule: it must be said that this one is not.
fn kind(text: &str, is_named: bool) -> Result<String, String> {
    let starts_large = text.starts_with(|first: char| first.is_ascii_uppercase());
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if !is_label(&text.to_lowercase()) => {
            Err("must be the kind alone, as in `kind:` of a manifest, such as Rollout".to_owned())
        }
        _ if !starts_large && !is_named => Err(format!(
            "must be the kind, as in `kind:` of a manifest, such as Rollout, not the resource's name; if it is really \
             called {text}, add its resource"
        )),
        _ => Ok(text.to_owned()),
    }
}

fn resource(text: &str) -> Result<String, String> {
    if is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("must be the plural in the API's paths, without its group, such as rollouts".to_owned())
    }
}

/// The way to the pod template, which holds `metadata` and `spec`.
fn template(text: &str) -> Result<TemplatePath, String> {
    const POINTER: &str = "must be a JSON pointer to the pod template, such as /spec/template; * stands for every item";
    let pointer = jsonptr::Pointer::parse(text).map_err(|_| POINTER.to_owned())?;
    let steps: Vec<String> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
    let Some((last, first)) = steps.last().zip(steps.first()) else { return Err(POINTER.to_owned()) };
    if first == "*" || steps.iter().any(String::is_empty) {
        return Err(POINTER.to_owned());
    }
    if steps.iter().any(|step| step.contains(['.', '[', ']'])) {
        return Err("must be a JSON pointer, with slashes between the fields, such as /spec/template".to_owned());
    }
    if steps.iter().any(|step| step == "-" || step.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("must not lead to one item of a list; * stands for every item".to_owned());
    }
    if ["spec", "containers", "initContainers", "metadata"].contains(&last.as_str()) {
        return Err(format!(
            "must lead to the pod template, which holds metadata and spec, not into it: without /{last}"
        ));
    }
    Ok(steps.into_iter().map(Into::into).collect())
}

/// A label of RFC 1035 or 1123: groups and resources are made of them.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte == b'-' || is_plain(byte))
        && !text.starts_with('-')
        && !text.ends_with('-')
}
