//! Structs out of JSON objects alone, and lists of bounded length.
//!
//! serde would also fill a struct from an array, by position, and so read `securityContext: [true]` as something that no
//! API server takes it for.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::text::Text;

/// A `T` that was written as an object.
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

/// An object, or nothing.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Mapping(value)| value))
}

/// A list of objects, or nothing.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Items<Mapping<T>>>::deserialize(deserializer)?;
    Ok(list.map(|items| items.0.into_iter().map(|Mapping(value)| value).collect()))
}

/// A list of texts as long as a user's groups may be, or nothing.
pub(crate) fn groups<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Text<'a>>>, D::Error> {
    Ok(Option::<Items<Text<'a>, GROUPS>>::deserialize(deserializer)?.map(|list| list.0))
}

/// A list of texts, or nothing.
pub(crate) fn texts<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Text<'a>>>, D::Error> {
    Ok(Option::<Items<Text<'a>>>::deserialize(deserializer)?.map(|list| list.0))
}

/// The most that a list may hold. An item takes three bytes to send, and a hundred times that once it is read and
/// judged.
const ITEMS: usize = 1_024;
/// The most groups that a user may have.
const GROUPS: usize = 4_096;

/// A list of bounded length.
pub(crate) struct Items<T, const MOST: usize = ITEMS>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Items<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
            type Value = Vec<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MOST {
                        return Err(A::Error::custom(format_args!("more than {MOST} items")));
                    }
                    list.push(item);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Bounded::<T, MOST>(PhantomData)).map(Self)
    }
}
