//! Reads structs from JSON objects only, and lists item by item.
//!
//! serde would also fill a struct from an array, by position: it would accept `securityContext: [true]`, which no API server
//! does.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::list::List;
use super::memory::{self, Full};
use super::text::Text;

/// A `T` that is read from an object only.
pub(crate) struct Mapping<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mapping<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Mapping<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mapping<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Mapping)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// An object.
pub(crate) fn one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Mapping::deserialize(deserializer).map(|Mapping(value)| value)
}

/// An object or `null`.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Mapping(value)| value))
}

/// An object or `null`, boxed.
pub(crate) fn boxed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Box<T>>, D::Error> {
    optional(deserializer)?.map(memory::boxed).transpose().map_err(D::Error::custom)
}

/// A value, or its default for `null`.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of objects; empty for `null`.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
    let mut list = List::default();
    each(deserializer, |_, Mapping(item)| list.push(item))?;
    Ok(list)
}

/// A list of strings; empty for `null`.
pub(crate) fn texts<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<List<Text<'a>>, D::Error> {
    let mut list = List::default();
    each(deserializer, |_, item| list.push(item))?;
    Ok(list)
}

/// A shared list of strings, or `null`.
pub(crate) fn groups<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<[Text<'a>]>>, D::Error> {
    let list: List<Text<'a>> = texts(deserializer)?;
    // The list is copied twice before it is shared.
    memory::take(2 * list.len() * size_of::<Text<'_>>()).map_err(D::Error::custom)?;
    Ok((!list.is_empty()).then(|| list.into_iter().collect()))
}

/// Calls `keep` with the position and value of each item of a list, or not at all for `null`.
pub(crate) fn each<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    keep: impl FnMut(usize, T) -> Result<(), Full>,
) -> Result<(), D::Error> {
    struct Each<T, K>(K, PhantomData<T>);
    impl<'de, T: Deserialize<'de>, K: FnMut(usize, T) -> Result<(), Full>> Visitor<'de> for Each<T, K> {
        type Value = ();

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a list")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_none<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_seq(self)
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            let mut position = 0;
            while let Some(item) = items.next_element()? {
                (self.0)(position, item).map_err(A::Error::custom)?;
                position += 1;
            }
            Ok(())
        }
    }
    deserializer.deserialize_option(Each(keep, PhantomData))
}
