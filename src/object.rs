//! What a request is about, seen once: the submitted object's metadata and the pods in it.

mod container;
mod image;
mod list;
pub(crate) mod mapping;
pub(crate) mod memory;
mod metadata;
mod path;
mod place;
mod plural;
mod pod;
mod quantity;
mod read;
mod security;
mod spec;
mod template;
mod text;
pub(crate) mod unchanged;
mod volume;
mod workload;

use serde::Serialize;
use serde_json::value::RawValue;

use mapping::Mapping;
use memory::Limit;
use read::{parse, top};
use template::Templates;

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
    unread: Vec<Unread>,
}

/// A field that could not be read, and that an update left as it was.
pub struct Unread {
    /// Where.
    pub place: Place,
    /// Why it could not be read.
    pub why: Unreadable,
}

impl<'a> Object<'a> {
    /// Reads an object. `workload` is the row of its kind, `None` for a kind without pods.
    ///
    /// # Errors
    /// [`Unreadable`] when a field that policies read holds something else than its type.
    pub fn read(raw: &'a RawValue, workload: Option<&Workload>) -> Result<Self, Unreadable> {
        let _limit = Limit::of(raw.get().len());
        let Some(workload) = workload else {
            let top = top(raw, None)?;
            return Ok(Self { metadata: top.metadata, pods: Vec::new(), templates: Vec::new(), unread: Vec::new() });
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
        Ok(Self { metadata, pods, templates: bytes, unread })
    }

    /// Reads an object beside the one of the other side of an update. A part that cannot be read and is the same on both
    /// sides, byte for byte, is left out: a field of the metadata, a Pod's whole spec, a whole template.
    ///
    /// # Errors
    /// [`Unreadable`] when a part cannot be read and is not the same.
    pub fn read_beside(
        raw: &'a RawValue,
        other: Option<&RawValue>,
        workload: Option<&Workload>,
    ) -> Result<Self, Unreadable> {
        match (Self::read(raw, workload), other) {
            (Err(_), Some(other)) => {
                let _limit = Limit::of(raw.get().len());
                unchanged::read(raw, other, workload)
            }
            (read, _) => read,
        }
    }

    fn pod(body: pod::Body<'a>) -> Self {
        let pods = vec![Pod::bare(body)];
        Self { metadata: Metadata::default(), pods, templates: Vec::new(), unread: Vec::new() }
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &Metadata<'a> {
        // A Pod's own are those of the object.
        self.pods.first().filter(|pod| !pod.is_template()).and_then(Pod::metadata).unwrap_or(&self.metadata)
    }

    /// The Pod, or each pod template; none for other kinds.
    pub fn pods(&self) -> &[Pod<'a>] {
        &self.pods
    }

    /// The bytes of each pod template; none for a Pod.
    pub fn templates(&self) -> &[&'a str] {
        &self.templates
    }

    /// What could not be read, and was left as it was.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }
}
