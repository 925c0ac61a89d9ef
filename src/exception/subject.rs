//! The identity of an object and its containers, which exceptions are matched against.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use crate::object::{Image, Object, Path, Place, Pod, Within};
use crate::request::Request;

/// Bytes of a `generateName` that are in the generated name (`maxGeneratedNameLength` in
/// `K/staging/src/k8s.io/apiserver/pkg/storage/names/generate.go`).
const GENERATED: usize = 58;

/// The identity of an object, as exceptions match it: of the requested one, or of the one that owns it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'r> {
    /// API group, empty for the core group.
    pub group: &'r str,
    /// Kind.
    pub kind: &'r str,
    /// Name, or the beginning of it.
    pub name: Name<'r>,
    /// The namespace whose configuration applies: a Namespace's own name for that object. Empty for other objects that live
    /// in none.
    pub governed_by: &'r str,
    /// True if it lives in no namespace; a Namespace does not.
    pub is_in_no_namespace: bool,
    /// Name of the requesting user; empty if nobody is known, as in files.
    pub user: &'r str,
}

/// The name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'r> {
    /// The name.
    Exact(&'r str),
    /// The API server will generate a name that begins with this.
    Generated(&'r str),
}

impl<'r> Subject<'r> {
    /// The requested object.
    pub fn of(request: &'r Request<'_>) -> Self {
        let governed_by = request.governed_by();
        let is_namespace = request.kind.group.is_empty() && request.kind.kind == "Namespace";
        Self {
            group: &request.kind.group,
            kind: &request.kind.kind,
            name: Name::of(request),
            governed_by,
            is_in_no_namespace: is_namespace || governed_by.is_empty(),
            user: request.user.name(),
        }
    }
}

impl<'r> Name<'r> {
    fn of(request: &'r Request<'_>) -> Self {
        let metadata = request.object.as_ref().map(Object::metadata);
        let (name, generated) = metadata.map_or(("", ""), |one| (one.name(), one.generate_name()));
        match &*request.name {
            _ if name.is_empty() && !generated.is_empty() => {
                let end = generated.floor_char_boundary(GENERATED);
                Self::Generated(generated.get(..end).unwrap_or_default())
            }
            "" => Self::Exact(name),
            requested => Self::Exact(requested),
        }
    }
}

/// The containers and images of a request's pods, found by the place of a finding.
pub struct Containers<'r> {
    request: &'r Request<'r>,
    /// Name and image of each container, by its path.
    by_path: OnceCell<HashMap<Path, (&'r str, Option<Image<'r>>)>>,
}

impl<'r> Containers<'r> {
    /// Those of a request. They are read when the first exception asks for them.
    pub fn of(request: &'r Request<'r>) -> Self {
        Self { request, by_path: OnceCell::new() }
    }

    /// The place of a finding, looked up once for all exceptions.
    pub fn spot<'s>(&'s self, place: &'s Place) -> Spot<'s, 'r> {
        Spot { containers: self, place, container: OnceCell::new(), images: OnceCell::new() }
    }

    /// Name and image of the container that a place is in; the image is `None` if it is not an image reference.
    fn at(&self, place: &Place) -> Option<(&'r str, Option<Image<'r>>)> {
        if !matches!(place.within, Within::Container { .. }) {
            return None;
        }
        let by_path = self.by_path.get_or_init(|| {
            let read = |pod: &'r Pod<'r>| {
                let containers = pod.containers();
                containers.map(|one| (Place::from(one.at("")).path, (one.name(), Image::parse(one.image()).ok())))
            };
            self.request.pods().iter().flat_map(read).collect()
        });
        place.path.ancestors().find_map(|path| by_path.get(&path)).copied()
    }

    /// The images of the pod that a place is in, each once; of every pod if it is in none.
    fn images_around(&self, place: &Place) -> Vec<Option<Image<'r>>> {
        let is_object = matches!(place.within, Within::Object { .. } | Within::Many);
        let pods = self.request.pods().iter();
        let around = pods.filter(move |pod| is_object || place.path.is_within(pod.base()));
        let references: BTreeSet<&'r str> = around.flat_map(|pod| pod.images().map(|used| used.reference)).collect();
        references.into_iter().map(|reference| Image::parse(reference).ok()).collect()
    }
}

/// The place of a finding, and the containers and images there, which are looked up when the first exception asks for them.
pub struct Spot<'s, 'r> {
    containers: &'s Containers<'r>,
    place: &'s Place,
    container: OnceCell<Option<(&'r str, Option<Image<'r>>)>>,
    images: OnceCell<Vec<Option<Image<'r>>>>,
}

impl<'r> Spot<'_, 'r> {
    /// Name and image of the container; `None` if it is in none.
    pub(super) fn container(&self) -> Option<(&'r str, Option<Image<'r>>)> {
        *self.container.get_or_init(|| self.containers.at(self.place))
    }

    /// The images of the pod that it is in; of every pod if it is in none.
    pub(super) fn images(&self) -> &[Option<Image<'r>>] {
        self.images.get_or_init(|| self.containers.images_around(self.place))
    }
}
