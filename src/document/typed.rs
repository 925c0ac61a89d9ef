//! Reads a value of a document into a type, with an error that says where and what is wrong as data.
//!
//! Settings of policies and of sinks are types of their own. serde's errors are sentences; [`TypedError`] holds the unknown
//! key and those that are known, so that its place in the file can be found and a suggestion made.

mod error;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use error::one_of;

pub use error::{Fault, Step, TypedError};

/// Reads a value.
///
/// # Errors
/// [`TypedError`] for the first key or value that does not fit.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, TypedError> {
    T::deserialize(Reader(value))
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
            Value::Array(items) => {
                let mut items = Items { items: items.iter().enumerate() };
                let value = visitor.visit_seq(&mut items)?;
                match items.items.next() {
                    // It took all before this one.
                    Some((most, _)) => Err(TypedError::of(Fault::Surplus { most }).below(Step::Item(most))),
                    None => Ok(value),
                }
            }
            Value::Object(map) => visitor.visit_map(Entries { entries: map.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TypedError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        // serde would take a list for the values of the fields in their order.
        if !self.0.is_object() {
            return Err(TypedError::of(Fault::Mismatch("a mapping".to_owned())));
        }
        self.deserialize_any(visitor)
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
                Fault::Mismatch(_) => TypedError::of(Fault::Mismatch(one_of(variants))),
                _ => error,
            }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'v> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TypedError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypedError> {
        let next = self.items.next();
        next.map(|(position, item)| seed.deserialize(Reader(item)).map_err(|error| error.below(Step::Item(position))))
            .transpose()
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
        seed.deserialize(Reader(value)).map_err(|error| error.below_key(key))
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
        serde::Deserialize::deserialize(Reader(self.value)).map_err(|error: TypedError| error.below_key(self.key))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypedError> {
        seed.deserialize(Reader(self.value)).map_err(|error| error.below_key(self.key))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TypedError> {
        Reader(self.value).deserialize_any(visitor).map_err(|error| error.below_key(self.key))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        Reader(self.value).deserialize_struct("", fields, visitor).map_err(|error| error.below_key(self.key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::num::{NonZeroI8, NonZeroU8, NonZeroU64};

    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::{Fault, read};
    use crate::document;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        list: Vec<Inner>,
        #[serde(default)]
        level: Option<Level>,
        #[serde(default)]
        pair: Option<(u8, u8)>,
        #[serde(default)]
        named: BTreeMap<String, Inner>,
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

    #[derive(Debug, Deserialize, PartialEq)]
    struct Two(u8, u8);

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Shape {
        Point(u8, u8),
        Round { radius: u8 },
        Nothing,
    }

    #[test]
    fn what_fits_is_read() {
        let read = |value| read::<Settings>(&value);
        let settings =
            Settings { list: vec![Inner { count: 7 }], level: Some(Level::High), pair: None, named: BTreeMap::new() };
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
                ".more",
                Fault::UnknownKey { name: "more".to_owned(), known: &["list", "level", "pair", "named"] },
            ),
            (
                "list:\n- count: 1\n- amount: 2\n",
                3,
                ".list[1].amount",
                Fault::UnknownKey { name: "amount".to_owned(), known: &["count"] },
            ),
            ("level: high\n", 1, "", Fault::Missing("list")),
            ("list:\n- count: x\n", 2, ".list[0].count", Fault::Mismatch("a whole number from 0 to 255".to_owned())),
            ("list: []\nlevel: low\n", 2, ".level", Fault::Mismatch("`high` or `of`".to_owned())),
            ("list: []\nlevel: 7\n", 2, ".level", Fault::Mismatch("`high` or `of`".to_owned())),
            (
                "list: []\nlevel: {of: 300}\n",
                2,
                ".level.of",
                Fault::Mismatch("a whole number from 0 to 255".to_owned()),
            ),
            ("list:\n- [7]\n", 2, ".list[0]", Fault::Mismatch("a mapping".to_owned())),
            ("list: []\npair: [1]\n", 2, ".pair", Fault::Mismatch("a list of 2 items".to_owned())),
            ("list: []\npair: [1, 2,\n 3]\n", 3, ".pair[2]", Fault::Surplus { most: 2 }),
            // A key of digits is a key.
            (
                "list: []\nnamed:\n  7: {count: x}\n",
                3,
                ".named.7.count",
                Fault::Mismatch("a whole number from 0 to 255".to_owned()),
            ),
        ] {
            let node = &document::read(text).expect("YAML")[0];
            let error = read::<Settings>(&serde_json::to_value(node).expect("JSON")).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert_eq!(error.steps().map(ToString::to_string).collect::<String>(), path, "{text}");
            assert_eq!(error.position_in(node).line, line, "{text}");
        }
    }

    /// The message for a value that cannot be read into a type.
    fn message<T: DeserializeOwned + Debug>(value: Value) -> String {
        read::<T>(&value).expect_err("it does not fit").to_string()
    }

    #[test]
    fn a_number_out_of_range_names_the_range() {
        assert_eq!(message::<u64>(json!(-1)), "must be a whole number of 0 or more");
        assert_eq!(message::<u64>(json!(1.5)), "must be a whole number of 0 or more");
        assert_eq!(message::<u16>(json!(70_000)), "must be a whole number from 0 to 65535");
        assert_eq!(message::<i8>(json!(200)), "must be a whole number from -128 to 127");
        assert_eq!(
            message::<i64>(json!(u64::MAX)),
            "must be a whole number from -9223372036854775808 to 9223372036854775807"
        );
        assert_eq!(message::<NonZeroU64>(json!(0)), "must be a whole number of 1 or more");
        assert_eq!(message::<NonZeroU8>(json!(0)), "must be a whole number from 1 to 255");
        assert_eq!(message::<NonZeroI8>(json!(0)), "must be a whole number from -128 to 127, but not 0");
        assert_eq!(message::<f64>(json!("x")), "must be a number");
    }

    #[test]
    fn a_message_names_no_type_of_rust() {
        assert_eq!(message::<[u8; 1]>(json!([])), "must be a list of 1 item");
        assert_eq!(message::<(u8, u8)>(json!([1, 2, 3])), "must not be there: the list has at most 2 items");
        assert_eq!(message::<Two>(json!([1])), "must be a list of 2 items");
        assert_eq!(message::<Two>(json!({})), "must be a list");
        assert_eq!(message::<Inner>(json!([1])), "must be a mapping");
        assert_eq!(message::<Shape>(json!("point")), "must be a mapping with one key");
        assert_eq!(message::<Shape>(json!({"point": [1]})), "must be a list of 2 items");
        assert_eq!(message::<Shape>(json!({"point": {}})), "must be a list");
        // Not a list with the values of its fields in their order.
        assert_eq!(message::<Shape>(json!({"round": [1]})), "must be a mapping");
        assert_eq!(message::<Shape>(json!({"nothing": 1})), "must be null");
    }
}
