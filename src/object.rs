//! The submitted object, read once: its metadata, and the pods or pod templates in it.

mod container;
mod controller;
mod environment;
mod ephemeral;
mod field_path;
mod image;
pub(crate) mod label_key;
mod list;
pub(crate) mod mapping;
pub(crate) mod memory;
mod metadata;
mod mount;
mod named;
mod path;
mod place;
pub mod plural;
mod pod;
mod quantity;
mod read;
pub mod resource;
mod scope;
mod security;
mod spec;
mod template;
mod text;
pub(crate) mod unchanged;
mod volume;
mod workload;

use serde_json::value::RawValue;

use mapping::Mapping;
use memory::Limit;
use read::{parse, top};
use resource::{Content, Source};
use template::Templates;

use crate::escape::escaped;
use crate::redaction::{redact, shortened};

pub use container::{Container, ContainerList};
pub use controller::{Controller, Controllers, Owned};
pub use environment::{Bundle, ValueSource};
pub use ephemeral::EphemeralContainer;
pub use field_path::{FieldPath, FieldPathError, Reached, Scalar, Spot};
pub use image::{BadPattern, Image, ImagePattern, Malformed};
pub use metadata::{Metadata, REASON};
pub use mount::BindOptions;
pub(crate) use named::is_label;
pub use named::{Known, NamedKind, NamedKindError, Scope};
pub use path::Path;
pub use place::{Place, PlaceRef, Within};
pub(crate) use plural::plural;
pub use pod::{ImageUse, Pod, VolumeUse};
pub use scope::{is_cluster_scoped, is_namespaced};
pub use security::{SeLinuxOptions, Security};
pub use text::{Text, TextMap};
pub use volume::{EmptyDir, ProjectedToken};
pub use workload::{Shape, TemplatePath, Workload, WorkloadError, Workloads};

/// A field of an object that has the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", printed(.path))]
pub struct Unreadable {
    /// Path of the field, from the object's root.
    pub path: Path,
    /// The value that was found and the type that was expected. No value is quoted.
    pub message: String,
}

/// Characters of a path in an error.
const PATH: usize = 128;

/// A path as errors print it: `.` for the object itself. Keys of a map are user input, so that secrets are redacted and
/// control characters escaped.
fn printed(path: &Path) -> String {
    let path = if path.is_root() { ".".to_owned() } else { path.to_string() };
    escaped(&redact(&shortened(&path, PATH))).into_owned()
}

/// A submitted object: its metadata, its pods or pod templates, and what policies read of other kinds.
#[derive(Default)]
pub struct Object<'a> {
    metadata: Metadata<'a>,
    pods: Vec<Pod<'a>>,
    is_workload: bool,
    templates: Vec<&'a str>,
    content: Content<'a>,
    unread: Vec<Unread>,
}

/// A field that could not be read, and that the update left unchanged.
pub struct Unread {
    /// Path of the field.
    pub place: Place,
    /// The error.
    pub why: Unreadable,
}

impl<'a> Object<'a> {
    /// Reads an object in the shape of its kind.
    ///
    /// # Errors
    /// [`Unreadable`] if a field that policies read has the wrong type.
    pub fn read(raw: &'a RawValue, shape: Shape<'_>) -> Result<Self, Unreadable> {
        let _limit = Limit::of(raw.get().len());
        let workload = match shape {
            Shape::Workload(workload) => workload,
            Shape::Resource(resource) => {
                let metadata = top(raw, None)?.metadata;
                let content = Content::read(resource, &mut Source { raw, other: None, unread: Vec::new() })?;
                return Ok(Self { metadata, content, ..Self::default() });
            }
            Shape::Metadata => return Ok(Self { metadata: top(raw, None)?.metadata, ..Self::default() }),
        };
        if workload.is_pod() {
            let body = parse::<Mapping<pod::Body<'a>>>(raw, &Path::root())?.0;
            return Ok(Self::pod(body));
        }
        let (mut metadata, mut templates) = (Metadata::default(), Templates::default());
        for (first, rest) in workload.templates.iter().filter_map(|path| path.split_first()) {
            let top = top(raw, Some(first))?;
            metadata = top.metadata;
            if let Some(value) = top.value {
                templates.find(value, None, rest, Path::root().fields(first))?;
            }
        }
        let Templates { pods, bytes, unread } = templates;
        Ok(Self { metadata, pods, is_workload: true, templates: bytes, unread, ..Self::default() })
    }

    /// Reads an object of an update, given the other one. A part that cannot be read and is equal in both, byte for byte,
    /// is left out: a field of the metadata, a Pod's whole spec, a whole template, a field at the top of another object.
    ///
    /// # Errors
    /// [`Unreadable`] if a part cannot be read and differs.
    pub fn read_beside(raw: &'a RawValue, other: Option<&RawValue>, shape: Shape<'_>) -> Result<Self, Unreadable> {
        match (Self::read(raw, shape), other) {
            (Err(_), Some(other)) => {
                let _limit = Limit::of(raw.get().len());
                unchanged::read(raw, other, shape)
            }
            (read, _) => read,
        }
    }

    fn pod(body: pod::Body<'a>) -> Self {
        Self { pods: vec![Pod::bare(body)], is_workload: true, ..Self::default() }
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &Metadata<'a> {
        // A Pod's metadata is the object's.
        self.pods.first().filter(|pod| !pod.is_template()).and_then(Pod::metadata).unwrap_or(&self.metadata)
    }

    /// True for an object of a kind that holds pods, with or without a template.
    pub fn is_workload(&self) -> bool {
        self.is_workload
    }

    /// The Pod, or each pod template; empty for other kinds.
    pub fn pods(&self) -> &[Pod<'a>] {
        &self.pods
    }

    /// JSON of each pod template; empty for a Pod.
    pub fn templates(&self) -> &[&'a str] {
        &self.templates
    }

    /// Fields that policies read besides metadata and pods.
    pub(crate) fn content(&self) -> &Content<'a> {
        &self.content
    }

    /// The options of a CONNECT, if the object is that.
    pub fn connect_options(&self) -> Option<&resource::ConnectOptions<'a>> {
        resource::ConnectOptions::of(&self.content)
    }

    /// Fields that could not be read, and that the update left unchanged.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }
}
