//! What a request is about, seen once: the submitted object's metadata and the pods in it.

mod container;
mod image;
pub(crate) mod mapping;
mod metadata;
mod path;
mod place;
mod plural;
mod pod;
mod quantity;
mod security;
mod spec;
mod text;
mod volume;
mod workload;

use std::fmt;

use serde::de::{self, Deserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use mapping::{Items, Mapping};

pub use container::{Container, ContainerList};
pub use image::{Image, Malformed};
pub use metadata::Metadata;
pub use path::Path;
pub use place::{Place, PlaceRef, Within};
pub(crate) use plural::plural;
pub use pod::{ImageUse, Pod, VolumeUse};
pub use security::{SeLinuxOptions, Security};
pub use text::{Text, TextMap};
pub use workload::{TemplatePath, Workload, Workloads};

/// Characters of a path that are shown.
const PATH: usize = 128;

/// Why an object could not be read as its kind says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Unreadable {
    /// The field, from the object's root; `.` for the object itself.
    pub path: String,
    /// The same, however the keys on the way are written.
    #[serde(skip)]
    pub place: Path,
    /// What was found and what belongs there. No value is quoted.
    pub message: String,
}

/// A submitted object: its metadata, and its pods.
pub struct Object<'a> {
    metadata: Metadata<'a>,
    pods: Vec<Pod<'a>>,
    templates: Vec<&'a str>,
}

impl<'a> Object<'a> {
    /// Reads an object. `workload` is the row of its kind, `None` for a kind without pods.
    ///
    /// # Errors
    /// [`Unreadable`] when a field that policies read holds something else than its type.
    pub fn read(raw: &'a RawValue, workload: Option<&Workload>) -> Result<Self, Unreadable> {
        let Some(workload) = workload else {
            let top = top(raw, None)?;
            return Ok(Self { metadata: top.metadata, pods: Vec::new(), templates: Vec::new() });
        };
        if workload.is_pod() {
            let body = parse::<Mapping<pod::Body<'a>>>(raw, &Path::root())?.0;
            let metadata = body.metadata.clone().unwrap_or_default();
            return Ok(Self { metadata, pods: vec![Pod::bare(body)], templates: Vec::new() });
        }
        let (mut metadata, mut found) = (Metadata::default(), Vec::new());
        for (first, rest) in workload.templates.iter().filter_map(|path| path.split_first()) {
            let top = top(raw, Some(first))?;
            metadata = top.metadata;
            if let Some(value) = top.value {
                descend(value, rest, Path::root().fields(first), &mut found)?;
            }
        }
        let mut pods = Vec::with_capacity(found.len());
        let mut templates = Vec::with_capacity(found.len());
        for (path, template) in found {
            let Mapping(body) = parse(template, &path)?;
            pods.push(Pod::template(path, body));
            templates.push(template.get());
        }
        Ok(Self { metadata, pods, templates })
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The Pod, or each pod template; none for other kinds.
    pub fn pods(&self) -> &[Pod<'a>] {
        &self.pods
    }

    /// The bytes of each pod template; none for a Pod.
    pub fn templates(&self) -> &[&'a str] {
        &self.templates
    }
}

struct Top<'a> {
    metadata: Metadata<'a>,
    value: Option<&'a RawValue>,
}

/// Reads `metadata` and the field named `wanted`, and skips the rest.
fn top<'a>(raw: &'a RawValue, wanted: Option<&str>) -> Result<Top<'a>, Unreadable> {
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

/// Follows the rest of a template's path, through every item where it says `*`.
fn descend<'a>(
    value: &'a RawValue,
    rest: &[std::borrow::Cow<'static, str>],
    path: Path,
    found: &mut Vec<(Path, &'a RawValue)>,
) -> Result<(), Unreadable> {
    if value.get() == "null" {
        return Ok(());
    }
    let Some((first, rest)) = rest.split_first() else {
        found.push((path, value));
        return Ok(());
    };
    if first == "*" {
        for (position, item) in parse::<Items<&'a RawValue>>(value, &path)?.0.into_iter().enumerate() {
            descend(item, rest, path.clone().index(position), found)?;
        }
        return Ok(());
    }
    let mut child = None;
    fields(value, &path, &mut |name, field| if name == first { once(&mut child, name, field) } else { Ok(()) })?;
    child.map_or(Ok(()), |child| descend(child, rest, path.fields(first), found))
}

/// A repeated field is refused: readers differ in which one counts, and the API server never sends one.
fn once<'a>(slot: &mut Option<&'a RawValue>, name: &str, value: &'a RawValue) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("duplicate field `{name}`")),
    }
}

/// Calls `each` with every field of a JSON object.
fn fields<'a>(
    raw: &'a RawValue,
    path: &Path,
    each: &mut dyn FnMut(&str, &'a RawValue) -> Result<(), String>,
) -> Result<(), Unreadable> {
    struct Fields<'f, 'a>(&'f mut dyn FnMut(&str, &'a RawValue) -> Result<(), String>);
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

/// Deserialises one part of the object; on failure once more, to say where.
fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue, base: &Path) -> Result<T, Unreadable> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Ok(value),
        Err(first) => {
            let reader = &mut serde_json::Deserializer::from_str(raw.get());
            match serde_path_to_error::deserialize::<_, IgnoredOr<T>>(reader) {
                Err(error) => Err(unreadable(base, below(error.path()), error.inner())),
                Ok(_) => Err(unreadable(base, Path::root(), &first)),
            }
        }
    }
}

/// Runs `T`'s reader and throws the value away.
struct IgnoredOr<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for IgnoredOr<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|_| Self(std::marker::PhantomData))
    }
}

/// The steps that were taken until something was not what it should be. A key with dots is one step.
fn below(steps: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    steps.iter().fold(Path::root(), |path, step| match step {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } if key.is_empty() || key.contains(['.', '/']) => path.key(key),
        Segment::Map { key } => path.fields(key),
        Segment::Enum { .. } | Segment::Unknown => path,
    })
}

fn unreadable(base: &Path, below: Path, error: &serde_json::Error) -> Unreadable {
    let message = error.to_string();
    // serde_json ends its messages with a position in the raw bytes, and quotes the value that it found; the position
    // helps nobody and the value may be a secret.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let message = match message.split_once("invalid type: string \"").and_then(|(_, rest)| rest.rsplit_once("\", ")) {
        Some((_, expected)) => format!("invalid type: a string, {expected}"),
        None => message.to_owned(),
    };
    let place = base.clone().join(below);
    let path = if place.is_root() { ".".to_owned() } else { place.to_string() };
    // A path may hold keys of a map, which are whatever somebody wrote.
    let path = path.chars().take(PATH).flat_map(|character| {
        let escape = character.is_control().then(|| character.escape_default());
        escape.into_iter().flatten().chain((!character.is_control()).then_some(character))
    });
    Unreadable { path: path.collect(), place, message }
}
