//! A row of `workloads`: a custom kind, and the path of its pod templates.

use super::compile::WORKLOAD_KEYS;
use super::problem::{Fields, Problems};
use crate::document::Node;
use crate::object::{TemplatePath, Workload, is_label, plural};

/// Reads a row. A value that could never match is an error, with a remedy.
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

/// A bad value in a row of `workloads`.
#[derive(Debug, thiserror::Error)]
enum FieldError {
    #[error("must not be empty")]
    Empty,
    #[error("must be the group without its version: {0}; every version is judged")]
    GroupWithVersion(String),
    #[error("must be an API group, such as argoproj.io")]
    Group,
    #[error("must be the kind alone, as in `kind:` of a manifest, such as Rollout")]
    Kind,
    #[error(
        "must be the kind, as in `kind:` of a manifest, such as Rollout, not the resource's name; if it is really called \
         {0}, add its resource"
    )]
    ResourceAsKind(String),
    #[error("must be the plural in the API's paths, without its group, such as rollouts")]
    Resource,
    #[error("must be a JSON pointer to the pod template, such as /spec/template; * stands for every item")]
    Pointer,
    #[error("must be a JSON pointer, with slashes between the fields, such as /spec/template")]
    Dotted,
    #[error("must not lead to one item of a list; * stands for every item")]
    Item,
    #[error("must lead to the pod template, which holds metadata and spec, not into it: without /{0}")]
    BelowTemplate(String),
}

fn group(text: &str) -> Result<String, FieldError> {
    match text.split_once('/') {
        _ if text.is_empty() => Err(FieldError::Empty),
        Some((group, _)) if group.split('.').all(is_label) => Err(FieldError::GroupWithVersion(group.to_owned())),
        None if text.split('.').all(is_label) => Ok(text.to_owned()),
        _ => Err(FieldError::Group),
    }
}

/// A kind. One in lower case is usually a mistaken resource name, and is accepted only if the row names its resource
/// (`is_named`).
fn kind(text: &str, is_named: bool) -> Result<String, FieldError> {
    let starts_large = text.starts_with(|first: char| first.is_ascii_uppercase());
    match text {
        "" => Err(FieldError::Empty),
        _ if !is_label(&text.to_lowercase()) => Err(FieldError::Kind),
        _ if !starts_large && !is_named => Err(FieldError::ResourceAsKind(text.to_owned())),
        _ => Ok(text.to_owned()),
    }
}

fn resource(text: &str) -> Result<String, FieldError> {
    if is_label(text) { Ok(text.to_owned()) } else { Err(FieldError::Resource) }
}

/// The path of the pod template, which holds `metadata` and `spec`.
fn template(text: &str) -> Result<TemplatePath, FieldError> {
    let pointer = jsonptr::Pointer::parse(text).map_err(|_| FieldError::Pointer)?;
    let steps: Vec<String> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
    let Some((last, first)) = steps.last().zip(steps.first()) else { return Err(FieldError::Pointer) };
    if first == "*" || steps.iter().any(String::is_empty) {
        return Err(FieldError::Pointer);
    }
    if steps.iter().any(|step| step.contains(['.', '[', ']'])) {
        return Err(FieldError::Dotted);
    }
    if steps.iter().any(|step| step == "-" || step.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(FieldError::Item);
    }
    if ["spec", "containers", "initContainers", "metadata"].contains(&last.as_str()) {
        return Err(FieldError::BelowTemplate(last.clone()));
    }
    Ok(steps.into_iter().map(Into::into).collect())
}
