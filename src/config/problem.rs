//! What is wrong with a configuration: every error in it, each with its place and a way out.

use std::fmt;
use std::sync::Arc;

use crate::document::{Key, MERGE, Map, Node, Position, Value};
use crate::escape::escaped;
use crate::redaction::redact;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Where in it.
    pub position: Position,
    /// The field, from the root.
    pub field: String,
    /// What is wrong, and what to do.
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

/// Every error of a configuration, one a line. As it is displayed, no secret is in it, and no line end of somebody's own.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::said).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

impl Problem {
    /// The field and the message are redacted one by one: the name of a field does not make a secret of our words.
    fn said(&self) -> String {
        let (field, message) = (redact(&self.field).into_owned(), redact(&self.message).into_owned());
        escaped(&Self { field, message, ..self.clone() }.to_string()).into_owned()
    }
}

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
}

/// The fields of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    map: &'n Map,
    path: String,
}

impl<'n> Fields<'n> {
    /// Takes a mapping; unknown and repeated keys are errors. `None` when it is none.
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

    /// Takes a mapping whose keys are names.
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

    /// The value under `key`; `null` is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.map.entries.iter().find(|(name, _)| name.name == key)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Every key and value.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'n (Key, Node)> {
        self.map.entries.iter()
    }

    /// The path of a field.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A string under `key`, parsed.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        problems: &mut Problems,
    ) -> Option<T> {
        let node = self.get(key)?;
        let result = match &node.value {
            Value::Text(text) => parse(text),
            // YAML 1.1 reads an unquoted `off` as false.
            Value::Bool(false) => parse("off"),
            _ => Err("must be a string".to_owned()),
        };
        result.map_err(|message| problems.add(node.position, &self.path_of(key), message)).ok()
    }

    /// A boolean under `key`: false where it is absent, nothing where it is something else.
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

    /// A list under `key`; empty where it is absent.
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

/// Said of a key that was written again.
pub(super) fn twice(key: &Key) -> String {
    let list = if key.name == MERGE { ", or merge a list: <<: [*a, *b]" } else { "" };
    format!("is here twice; keep one{list}")
}

/// `; did you mean …?`, or the names there are.
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
