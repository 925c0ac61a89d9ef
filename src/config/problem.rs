//! Errors in a configuration: all of them, each with its position and a remedy.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::document::typed::{Fault, TypedError};
use crate::document::{Key, MERGE, Map, Node, Position, Value};
use crate::escape::escaped;
use crate::redaction::redact;

/// One error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file, as given on the command line.
    pub file: Arc<str>,
    /// Line and column.
    pub position: Position,
    /// Path of the field from the root, as `namespaces[0].match`; empty for the document itself.
    pub field: String,
    /// Description of the error, and the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.file, self.position)?;
        if !self.field.is_empty() {
            write!(out, "{}: ", self.field)?;
        }
        out.write_str(&self.message)
    }
}

/// A warning about a field that is valid but probably a mistake, printed with secrets redacted and control characters
/// escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, position, field, message } = &self.0;
        let said = format!("{field}: {}", redact(message));
        write!(out, "{file}:{position}: warning: {}", escaped(&said))
    }
}

/// Every error of a configuration, printed one per line, with secrets redacted and control characters escaped.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::said).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

impl ConfigError {
    /// The first error, redacted, and the number of the others.
    pub fn summary(&self) -> String {
        let first = self.0.first().map(Problem::said).unwrap_or_default();
        match self.0.len().saturating_sub(1) {
            0 => first,
            others => format!("{first} (and {others} more)"),
        }
    }
}

impl Problem {
    /// The problem as text, its field and message redacted by `clean`. They are redacted one by one: otherwise a field
    /// named `password` would have the message taken for its value.
    pub fn cleaned<'p>(&'p self, clean: impl Fn(&'p str) -> Cow<'p, str>) -> String {
        let (field, message) = (clean(&self.field).into_owned(), clean(&self.message).into_owned());
        Self { field, message, ..self.clone() }.to_string()
    }

    fn said(&self) -> String {
        escaped(&self.cleaned(redact)).into_owned()
    }
}

/// A word is not one of the values that a field takes; holds the list of them, as in `off, safe or all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct NotOneOf(pub &'static str);

/// Gathers errors while a file is read.
pub(super) struct Problems {
    pub(super) file: Arc<str>,
    pub(super) found: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, position: Position, field: &str, message: impl Into<String>) {
        self.found.push(Problem {
            file: self.file.clone(),
            position,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Adds the error of reading the node at `path` into a type.
    pub(super) fn add_typed(&mut self, node: &Node, path: &str, error: &TypedError) {
        let message = match &error.fault {
            Fault::UnknownKey { known: [], .. } => "unknown key; there are no settings".to_owned(),
            Fault::UnknownKey { name, known } => format!("unknown key{}", suggestion(name, known, "known keys are")),
            Fault::Missing(_) | Fault::Mismatch(_) | Fault::Surplus { .. } | Fault::Invalid(_) => error.to_string(),
        };
        let steps = error.steps().map(ToString::to_string);
        let field = std::iter::once(path.to_owned()).chain(steps).collect::<String>();
        self.add(error.position_in(node), &field, message);
    }
}

/// The fields of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    map: &'n Map,
    path: String,
}

impl<'n> Fields<'n> {
    /// Reads a mapping; unknown and repeated keys are errors. `None` if `node` is not a mapping.
    pub(super) fn of(node: &'n Node, path: &str, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let fields = Self::open(node, path, problems)?;
        for (key, _) in &fields.map.entries {
            if !known.contains(&key.name.as_str()) {
                let message = format!("unknown key{}", suggestion(&key.name, known, "known keys are"));
                problems.add(key.position, &fields.path_of(&key.name), message);
            }
        }
        Some(fields)
    }

    /// Reads a mapping with arbitrary keys; repeated keys are errors. `None` if `node` is not a mapping.
    pub(super) fn open(node: &'n Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            problems.add(node.position, path, "must be a mapping");
            return None;
        };
        let fields = Self { map, path: path.to_owned() };
        for key in &map.repeated {
            problems.add(key.position, &fields.path_of(&key.name), twice(key));
        }
        Some(fields)
    }

    /// The value under `key`; `None` for `null`.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.map.entries.iter().find(|(name, _)| name.name == key)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Every key and value.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'n (Key, Node)> {
        self.map.entries.iter()
    }

    /// The path of the field `key`.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A string under `key`, parsed; `None` if it is absent or (with an error) not valid.
    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<T> {
        let node = self.get(key)?;
        let text = match &node.value {
            Value::Text(text) => text,
            // YAML 1.1 reads an unquoted `off` as false.
            Value::Bool(false) => "off",
            _ => {
                problems.add(node.position, &self.path_of(key), "must be a string");
                return None;
            }
        };
        parse(text).map_err(|error| problems.add(node.position, &self.path_of(key), error.to_string())).ok()
    }

    /// A boolean under `key`: `false` if it is absent, `None` (and an error) if it is not a boolean.
    pub(super) fn flag(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        match self.get(key) {
            None => Some(false),
            Some(Node { value: Value::Bool(value), .. }) => Some(*value),
            Some(node) => {
                problems.add(node.position, &self.path_of(key), "must be true or false");
                None
            }
        }
    }

    /// A list under `key`; empty if it is absent.
    pub(super) fn list(&self, key: &str, problems: &mut Problems) -> &'n [Node] {
        match self.get(key) {
            None => &[],
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                problems.add(node.position, &self.path_of(key), "must be a list");
                &[]
            }
        }
    }
}

/// Message about a repeated key.
pub(super) fn twice(key: &Key) -> String {
    let list = if key.name == MERGE { ", or merge a list: <<: [*a, *b]" } else { "" };
    format!("is here twice; keep one{list}")
}

/// `; did you mean …?`, or `others` and all known names.
pub(crate) fn suggestion(name: &str, known: &[&str], others: &str) -> String {
    const NEAR: f64 = 0.75;
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, candidate)) => format!("; did you mean {candidate}?"),
        None => format!("; {others} {}", known.join(", ")),
    }
}
