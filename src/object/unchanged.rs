//! Reads an object of an update together with the other one: a field that cannot be read does not refuse an update that
//! leaves it unchanged.
//!
//! A field may be unreadable here and have a meaning for the API server. A part is therefore left out only if it is equal in
//! both objects, byte for byte, and parts are as large as the units that policies judge: a field of the metadata, a Pod's
//! whole spec, a whole template, a field at the top of another object.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mapping::Mapping;
use super::metadata::Metadata;
use super::path::Path;
use super::pod::{Body, Pod};
use super::read::{self, child, once, parse, parse_without};
use super::resource::{Content, Source};
use super::template::Templates;
use super::workload::Shape;
use super::{Object, Place, Unread, Unreadable};

/// Reads `raw`, which cannot be read as a whole.
pub(super) fn read<'a>(raw: &'a RawValue, other: &RawValue, shape: Shape<'_>) -> Result<Object<'a>, Unreadable> {
    let root = Path::root();
    let beside = |name| child(other, name, &root).ok().flatten();
    let mut unread = Vec::new();
    let metadata = match child(raw, "metadata", &root)? {
        Some(own) => fields(own, beside("metadata"), &root.clone().fields("metadata"), &mut unread)?,
        None => Metadata::default(),
    };
    let workload = match shape {
        Shape::Workload(workload) => workload,
        Shape::Resource(resource) => {
            let mut source = Source { raw, other: Some(other), unread };
            let content = Content::read(resource, &mut source)?;
            return Ok(Object { metadata, content, unread: source.unread, ..Object::default() });
        }
        Shape::Metadata => return Ok(Object { metadata, unread, ..Object::default() }),
    };
    if workload.is_pod() {
        let path = root.clone().fields("spec");
        let spec = match child(raw, "spec", &root)? {
            None => None,
            Some(spec) => match parse::<Option<Mapping<_>>>(spec, &path) {
                Ok(read) => read.map(|Mapping(spec)| spec),
                Err(why) if is_same(spec, beside("spec")) => {
                    unread.push(Unread { place: Place::field(path), why });
                    None
                }
                Err(why) => return Err(why),
            },
        };
        let pods = vec![Pod::bare(Body { metadata: Some(metadata), spec })];
        return Ok(Object { pods, is_workload: true, unread, ..Object::default() });
    }
    let mut templates = Templates { unread, ..Templates::default() };
    for path in &workload.templates {
        templates.find(raw, Some(other), path, Path::root())?;
    }
    let Templates { pods, bytes, unread } = templates;
    Ok(Object { metadata, pods, is_workload: true, templates: bytes, unread, ..Object::default() })
}

/// Reads the fields of an object at `path`, without those that cannot be read and are equal in `other`.
pub(super) fn fields<'a, T: Default + Deserialize<'a>>(
    own: &'a RawValue,
    other: Option<&RawValue>,
    path: &Path,
    unread: &mut Vec<Unread>,
) -> Result<T, Unreadable> {
    if own.get() == "null" {
        return Ok(T::default());
    }
    let mut without = Vec::new();
    loop {
        let fault = match parse_without(own, path, &without) {
            Ok(read) => return Ok(read),
            Err(fault) => fault,
        };
        let Some(field) = fault.field else {
            if !is_same(own, other) {
                return Err(fault.why);
            }
            unread.push(Unread { place: Place::field(path.clone()), why: fault.why });
            return Ok(T::default());
        };
        let before = other.and_then(|other| child(other, &field, path).ok().flatten());
        let is_left_out = without.contains(&field);
        match child(own, &field, path)? {
            Some(value) if is_same(value, before) && !is_left_out => {}
            _ => return Err(fault.why),
        }
        unread.push(Unread { place: Place::field(path.clone().fields(&field)), why: fault.why });
        without.push(field);
    }
}

/// True if the field at the path `names` is absent from both objects or equal in both, byte for byte.
pub(crate) fn is_same_in(one: &RawValue, other: &RawValue, names: &[&str]) -> bool {
    match (find(one, names), find(other, names)) {
        (Ok(one), Ok(other)) => one.map(RawValue::get) == other.map(RawValue::get),
        _ => false,
    }
}

/// True if an update leaves an object as it was, but for its status and what an API server itself keeps in the metadata; and
/// for the finalizers of an object that is being deleted.
pub(crate) fn is_untouched(sent: &RawValue, old: &RawValue) -> bool {
    let kept = &["managedFields", "resourceVersion", "finalizers"][..if is_being_deleted(old) { 3 } else { 2 }];
    is_same_but(sent, old, &["status"], kept)
}

/// True if two objects have the same fields, byte for byte, but those named: at their top, and in their metadata.
pub(crate) fn is_same_but(one: &RawValue, other: &RawValue, top: &[&str], metadata: &[&str]) -> bool {
    let is_same = |one: Option<&RawValue>, other: Option<&RawValue>, names: &[&str]| {
        let (one, other) = (one.and_then(|one| without(one, names)), other.and_then(|other| without(other, names)));
        one.is_some() && one == other
    };
    let (of_one, of_other) = (value_in(one, &["metadata"]), value_in(other, &["metadata"]));
    is_same(Some(one), Some(other), &[&["metadata"], top].concat()) && is_same(of_one, of_other, metadata)
}

/// True if somebody has deleted the object, and finalizers keep it.
pub(crate) fn is_being_deleted(object: &RawValue) -> bool {
    value_in(object, &["metadata", "deletionTimestamp"]).is_some_and(|time| time.get() != "null")
}

/// The fields of a JSON object but those named; `None` if it is none.
fn without<'a>(raw: &'a RawValue, names: &[&str]) -> Option<BTreeMap<String, Option<&'a str>>> {
    let mut found: BTreeMap<String, Option<&RawValue>> = BTreeMap::new();
    let each = &mut |name: &str, value| once(found.entry(name.to_owned()).or_default(), name, value);
    read::fields(raw, &Path::root(), each).ok()?;
    found.retain(|name, _| !names.contains(&name.as_str()));
    Some(found.into_iter().map(|(name, value)| (name, value.map(RawValue::get))).collect())
}

/// The value at the path `names`; `None` if it is absent or cannot be found.
pub(crate) fn value_in<'a>(object: &'a RawValue, names: &[&str]) -> Option<&'a RawValue> {
    find(object, names).ok().flatten()
}

fn find<'a>(object: &'a RawValue, names: &[&str]) -> Result<Option<&'a RawValue>, Unreadable> {
    names.iter().try_fold(Some(object), |here, name| match here {
        Some(here) => child(here, name, &Path::root()),
        None => Ok(None),
    })
}

fn is_same(value: &RawValue, other: Option<&RawValue>) -> bool {
    other.is_some_and(|other| other.get() == value.get())
}
