//! YAML and JSON with the line and column of every value.
//!
//! Read as kubectl reads it (YAML 1.1 booleans and octal integers, anchors, merge keys, many documents), and a repeated
//! key counts with its last value.

mod json;
mod mend;
mod scalar;
mod stream;
pub mod typed;
mod yaml;

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The key that merges another mapping.
pub const MERGE: &str = "<<";

/// A position in a file; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// A value and its position.
#[derive(Debug, Clone)]
pub struct Node {
    /// Start of the value.
    pub position: Position,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// A boolean, `off` and `yes` included.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A mapping, in the order written.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Each key once, with the last value given for it.
    pub entries: Vec<(Key, Node)>,
    /// Keys given more than once. Overriding a merged key is not a repetition.
    pub repeated: Vec<Key>,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Start of the key.
    pub position: Position,
    /// The key.
    pub name: String,
}

/// A file that could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{position}: {message}")]
pub struct DocumentError {
    /// Position of the error.
    pub position: Position,
    /// Description of the error.
    pub message: String,
}

/// The text of a file, and the number of the first line with bytes that are not valid UTF-8 or UTF-16; these are U+FFFD.
pub fn decode(bytes: Vec<u8>) -> (String, Option<usize>) {
    stream::decode(bytes)
}

/// Reads every document of a file; empty documents are left out.
///
/// # Errors
/// [`DocumentError`] for the first error of syntax, or nesting that is too deep.
pub fn read(text: &str) -> Result<Vec<Node>, DocumentError> {
    let mut nodes = Vec::new();
    for part in stream::parts(text)? {
        let node = yaml::read(&part.text, part.line)?;
        nodes.extend(node.filter(|node| !matches!(node.value, Value::Null)));
    }
    Ok(nodes)
}

impl Node {
    /// The value under `key`; `None` if this is not a mapping or has no such key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(map) = &self.value else { return None };
        map.entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
    }

    /// The string; `None` for other types.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Follows a JSON pointer as far as it exists: the part of it that does, and the position there.
    pub fn follow<'p>(&self, pointer: &'p jsonptr::Pointer) -> (&'p jsonptr::Pointer, Position) {
        let (mut here, mut position, mut length) = (self, self.position, 0);
        for token in pointer.tokens() {
            let name = token.decoded();
            let next = match &here.value {
                Value::Map(map) => map.entries.iter().find(|(key, _)| key.name == name),
                Value::List(items) => {
                    let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get(index)) else { break };
                    here = item;
                    position = item.position;
                    length += 1 + token.encoded().len();
                    continue;
                }
                _ => None,
            };
            let Some((key, node)) = next else { break };
            here = node;
            position = key.position;
            length += 1 + token.encoded().len();
        }
        let reached = jsonptr::Pointer::parse(&pointer.as_str()[..length]).unwrap_or(jsonptr::Pointer::root());
        (reached, position)
    }

    /// Every repeated key in this value and below; each position once, however many aliases lead there.
    pub fn repeated_keys(&self) -> Vec<&Key> {
        let mut keys = self.all_repeated_keys();
        let mut places = HashSet::new();
        keys.retain(|key| places.insert((key.position.line, key.position.column)));
        keys
    }

    fn all_repeated_keys(&self) -> Vec<&Key> {
        match &self.value {
            Value::List(items) => items.iter().flat_map(Self::all_repeated_keys).collect(),
            Value::Map(map) => {
                let below = map.entries.iter().flat_map(|(_, node)| node.all_repeated_keys());
                map.repeated.iter().chain(below).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => value.serialize(serializer),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(items) => items.serialize(serializer),
            Value::Map(map) => {
                let mut fields = serializer.serialize_map(Some(map.entries.len()))?;
                for (key, node) in &map.entries {
                    fields.serialize_entry(&key.name, node)?;
                }
                fields.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
