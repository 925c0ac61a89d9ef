//! The volumes of a Pod and of the template that it was made from: a finding names the kind of a volume, and not what it holds.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::object::Within;
use crate::object::unchanged::value_in;
use crate::request::Request;
use crate::snapshot::Snapshot;

/// The volumes of one pod or template, by name; `None` for a name that several have.
#[derive(Default)]
pub(super) struct Volumes<'a>(HashMap<Cow<'a, str>, Option<&'a RawValue>>);

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> Volumes<'a> {
    /// Those of the requested Pod, or of its only template; none if they cannot be read.
    pub(super) fn of(snapshot: &'a Snapshot, request: &Request<'a>) -> Self {
        let row = snapshot.workloads().find(&request.kind.group, &request.kind.kind);
        let Some((sent, row)) = request.sent.zip(row) else { return Self::default() };
        let template = match row.templates.as_slice() {
            [] => &[][..],
            [path] => path,
            _ => return Self::default(),
        };
        let names: Vec<&str> = template.iter().map(|name| &**name).chain(["spec", "volumes"]).collect();
        let list = value_in(sent, &names).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok());
        let mut volumes = HashMap::new();
        for volume in list.unwrap_or_default() {
            let Ok(Named { name }) = serde_json::from_str(volume.get()) else { continue };
            volumes.entry(name).and_modify(|other| *other = None).or_insert(Some(volume));
        }
        Self(volumes)
    }

    /// True if a place is not in a volume, or if that volume is the same here and in `other`.
    pub(super) fn is_same_at(&self, within: &Within, other: &Volumes<'_>) -> bool {
        let Within::Pod { field } = within else { return true };
        let Some(name) = field.strip_prefix("volumes/") else { return true };
        let (here, there) = (self.find(name), other.find(name));
        here.is_some() && here == there
    }

    /// A volume without fields that hold nothing: the API server fills some of them in.
    fn find(&self, name: &str) -> Option<Value> {
        let mut volume: Value = serde_json::from_str((*self.0.get(name)?)?.get()).ok()?;
        volume.as_object_mut()?.values_mut().filter_map(Value::as_object_mut).for_each(|source| {
            source.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
        });
        Some(volume)
    }
}
