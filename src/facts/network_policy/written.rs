//! Fields of objects of kinds that have no struct here: `null` means absent, and a value of another type is an error.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Selector;
use crate::object::resource::LabelSelector;

/// The field that has a value of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: must be {expected}")]
pub struct Misread {
    /// Name of the field.
    pub field: String,
    /// Type that it must have.
    pub expected: &'static str,
}

/// An object of JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'v>(Option<&'v Map<String, Value>>);

impl<'v> Object<'v> {
    /// The object that a value is; `null` is an empty one.
    pub(super) fn of(value: &'v Value, field: &str) -> Result<Self, Misread> {
        match value {
            Value::Object(map) => Ok(Self(Some(map))),
            Value::Null => Ok(Self(None)),
            _ => Err(misread(field, "an object")),
        }
    }

    fn get(self, field: &str) -> Option<&'v Value> {
        self.0?.get(field).filter(|value| !value.is_null())
    }

    /// True if the field has a value.
    pub(super) fn has(self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// True if a field other than these has a value.
    pub(super) fn has_others(self, fields: &[&str]) -> bool {
        let mut others = self.0.into_iter().flatten();
        others.any(|(field, value)| !fields.contains(&field.as_str()) && !value.is_null())
    }

    pub(super) fn object(self, field: &str) -> Result<Self, Misread> {
        self.get(field).map_or(Ok(Self(None)), |value| Self::of(value, field))
    }

    pub(super) fn list(self, field: &str) -> Result<&'v [Value], Misread> {
        match self.get(field) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(misread(field, "a list")),
        }
    }

    /// The objects of a list.
    pub(super) fn objects(self, field: &str) -> Result<Vec<Self>, Misread> {
        self.list(field)?.iter().map(|value| Self::of(value, field)).collect()
    }

    pub(super) fn text(self, field: &str) -> Result<Option<&'v str>, Misread> {
        self.get(field).map(|value| value.as_str().ok_or_else(|| misread(field, "a string"))).transpose()
    }

    /// The strings of a list.
    pub(super) fn texts(self, field: &str) -> Result<Vec<&'v str>, Misread> {
        let text = |value: &'v Value| value.as_str().ok_or_else(|| misread(field, "a list of strings"));
        self.list(field)?.iter().map(text).collect()
    }

    pub(super) fn flag(self, field: &str) -> Result<Option<bool>, Misread> {
        self.get(field).map(|value| value.as_bool().ok_or_else(|| misread(field, "true or false"))).transpose()
    }

    pub(super) fn number(self, field: &str) -> Result<Option<f64>, Misread> {
        self.get(field).map(|value| value.as_f64().ok_or_else(|| misread(field, "a number"))).transpose()
    }

    pub(super) fn whole(self, field: &str) -> Result<Option<i64>, Misread> {
        self.get(field).map(|value| value.as_i64().ok_or_else(|| misread(field, "a whole number"))).transpose()
    }

    /// A number or a string.
    pub(super) fn scalar(self, field: &str) -> Result<Option<String>, Misread> {
        self.get(field).map(|value| scalar(value).ok_or_else(|| misread(field, "a number or a string"))).transpose()
    }

    /// A label selector.
    pub(super) fn selector(self, field: &str) -> Result<Option<Selector>, Misread> {
        self.get(field).map(|value| selector(value, field)).transpose()
    }
}

/// A number or a string, as a string.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The label selector that a value is.
pub(super) fn selector(value: &Value, field: &str) -> Result<Selector, Misread> {
    if value.is_null() {
        return Ok(Selector::default());
    }
    let written = value.as_object().and_then(|_| LabelSelector::deserialize(value).ok());
    written.as_ref().map(Selector::from).ok_or_else(|| misread(field, "a label selector"))
}

pub(super) fn misread(field: &str, expected: &'static str) -> Misread {
    Misread { field: field.to_owned(), expected }
}
