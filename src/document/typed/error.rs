//! Error of reading a value into a type: its place and what is wrong there, as data.

use std::fmt;

use serde::de::{Expected, Unexpected};

use crate::document::{Node, Position, Value};

/// Error of reading a value into a type. It repeats no value, which may be a secret that somebody wrote in the place of its
/// file, unless a type itself quotes one in [`Fault::Invalid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedError {
    /// Steps from the value to the fault, innermost first.
    steps: Vec<Step>,
    /// The fault at that place.
    pub fault: Fault,
}

/// A step from a value to one below it. Displays as in a path: `.key`, `[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an item of a list, counted from 0.
    Item(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(out, ".{name}"),
            Self::Item(position) => write!(out, "[{position}]"),
        }
    }
}

/// A reason why a value cannot be read into a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A mapping has a key that its type does not have.
    UnknownKey {
        /// The key.
        name: String,
        /// The keys of the type.
        known: &'static [&'static str],
    },
    /// A mapping lacks this key.
    Missing(&'static str),
    /// A value is not this, which its type takes.
    Mismatch(String),
    /// An item of a list is beyond the last that its type has.
    Surplus {
        /// Number of items that the type has.
        most: usize,
    },
    /// A value does not fit for another reason, as `must …`.
    Invalid(String),
}

impl TypedError {
    /// Steps from the value to the fault, an unknown key included.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().rev()
    }

    /// The position of the fault in the node that the value was made of: of the key that is unknown, else of the value.
    pub fn position_in(&self, node: &Node) -> Position {
        let is_key = matches!(self.fault, Fault::UnknownKey { .. });
        let (mut here, mut position) = (node, node.position);
        for step in self.steps() {
            let next = match (step, &here.value) {
                (Step::Key(name), Value::Map(map)) => {
                    let entry = map.entries.iter().find(|(key, _)| key.name == *name);
                    entry.map(|(key, value)| (value, if is_key { key.position } else { value.position }))
                }
                (Step::Item(place), Value::List(items)) => items.get(*place).map(|item| (item, item.position)),
                _ => None,
            };
            let Some(next) = next else { break };
            (here, position) = next;
        }
        position
    }

    /// An error of the value itself.
    pub(crate) fn of(fault: Fault) -> Self {
        Self { steps: Vec::new(), fault }
    }

    /// The same error as one of the value that holds this one.
    pub(crate) fn below(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(super) fn below_key(self, key: &str) -> Self {
        self.below(Step::Key(key.to_owned()))
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::UnknownKey { name, .. } => write!(out, "unknown key {name}"),
            Fault::Missing(name) => write!(out, "must have {name}"),
            Fault::Mismatch(expected) => write!(out, "must be {expected}"),
            Fault::Surplus { most } => write!(out, "must not be there: the list has at most {}", items(most)),
            Fault::Invalid(message) => out.write_str(message),
        }
    }
}

impl std::error::Error for TypedError {}

impl serde::de::Error for TypedError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(Fault::Invalid(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(Fault::Mismatch(kind(&expected.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::of(Fault::Mismatch(kind(&expected.to_string())))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::of(Fault::Mismatch(one_of(known)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::of(Fault::UnknownKey { name: name.to_owned(), known }).below_key(name)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::of(Fault::Missing(name))
    }
}

/// Names in backticks, any one of which is expected.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        all => format!("one of {}", all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The name of a kind of value in a configuration, for what serde calls it.
fn kind(expected: &str) -> String {
    if let Some(number) = expected.strip_prefix("a nonzero ") {
        return whole_number(number, true).unwrap_or_else(|| "a number other than 0".to_owned());
    }
    if let Some(number) = whole_number(expected, false) {
        return number;
    }
    if let Some(length) = LENGTHS.iter().find_map(|prefix| expected.strip_prefix(prefix)) {
        return format!("a list of {}", items(length));
    }
    // What is left of these names a type of ours, which the reader of a configuration does not know.
    if let Some((_, length)) = expected.strip_prefix("tuple ").and_then(|rest| rest.split_once(" with ")) {
        return format!("a list of {}", items(length.trim_end_matches(" elements").trim_end_matches(" element")));
    }
    match expected {
        "a boolean" => "true or false",
        "a character" => "a single character",
        "f32" | "f64" => "a number",
        "path string" => "the name of a file",
        "unit" => "null",
        "newtype variant" | "struct variant" | "tuple variant" => "a mapping with one key",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other if other.starts_with("tuple ") => "a list",
        other if other.starts_with("struct ") => "a mapping",
        other if other.starts_with("unit struct ") => "null",
        other => other,
    }
    .to_owned()
}

/// Beginnings of serde's names for lists of a known length.
const LENGTHS: [&str; 2] = ["a tuple of size ", "an array of length "];

/// Count of items.
fn items(count: impl fmt::Display) -> String {
    let count = count.to_string();
    if count == "1" { "1 item".to_owned() } else { format!("{count} items") }
}

/// The whole numbers of one of Rust's types.
fn whole_number(name: &str, is_nonzero: bool) -> Option<String> {
    let (least, most) = match name {
        "u8" => (0, u64::from(u8::MAX)),
        "u16" => (0, u64::from(u16::MAX)),
        "u32" => (0, u64::from(u32::MAX)),
        "u64" | "u128" | "usize" => {
            return Some(format!("a whole number of {} or more", u8::from(is_nonzero)));
        }
        "i8" => (i64::from(i8::MIN), i8::MAX.unsigned_abs().into()),
        "i16" => (i64::from(i16::MIN), i16::MAX.unsigned_abs().into()),
        "i32" => (i64::from(i32::MIN), i32::MAX.unsigned_abs().into()),
        "i64" | "i128" | "isize" => (i64::MIN, i64::MAX.unsigned_abs()),
        _ => return None,
    };
    Some(match (least, is_nonzero) {
        (0, true) => format!("a whole number from 1 to {most}"),
        (_, false) => format!("a whole number from {least} to {most}"),
        (_, true) => format!("a whole number from {least} to {most}, but not 0"),
    })
}
