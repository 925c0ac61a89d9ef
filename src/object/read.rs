//! Reads JSON into the structs that policies see, with the path of a field of the wrong type.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::Unreadable;
use super::list::List;
use super::mapping::{self, Mapping};
use super::memory;
use super::metadata::Metadata;
use super::path::Path;
use super::text::Text;

/// The fields of an object that lead to its pods.
pub(super) struct Top<'a> {
    pub(super) metadata: Metadata<'a>,
    pub(super) value: Option<&'a RawValue>,
}

/// Reads `metadata` and the field named `wanted`, and skips the rest.
pub(super) fn top<'a>(raw: &'a RawValue, wanted: Option<&str>) -> Result<Top<'a>, Unreadable> {
    let mut metadata = None;
    let mut value = None;
    fields(raw, &Path::root(), &mut |name, field| {
        if name == "metadata" {
            once(&mut metadata, name, field)?;
        } else if Some(name) == wanted {
            once(&mut value, name, field)?;
        }
        Ok(())
    })?;
    let metadata = match metadata {
        Some(metadata) => parse::<Option<Mapping<Metadata<'a>>>>(metadata, &Path::root().fields("metadata"))?,
        None => None,
    };
    Ok(Top { metadata: metadata.map(|Mapping(metadata)| metadata).unwrap_or_default(), value })
}

/// The field of a JSON object.
pub(super) fn child<'a>(raw: &'a RawValue, name: &str, path: &Path) -> Result<Option<&'a RawValue>, Unreadable> {
    let mut found = None;
    fields(raw, path, &mut |field, value| if field == name { once(&mut found, field, value) } else { Ok(()) })?;
    Ok(found)
}

/// The items of a JSON list.
pub(super) fn items<'a>(raw: &'a RawValue, path: &Path) -> Result<List<&'a RawValue>, Unreadable> {
    parse::<RawItems<'a>>(raw, path).map(|RawItems(items)| items)
}

struct RawItems<'a>(List<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for RawItems<'a> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut list = List::default();
        mapping::each(deserializer, |_, item| list.push(item))?;
        Ok(Self(list))
    }
}

/// A field of an object is repeated; in the words of serde's own error.
#[derive(Debug, thiserror::Error)]
#[error("duplicate field `{0}`")]
pub(super) struct DuplicateField(String);

/// Fills `slot`. A repeated field is an error: parsers differ in which one they use, and the API server never sends one.
pub(super) fn once<'a>(slot: &mut Option<&'a RawValue>, name: &str, value: &'a RawValue) -> Result<(), DuplicateField> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DuplicateField(name.to_owned())),
    }
}

/// Calls `each` with every field of a JSON object.
pub(super) fn fields<'a>(
    raw: &'a RawValue,
    path: &Path,
    each: &mut dyn FnMut(&str, &'a RawValue) -> Result<(), DuplicateField>,
) -> Result<(), Unreadable> {
    struct Fields<'f, 'a>(&'f mut dyn FnMut(&str, &'a RawValue) -> Result<(), DuplicateField>);
    impl<'a> Visitor<'a> for Fields<'_, 'a> {
        type Value = ();

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }
        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<Text<'a>>()? {
                let value = map.next_value::<&'a RawValue>()?;
                (self.0)(&name, value).map_err(de::Error::custom)?;
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    reader.deserialize_map(Fields(each)).map_err(|error| unreadable(path, Path::root(), &error))
}

/// Deserialises one part of the object; on failure once more, to find the path of the error.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue, base: &Path) -> Result<T, Unreadable> {
    memory::attempt(|| serde_json::from_str(raw.get())).map_err(|first| {
        let reader = &mut serde_json::Deserializer::from_str(raw.get());
        match memory::attempt(|| serde_path_to_error::deserialize::<_, IgnoredOr<T>>(reader)) {
            Err(error) => unreadable(base, below(error.path()), error.inner()),
            Ok(_) => unreadable(base, Path::root(), &first),
        }
    })
}

/// The error of reading a part, and the name of the part's field that it is in.
pub(super) struct Fault {
    pub(super) field: Option<String>,
    pub(super) why: Unreadable,
}

/// Deserialises an object, ignoring the fields named in `without`.
pub(super) fn parse_without<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    base: &Path,
    without: &[String],
) -> Result<T, Fault> {
    let reader = &mut serde_json::Deserializer::from_str(raw.get());
    let mut track = serde_path_to_error::Track::new();
    let read = memory::attempt(|| {
        let reader = serde_path_to_error::Deserializer::new(reader, &mut track);
        Without(without, PhantomData).deserialize(reader)
    });
    read.map_err(|error| {
        let path = track.path();
        let field = match path.iter().next() {
            Some(Segment::Map { key }) => Some(key.clone()),
            _ => None,
        };
        Fault { field, why: unreadable(base, below(&path), &error) }
    })
}

struct Without<'w, T>(&'w [String], PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Without<'_, T> {
    type Value = T;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Without<'_, T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(Others { map, without: self.0 }))
    }
}

/// The fields of an object except the ignored ones.
struct Others<'w, A> {
    map: A,
    without: &'w [String],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if !self.without.contains(&key) {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.map.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Deserialises a `T` and drops it.
struct IgnoredOr<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for IgnoredOr<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|_| Self(PhantomData))
    }
}

/// Converts the path of an error. A key with dots is one step.
fn below(steps: &serde_path_to_error::Path) -> Path {
    steps.iter().fold(Path::root(), |path, step| match step {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } if key.is_empty() || key.contains(['.', '/']) => path.key(key),
        Segment::Map { key } => path.fields(key),
        Segment::Enum { .. } | Segment::Unknown => path,
    })
}

pub(super) fn unreadable(base: &Path, below: Path, error: &serde_json::Error) -> Unreadable {
    let message = error.to_string();
    // serde_json's messages end with a position in the raw bytes, which does not help the user, and quote the value, which
    // may be a secret.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let message = match message.split_once("invalid type: string \"").and_then(|(_, rest)| rest.rsplit_once("\", ")) {
        Some((_, expected)) => format!("invalid type: a string, {expected}"),
        None => message.to_owned(),
    };
    Unreadable { path: base.clone().join(below), message }
}
