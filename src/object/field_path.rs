//! A path of fields that settings name, such as `spec.containers[*].image`, and the values that it leads to in an object.
//!
//! The object is read where the path leads, and nowhere else: what lies beside it is skipped.

use std::fmt;

use serde_json::value::RawValue;

use super::path::Path;
use super::read::{child, fields, parse};
use super::{Place, Unreadable, mapping};
use crate::steps;

/// Maximum length of a path in bytes.
const LENGTH: usize = 512;
/// Maximum number of its steps.
const STEPS: usize = 24;
/// Bytes of an object that are skipped in one step.
const STEP: usize = 32;

/// A path of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A field, written with a dot.
    Field(String),
    /// The key of a map, written in brackets.
    Key(String),
    /// Every item of a list, and every value of a map.
    Every,
}

/// Values that a path leads to.
#[derive(Debug)]
pub enum Reached<'a> {
    /// A value that is not null.
    Value(&'a RawValue),
    /// A field that is absent or null.
    Absent,
    /// A value on the way that does not hold the next field.
    Unreadable(Unreadable),
}

/// A path that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// Empty.
    #[error("must not be empty; write a path of fields, such as spec.type")]
    Empty,
    /// Too long.
    #[error("must have at most {LENGTH} bytes and {STEPS} steps")]
    TooLong,
    /// A JSON pointer.
    #[error("must have dots between its fields, such as spec.ports[*].name")]
    Pointer,
    /// It does not begin with a field.
    #[error("must begin with the name of a field, such as spec.type")]
    Start,
    /// A field without a name.
    #[error("must have a field behind each dot")]
    NoField,
    /// `*` without brackets.
    #[error("must have [*] for every item of a list, or value of a map")]
    Star,
    /// A position in a list.
    #[error(
        "must not lead to one item of a list, {0}: [*] stands for every item, and the key of a map that is a number has quotation \
         marks, [\"0\"]"
    )]
    Item(String),
    /// A bracket that does not close, or opens twice.
    #[error("must close each bracket; a key that holds brackets has quotation marks, such as data[\"a[1]\"]")]
    Bracket,
    /// A character that needs brackets.
    #[error(
        "must have a key with other characters than letters, digits, - and _ in brackets, such as metadata.labels[example.com/team]"
    )]
    Character,
    /// The status.
    #[error("must not begin with status: it changes through a subresource, which no webhook is asked about")]
    Status,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`FieldPathError`] if it is not one.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        if text.is_empty() {
            return Err(FieldPathError::Empty);
        }
        if text.len() > LENGTH {
            return Err(FieldPathError::TooLong);
        }
        if text.starts_with('/') || text.contains('/') && !text.contains(['.', '[']) {
            return Err(FieldPathError::Pointer);
        }
        if text.starts_with(['.', '[', '$', '{']) {
            return Err(FieldPathError::Start);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inside) => bracket(inside)?,
                None => field(rest.strip_prefix('.').unwrap_or(rest))?,
            };
            // Behind a bracket comes a dot, another bracket, or the end.
            if !after.is_empty() && !after.starts_with(['.', '[']) {
                return Err(FieldPathError::Bracket);
            }
            steps.push(step);
            rest = after;
        }
        if steps.len() > STEPS {
            return Err(FieldPathError::TooLong);
        }
        if steps.first() == Some(&Step::Field("status".to_owned())) {
            return Err(FieldPathError::Status);
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the last field or key; empty if the path ends with `[*]`.
    pub fn last(&self) -> &str {
        match self.steps.last() {
            Some(Step::Field(name) | Step::Key(name)) => name,
            Some(Step::Every) | None => "",
        }
    }

    /// True if it leads below the metadata.
    pub fn is_in_metadata(&self) -> bool {
        self.steps.len() > 1 && matches!(self.steps.first(), Some(Step::Field(name)) if name == "metadata")
    }

    /// Calls `found` with everything that it leads to in an object, in order. A field that is absent is told once, unless the rest
    /// of the path goes through the items of something: then there are none.
    pub fn walk<'a>(&self, object: &'a RawValue, found: &mut dyn FnMut(Spot<'_>, Reached<'a>)) {
        Walk { trail: Vec::new(), found }.go(&self.steps, object);
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// The step behind a bracket, and what follows it.
fn bracket(inside: &str) -> Result<(Step, &str), FieldPathError> {
    for quote in ['"', '\''] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote).ok_or(FieldPathError::Bracket)?;
            let after = after.strip_prefix(']').ok_or(FieldPathError::Bracket)?;
            return if key.is_empty() { Err(FieldPathError::NoField) } else { Ok((Step::Key(key.to_owned()), after)) };
        }
    }
    let (key, after) = inside.split_once(']').ok_or(FieldPathError::Bracket)?;
    match key {
        "*" => Ok((Step::Every, after)),
        "" => Err(FieldPathError::NoField),
        _ if key.contains(['[', '"', '\'']) => Err(FieldPathError::Bracket),
        _ if key.contains('*') => Err(FieldPathError::Star),
        _ if key.bytes().all(|byte| byte.is_ascii_digit() || b"-:".contains(&byte)) => {
            Err(FieldPathError::Item(format!("[{key}]")))
        }
        _ => Ok((Step::Key(key.to_owned()), after)),
    }
}

/// The field at the begin of a text, and what follows it.
fn field(text: &str) -> Result<(Step, &str), FieldPathError> {
    let (name, after) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_$".contains(character);
    match name {
        "" => Err(FieldPathError::NoField),
        _ if name.contains('*') => Err(FieldPathError::Star),
        _ if name.contains(']') => Err(FieldPathError::Bracket),
        _ if !name.chars().all(is_plain) => Err(FieldPathError::Character),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => Err(FieldPathError::Item(name.to_owned())),
        _ => Ok((Step::Field(name.to_owned()), after)),
    }
}

/// A step that was taken.
#[derive(Clone)]
enum Taken {
    Field(String),
    Key(String),
    Item(usize),
}

/// A place that a path led to.
pub struct Spot<'t>(&'t [Taken]);

impl Spot<'_> {
    /// Its path.
    pub fn path(&self) -> Path {
        self.0.iter().fold(Path::root(), |path, step| match step {
            Taken::Field(name) => path.fields(name),
            Taken::Key(name) => path.key(name),
            Taken::Item(position) => path.index(*position),
        })
    }
}

impl From<&Spot<'_>> for Place {
    fn from(spot: &Spot<'_>) -> Self {
        Self::field(spot.path())
    }
}

struct Walk<'f, 'a> {
    trail: Vec<Taken>,
    found: &'f mut dyn FnMut(Spot<'_>, Reached<'a>),
}

impl<'a> Walk<'_, 'a> {
    fn tell(&mut self, reached: Reached<'a>) {
        (self.found)(Spot(&self.trail), reached);
    }

    fn go(&mut self, steps: &[Step], value: &'a RawValue) {
        if !steps::take(u32::try_from(value.get().len() / STEP).unwrap_or(u32::MAX).saturating_add(1)) {
            return;
        }
        let is_null = value.get() == "null";
        let Some((step, rest)) = steps.split_first() else {
            return self.tell(if is_null { Reached::Absent } else { Reached::Value(value) });
        };
        if is_null {
            return self.absent(steps);
        }
        match step {
            Step::Field(name) | Step::Key(name) => {
                let is_field = matches!(step, Step::Field(_));
                let below = child(value, name, &Path::root());
                self.trail.push(if is_field { Taken::Field(name.clone()) } else { Taken::Key(name.clone()) });
                match below {
                    Ok(Some(below)) => self.go(rest, below),
                    Ok(None) => self.absent(rest),
                    Err(why) => {
                        // It is the value above that is of another type.
                        let last = self.trail.pop();
                        self.tell(Reached::Unreadable(why));
                        self.trail.extend(last);
                    }
                }
                self.trail.pop();
            }
            Step::Every if value.get().starts_with('[') => self.every_item(rest, value),
            Step::Every => self.every_value(rest, value),
        }
    }

    fn absent(&mut self, rest: &[Step]) {
        if !rest.contains(&Step::Every) {
            self.tell(Reached::Absent);
        }
    }

    fn every_item(&mut self, rest: &[Step], list: &'a RawValue) {
        let mut reader = serde_json::Deserializer::from_str(list.get());
        let read = mapping::each(&mut reader, |position, item: &'a RawValue| {
            self.trail.push(Taken::Item(position));
            self.go(rest, item);
            self.trail.pop();
            Ok(())
        });
        if let Err(error) = read {
            self.tell(Reached::Unreadable(super::read::unreadable(&Path::root(), Path::root(), &error)));
        }
    }

    fn every_value(&mut self, rest: &[Step], map: &'a RawValue) {
        let read = fields(map, &Path::root(), &mut |name, value| {
            self.trail.push(Taken::Key(name.to_owned()));
            self.go(rest, value);
            self.trail.pop();
            Ok(())
        });
        if let Err(why) = read {
            self.tell(Reached::Unreadable(why));
        }
    }
}

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// True or false.
    Bool(bool),
}

impl Scalar {
    /// Reads one; `None` for a list, an object, null, and a string that is not Unicode.
    pub fn read(value: &RawValue) -> Option<Self> {
        match value.get().as_bytes().first()? {
            b'"' => parse::<String>(value, &Path::root()).ok().map(Self::Text),
            b't' | b'f' => parse::<bool>(value, &Path::root()).ok().map(Self::Bool),
            b'-' | b'0'..=b'9' => parse::<serde_json::Number>(value, &Path::root()).ok().map(Self::Number),
            _ => None,
        }
    }

    /// True if both are the same: two numbers by their value, others by what they say, so that a port is found as a number
    /// and as a string.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => {
                one == other || !are_whole(one, other) && one.as_f64() == other.as_f64()
            }
            (Self::Text(one), Self::Text(other)) => one == other,
            (one, other) => one.to_string() == other.to_string(),
        }
    }
}

/// True if both are whole numbers, which are compared exactly.
fn are_whole(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    let is_whole = |number: &serde_json::Number| number.is_i64() || number.is_u64();
    is_whole(one) && is_whole(other)
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests;
