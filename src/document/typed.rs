//! Reads a value of a document into a type, with an error that says where and what is wrong as data.
//!
//! Settings of policies and of sinks are types of their own. serde's errors are sentences; [`TypedError`] holds the unknown
//! key and those that are known, so that its place in the file can be found and a suggestion made.

use std::fmt;

use jsonptr::{PointerBuf, Token};
use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::{Node, Position};

/// Error of reading a value into a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedError {
    /// Keys and list positions from the value to the fault, innermost first.
    steps: Vec<String>,
    /// The fault at that place.
    pub fault: Fault,
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
    /// A value is of another kind than its type.
    Mismatch {
        /// What is there, in serde's words. It repeats the value.
        found: String,
        /// What its type takes, in serde's words.
        expected: String,
    },
    /// A value does not fit for another reason, as `must …` or in serde's words.
    Invalid(String),
}

/// Names in backticks, any one of which is expected.
pub fn one_of(names: &[&str]) -> String {
    match names {
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        all => format!("one of {}", all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// Reads a value.
///
/// # Errors
/// [`TypedError`] for the first key or value that does not fit.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, TypedError> {
    T::deserialize(Reader(value))
}

impl TypedError {
    /// Keys and list positions from the value to the fault, an unknown key included.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        let key = match &self.fault {
            Fault::UnknownKey { name, .. } => Some(name.as_str()),
            Fault::Missing(_) | Fault::Mismatch { .. } | Fault::Invalid(_) => None,
        };
        self.steps.iter().rev().map(String::as_str).chain(key)
    }

    /// The position of the fault in the node that the value was made of.
    pub fn position_in(&self, node: &Node) -> Position {
        node.follow(&PointerBuf::from_tokens(self.steps().map(Token::new))).1
    }

    fn below(mut self, step: impl fmt::Display) -> Self {
        self.steps.push(step.to_string());
        self
    }

    fn of(fault: Fault) -> Self {
        Self { steps: Vec::new(), fault }
    }

    fn mismatch(found: String, expected: String) -> Self {
        Self::of(Fault::Mismatch { found, expected })
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::UnknownKey { name, .. } => write!(out, "unknown key {name}"),
            Fault::Missing(name) => write!(out, "{name} is missing"),
            Fault::Mismatch { found, expected } => write!(out, "{found}, expected {expected}"),
            Fault::Invalid(message) => out.write_str(message),
        }
    }
}

impl std::error::Error for TypedError {}

impl serde::de::Error for TypedError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(Fault::Invalid(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(format!("invalid type: {found}"), expected.to_string())
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(format!("invalid value: {found}"), expected.to_string())
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::mismatch(format!("unknown variant `{name}`"), one_of(known))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::of(Fault::UnknownKey { name: name.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::of(Fault::Missing(name))
    }
}

struct Reader<'v>(&'v Value);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = TypedError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Object(map) => visitor.visit_map(Entries { entries: map.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TypedError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Object(map) if map.len() == 1 => visitor.visit_enum(Variant(map)),
            _ => self.deserialize_any(visitor).map_err(|error| match error.fault {
                Fault::Mismatch { found, .. } => TypedError::mismatch(found, one_of(variants)),
                _ => error,
            }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'v> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TypedError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypedError> {
        let next = self.items.next();
        next.map(|(place, item)| seed.deserialize(Reader(item)).map_err(|error| error.below(place))).transpose()
    }
}

struct Entries<'v> {
    entries: serde_json::map::Iter<'v>,
    value: Option<(&'v String, &'v Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = TypedError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TypedError> {
        self.value = self.entries.next();
        self.value.map(|(key, _)| seed.deserialize(StringDeserializer::new(key.clone()))).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, TypedError> {
        let (key, value) = self.value.take().ok_or_else(|| serde::de::Error::custom("a value was read twice"))?;
        seed.deserialize(Reader(value)).map_err(|error| error.below(key))
    }
}

/// A variant with content: a mapping with one key.
struct Variant<'v>(&'v Map<String, Value>);

impl<'de, 'v> EnumAccess<'de> for Variant<'v> {
    type Error = TypedError;
    type Variant = Content<'v>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content<'v>), TypedError> {
        let Some((key, value)) = self.0.iter().next() else {
            return Err(serde::de::Error::custom("must be a mapping with one key"));
        };
        Ok((seed.deserialize(StringDeserializer::new(key.clone()))?, Content { key, value }))
    }
}

struct Content<'v> {
    key: &'v str,
    value: &'v Value,
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = TypedError;

    fn unit_variant(self) -> Result<(), TypedError> {
        serde::Deserialize::deserialize(Reader(self.value)).map_err(|error: TypedError| error.below(self.key))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypedError> {
        seed.deserialize(Reader(self.value)).map_err(|error| error.below(self.key))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TypedError> {
        Reader(self.value).deserialize_any(visitor).map_err(|error| error.below(self.key))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, TypedError> {
        Reader(self.value).deserialize_any(visitor).map_err(|error| error.below(self.key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::{Fault, read};
    use crate::document;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        list: Vec<Inner>,
        #[serde(default)]
        level: Option<Level>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        count: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        High,
        Of(u8),
    }

    #[test]
    fn what_fits_is_read() {
        let read = |value| read::<Settings>(&value);
        let settings = Settings { list: vec![Inner { count: 7 }], level: Some(Level::High) };
        assert_eq!(read(json!({"list": [{"count": 7}], "level": "high"})), Ok(settings));
        assert_eq!(read(json!({"list": [], "level": {"of": 3}})).map(|one| one.level), Ok(Some(Level::Of(3))));
        assert_eq!(read(json!({"list": [], "level": null})).map(|one| one.level), Ok(None));
    }

    #[test]
    fn an_error_knows_its_place_and_what_is_wrong() {
        for (text, line, path, fault) in [
            (
                "list: []\nmore: 1\n",
                2,
                "more",
                Fault::UnknownKey { name: "more".to_owned(), known: &["list", "level"] },
            ),
            (
                "list:\n- count: 1\n- amount: 2\n",
                3,
                "list.1.amount",
                Fault::UnknownKey { name: "amount".to_owned(), known: &["count"] },
            ),
            ("level: high\n", 1, "", Fault::Missing("list")),
            (
                "list:\n- count: x\n",
                2,
                "list.0.count",
                Fault::Mismatch { found: "invalid type: string \"x\"".to_owned(), expected: "u8".to_owned() },
            ),
            (
                "list: []\nlevel: low\n",
                2,
                "level",
                Fault::Mismatch { found: "unknown variant `low`".to_owned(), expected: "`high` or `of`".to_owned() },
            ),
            (
                "list: []\nlevel: 7\n",
                2,
                "level",
                Fault::Mismatch {
                    found: "invalid type: integer `7`".to_owned(),
                    expected: "`high` or `of`".to_owned(),
                },
            ),
        ] {
            let node = &document::read(text).expect("YAML")[0];
            let error = read::<Settings>(&serde_json::to_value(node).expect("JSON")).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert_eq!(error.steps().collect::<Vec<_>>().join("."), path, "{text}");
            assert_eq!(error.position_in(node).line, line, "{text}");
        }
    }
}
