//! YAML and JSON as somebody wrote it, with the line and column of everything.
//!
//! Read as kubectl reads it (YAML 1.1 booleans and octal integers, anchors, merge keys, many documents), and a repeated
//! key counts with its last value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_saphyr::Spanned;
use serde_saphyr::budget::Budget;
use serde_saphyr::options::DuplicateKeyPolicy;

/// The deepest nesting that is read.
const DEPTH: usize = 1_000;
/// The most nodes, and parser events, that one file may hold.
const NODES: usize = 4_000_000;
/// The most bytes of scalars that one file may hold.
const SCALAR_BYTES: usize = 256 << 20;

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
    /// Every key that stood there again.
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

/// Reads every document of a file; documents that hold nothing are left out.
///
/// # Errors
/// [`DocumentError`] for the first thing that is no YAML, or is larger or deeper than is read.
pub fn read(text: &str) -> Result<Vec<Node>, DocumentError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_saphyr::from_multiple_with_options::<Node>(text, options()) {
        Ok(nodes) => Ok(nodes.into_iter().filter(|node| !matches!(node.value, Value::Null)).collect()),
        // JSON escapes that are no YAML escapes, and tabs between tokens.
        Err(error) => read_json(text).ok_or_else(|| refused(&error)),
    }
}

fn options() -> serde_saphyr::Options {
    let mut budget = Budget::default();
    budget.max_depth = DEPTH;
    budget.flow_nesting_limit = DEPTH;
    budget.max_nodes = NODES;
    budget.max_events = NODES;
    budget.max_total_scalar_bytes = SCALAR_BYTES;
    budget.max_total_comment_bytes = SCALAR_BYTES;
    budget.max_buffered_comment_events = NODES;
    budget.max_documents = NODES;
    serde_saphyr::options! {
        budget: Some(budget),
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

fn read_json(text: &str) -> Option<Vec<Node>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    values.map(|value| value.ok().map(Node::from)).collect()
}

fn refused(error: &serde_saphyr::Error) -> DocumentError {
    let position = error.location().map_or(Position { line: 1, column: 1 }, position);
    let message = error.without_snippet().to_string();
    // The library repeats the position in its words.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    DocumentError { position, message }
}

fn position(location: serde_saphyr::Location) -> Position {
    Position { line: location.line().max(1), column: location.column().max(1) }
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

    /// Every key that was written more than once, in this and below.
    pub fn repeated_keys(&self) -> Vec<&Key> {
        match &self.value {
            Value::List(items) => items.iter().flat_map(Self::repeated_keys).collect(),
            Value::Map(map) => {
                let below = map.entries.iter().flat_map(|(_, node)| node.repeated_keys());
                map.repeated.iter().chain(below).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Self {
        let position = Position { line: 1, column: 1 };
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(value) => Value::Number(value),
            serde_json::Value::String(value) => Value::Text(value),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => Value::Map(Map {
                entries: fields.into_iter().map(|(name, value)| (Key { position, name }, Self::from(value))).collect(),
                repeated: Vec::new(),
            }),
        };
        Self { position, value }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { position: position(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
                Value::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
                let number = serde_json::Number::from_f64(value);
                number.map(Value::Number).ok_or_else(|| E::custom("JSON has no infinity and no NaN"))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(Value::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
                let mut map = Map::default();
                while let Some((key, node)) = fields.next_entry::<Spanned<String>, Node>()? {
                    let key = Key { position: position(key.referenced), name: key.value };
                    match map.entries.iter().position(|(name, _)| name.name == key.name) {
                        Some(index) => {
                            map.repeated.push(key.clone());
                            map.entries[index] = (key, node);
                        }
                        None => map.entries.push((key, node)),
                    }
                }
                Ok(Value::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
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
mod tests {
    use super::{Position, read};

    fn json(text: &str) -> String {
        let nodes = read(text).expect("readable");
        nodes.iter().map(|node| serde_json::to_string(node).expect("JSON")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn integers_and_booleans_are_those_of_yaml_1_1() {
        assert_eq!(
            json("a: 0644\nb: off\nc: \"off\"\nd: 1.5\ne: ~\n"),
            r#"{"a":420,"b":false,"c":"off","d":1.5,"e":null}"#
        );
        assert_eq!(json("a: -1\nb: 0x1f\nc: 1e3\nd: 2026-01-01\n"), r#"{"a":-1,"b":31,"c":1000.0,"d":"2026-01-01"}"#);
    }

    #[test]
    fn the_last_of_a_repeated_key_counts_and_is_named() {
        let nodes = read("a: 1\nb: {c: 1, c: 2}\na: 2\n").expect("readable");
        assert_eq!(serde_json::to_string(&nodes[0]).expect("JSON"), r#"{"a":2,"b":{"c":2}}"#);
        let repeated: Vec<_> =
            nodes[0].repeated_keys().iter().map(|key| (key.name.clone(), key.position.line)).collect();
        assert_eq!(repeated, [("a".to_owned(), 3), ("c".to_owned(), 2)]);
    }

    #[test]
    fn documents_anchors_and_merge_keys() {
        assert_eq!(
            json("# only a comment\n---\na: &x {b: 1}\nc: *x\n---\nd: {<<: {e: 1}, f: 2}\n---\n"),
            "{\"a\":{\"b\":1},\"c\":{\"b\":1}}\n{\"d\":{\"f\":2,\"e\":1}}"
        );
    }

    #[test]
    fn json_with_surrogates_and_tabs() {
        assert_eq!(json("{\n\t\"a\": \"\\ud83d\\ude00\"\n}"), "{\"a\":\"😀\"}");
    }

    #[test]
    fn a_pointer_is_followed_as_far_as_it_goes() {
        let nodes = read("spec:\n  containers:\n  - name: a\n    image: b\n").expect("readable");
        let pointer = jsonptr::Pointer::parse("/spec/containers/0/image").expect("pointer");
        assert_eq!(nodes[0].follow(pointer), (pointer, Position { line: 4, column: 5 }));
        let pointer = jsonptr::Pointer::parse("/spec/containers/0/securityContext/privileged").expect("pointer");
        let (reached, position) = nodes[0].follow(pointer);
        assert_eq!((reached.as_str(), position), ("/spec/containers/0", Position { line: 3, column: 5 }));
    }
}
