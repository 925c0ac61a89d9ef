//! The texts of an object in which policies look for what must not be written there: variables and commands of containers,
//! annotations, and the entries of ConfigMaps.

use std::borrow::Cow;

use super::encoded;
use crate::object::resource::ConfigMap;
use crate::object::{Container, Object, Path, Place, PlaceRef, Pod};
use crate::request::Request;

/// Bytes of an entry of `binaryData` that are decoded; a multiple of four.
const DECODED: usize = 256 << 10;
/// The annotation in which kubectl repeats the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A text.
pub(crate) struct Text<'t> {
    pub(crate) held: Held<'t>,
    pub(crate) value: &'t str,
    /// The container that it belongs to.
    pub(crate) container: Option<Container<'t, 't>>,
    pub(crate) spot: Spot<'t>,
}

/// The field that holds a text, with the name that the text has there.
#[derive(Clone, Copy)]
pub(crate) enum Held<'t> {
    /// The value of a variable.
    Variable(&'t str),
    /// The value of an annotation.
    Annotation(&'t str),
    /// An entry of a ConfigMap.
    Entry(&'t str),
    /// A word of a command, and the option that the word before it is: `--password` and its value are two words.
    Word(Option<&'t str>),
}

impl<'t> Held<'t> {
    /// The name that messages say; none for a word.
    pub(crate) fn name(self) -> Option<&'t str> {
        match self {
            Self::Variable(name) | Self::Annotation(name) | Self::Entry(name) => Some(name),
            Self::Word(_) => None,
        }
    }

    /// The name that says what the text is: that of an annotation has no prefix.
    pub(crate) fn meaning(self) -> Option<&'t str> {
        match self {
            Self::Variable(name) | Self::Entry(name) => Some(name),
            Self::Annotation(key) => Some(key.rsplit_once('/').map_or(key, |(_, name)| name)),
            Self::Word(option) => option,
        }
    }
}

/// The place of a text, which allocates nothing until it becomes a [`Place`].
#[derive(Clone, Copy)]
pub(crate) enum Spot<'t> {
    Pod(PlaceRef<'t>),
    /// An entry of a map of the object itself.
    Object(&'static str, &'t str),
}

impl From<Spot<'_>> for Place {
    fn from(spot: Spot<'_>) -> Self {
        match spot {
            Spot::Pod(place) => place.into(),
            Spot::Object(map, key) => Self::field(Path::root().fields(map).key(key)),
        }
    }
}

/// Hands each text of the object to `judge`.
pub(crate) fn each(request: &Request<'_>, mut judge: impl FnMut(&Text<'_>)) {
    for pod in request.pods() {
        of_annotations(pod, &mut judge);
        pod.containers().for_each(|container| of_container(container, &mut judge));
    }
    let Some(object) = &request.object else { return };
    // A Pod's own annotations are those of the pod.
    if request.pods().first().is_none_or(Pod::is_template) {
        of_own_annotations(object, &mut judge);
    }
    if let Some(map) = request.object_as::<ConfigMap<'_>>() {
        of_map(map, &mut judge);
    }
}

fn of_container(container: Container<'_, '_>, judge: &mut impl FnMut(&Text<'_>)) {
    for (position, name, value) in container.variables() {
        let spot = Spot::Pod(container.at_item("env", position, "value"));
        judge(&Text { held: Held::Variable(name), value, container: Some(container), spot });
    }
    let mut option: Option<&str> = None;
    for (list, position, word) in container.words() {
        let spot = Spot::Pod(container.at_item(list, position, ""));
        let before = option.take().filter(|_| !word.starts_with('-'));
        judge(&Text { held: Held::Word(before), value: word, container: Some(container), spot });
        option = Some(word).filter(|word| word.starts_with('-') && !word.contains(['=', ' ']));
    }
}

fn of_annotations(pod: &Pod<'_>, judge: &mut impl FnMut(&Text<'_>)) {
    let annotations = pod.metadata().into_iter().flat_map(crate::object::Metadata::annotations);
    for (key, value) in annotations.filter(|(key, _)| *key != LAST_APPLIED) {
        let spot = Spot::Pod(pod.annotation_place(key));
        judge(&Text { held: Held::Annotation(key), value, container: None, spot });
    }
}

/// The annotations of a ConfigMap, or of the object that holds a template.
fn of_own_annotations(object: &Object<'_>, judge: &mut impl FnMut(&Text<'_>)) {
    for (key, value) in object.metadata().annotations().filter(|(key, _)| *key != LAST_APPLIED) {
        let spot = Spot::Object("metadata.annotations", key);
        judge(&Text { held: Held::Annotation(key), value, container: None, spot });
    }
}

fn of_map(map: &ConfigMap<'_>, judge: &mut impl FnMut(&Text<'_>)) {
    for (key, value) in map.data() {
        judge(&Text { held: Held::Entry(key), value, container: None, spot: Spot::Object("data", key) });
    }
    for (key, value) in map.binary_data() {
        if let Some(value) = decoded(value) {
            let spot = Spot::Object("binaryData", key);
            judge(&Text { held: Held::Entry(key), value: &value, container: None, spot });
        }
    }
}

/// The text of an entry of `binaryData`; `None` if it is not text.
fn decoded(value: &str) -> Option<String> {
    let beginning = value.get(..value.len().min(DECODED))?;
    let bytes = encoded::decode(beginning)?;
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => Some(text.to_owned()),
        Cow::Owned(text) => Some(text).filter(|text| !text.contains('\0')),
    }
}
