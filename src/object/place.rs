//! The place of a finding, and a cheap form of it for findings that may not be kept.

use super::container::{Container, ContainerList};
use super::path::Path;
use super::pod::{Pod, VolumeUse};
use crate::digest::sha256;

/// The place of a finding in an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Path from the root of the submitted object.
    pub path: Path,
    /// The place without list positions, for comparison with the old object.
    pub within: Within,
}

impl Place {
    /// The object as a whole.
    pub fn object() -> Self {
        Self { path: Path::root(), within: Within::Object { field: String::new() } }
    }

    /// A field outside any pod.
    pub fn field(path: Path) -> Self {
        let within = Within::Object { field: path.without_positions() };
        Self { path, within }
    }

    /// The same place, told apart by the values there: an update inherits a finding only while they stay the same. For a place
    /// outside any pod.
    #[must_use]
    pub fn holding<'v>(mut self, values: impl IntoIterator<Item = &'v str>) -> Self {
        if let Within::Object { field } = &mut self.within {
            for value in values {
                field.push('\n');
                field.push_str(&sha256(value.as_bytes()));
            }
        }
        self
    }

    /// The path as messages print it; `.` for the object as a whole.
    pub fn shown(&self) -> String {
        if self.path.is_root() { ".".to_owned() } else { self.path.to_string() }
    }
}

/// The part of the object that a place belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Within {
    /// A container, by list and name, and the field below it.
    Container {
        /// The list that holds it.
        list: ContainerList,
        /// Its name.
        name: String,
        /// Its image, as written; a digest of name and image if these are long.
        image: String,
        /// The field below it, without list positions.
        field: String,
    },
    /// The pod, outside its containers.
    Pod {
        /// The field.
        field: String,
    },
    /// The object, outside any pod.
    Object {
        /// The field below it, without list positions, and the digests of values that tell it apart, a line each.
        field: String,
    },
    /// No single place, of a finding that stands for many.
    Many,
}

/// A place that allocates nothing until it becomes a [`Place`]: of a million findings, few are kept.
#[derive(Clone, Copy)]
pub struct PlaceRef<'s> {
    pub(super) of: Of<'s>,
    pub(super) below: Below<'s>,
}

/// The start of a relative path.
#[derive(Clone, Copy)]
pub(super) enum Of<'s> {
    Pod(&'s Pod<'s>),
    Container(Container<'s, 's>),
    Volume(VolumeUse<'s, 's>),
}

/// A relative path.
#[derive(Clone, Copy)]
pub(super) enum Below<'s> {
    /// Fields, separated by dots.
    Field(&'s str),
    /// Fields of the security context.
    Context(&'s str),
    /// A list's item, or a field in it.
    Item(&'s str, usize, &'s str),
    /// A map's entry.
    Key(&'s str, &'s str),
}

impl Below<'_> {
    fn path(self) -> Path {
        match self {
            Self::Field(field) => Path::root().fields(field),
            Self::Context(field) => Path::root().fields("securityContext").fields(field),
            Self::Item(list, position, field) => Path::root().fields(list).index(position).fields(field),
            Self::Key(map, key) => Path::root().fields(map).key(key),
        }
    }
}

impl From<PlaceRef<'_>> for Place {
    fn from(PlaceRef { of, below }: PlaceRef<'_>) -> Self {
        let path = below.path();
        match of {
            Of::Container(container) => {
                let (list, field) = (container.list(), path.without_positions());
                let (name, image) = container.identity();
                let at = container.pod.path().fields("spec").fields(list.field()).index(container.position);
                Self { path: at.join(path), within: Within::Container { list, name, image, field } }
            }
            Of::Volume(volume) => {
                let at = volume.pod.path().fields("spec.volumes").index(volume.position);
                Self { path: at.join(path), within: Within::Pod { field: format!("volumes/{}", volume.name()) } }
            }
            Of::Pod(pod) => {
                let (path, field) = match below {
                    Below::Context(field) => {
                        (Path::root().fields("spec").join(path), format!("spec.securityContext.{field}"))
                    }
                    Below::Field(field) => (path, field.to_owned()),
                    Below::Key(map, key) => (path, format!("{map}/{key}")),
                    Below::Item(..) => {
                        let field = path.without_positions();
                        (path, field)
                    }
                };
                Self { path: pod.path().join(path), within: Within::Pod { field } }
            }
        }
    }
}
