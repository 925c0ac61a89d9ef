//! YAML and JSON as somebody wrote it, with the line and column of everything.
//!
//! Read as kubectl reads it (YAML 1.1 booleans and octal integers, anchors, merge keys, many documents), and a repeated
//! key counts with its last value.

mod mend;
mod scalar;
mod stream;
mod yaml;

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The key that merges another mapping.
pub const MERGE: &str = "<<";

/// A place in a file; both count from 1.
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

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// What it is.
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
    /// Each key once, with the value that counts.
    pub entries: Vec<(Key, Node)>,
    /// Every key that was written there again. What a merge brought may be overridden.
    pub repeated: Vec<Key>,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands.
    pub position: Position,
    /// The key.
    pub name: String,
}

/// Why a file could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{position}: {message}")]
pub struct DocumentError {
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub message: String,
}

/// The text of a file, and the first line of it that could not be read and is U+FFFD now.
pub fn decode(bytes: Vec<u8>) -> (String, Option<usize>) {
    stream::decode(bytes)
}

/// Reads every document of a file; documents that hold nothing are left out.
///
/// # Errors
/// [`DocumentError`] for the first thing that is neither YAML nor JSON, or is deeper than is read.
pub fn read(text: &str) -> Result<Vec<Node>, DocumentError> {
    let mut nodes = Vec::new();
    for part in stream::parts(text)? {
        let node = yaml::read(&part.text, part.line)?;
        nodes.extend(node.filter(|node| !matches!(node.value, Value::Null)));
    }
    Ok(nodes)
}

impl Node {
    /// The value under `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(map) = &self.value else { return None };
        map.entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
    }

    /// The string that this is.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Follows a JSON pointer as far as the document goes: the pointer of what is there, and its position.
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

    /// Every key that was written more than once, in this and below; each place once, however many aliases lead there.
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
