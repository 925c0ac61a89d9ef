//! Finds the pod templates of an object, and reads them.

use std::borrow::Cow;

use serde::de::Error as _;
use serde_json::value::RawValue;

use super::mapping::Mapping;
use super::memory;
use super::path::Path;
use super::pod::Pod;
use super::read::{child, items, parse, unreadable};
use super::{Place, Unread, Unreadable};

/// Bytes of memory that a template takes before it is read, mostly for its path.
const TEMPLATE: usize = size_of::<Pod<'_>>() + 512;

/// The templates found in an object.
#[derive(Default)]
pub(super) struct Templates<'a> {
    pub(super) pods: Vec<Pod<'a>>,
    /// JSON of each template, including unreadable ones.
    pub(super) bytes: Vec<&'a str>,
    /// Templates that could not be read and are equal in the other object of the update.
    pub(super) unread: Vec<Unread>,
}

impl<'a> Templates<'a> {
    /// Follows the rest of a template's path, into every item of a list at `*`. `other` is the value at the same path in
    /// the other object of an update.
    pub(super) fn find(
        &mut self,
        value: &'a RawValue,
        other: Option<&RawValue>,
        rest: &[Cow<'static, str>],
        path: Path,
    ) -> Result<(), Unreadable> {
        if value.get() == "null" {
            return Ok(());
        }
        let Some((first, rest)) = rest.split_first() else { return self.add(value, other, path) };
        if first == "*" {
            let found = match items(value, &path) {
                Ok(found) => found,
                Err(why) => return self.leave(value, other, path, why),
            };
            let mut others = other.and_then(|other| items(other, &path).ok()).unwrap_or_default().into_iter();
            for (position, item) in found.into_iter().enumerate() {
                self.find(item, others.next(), rest, path.clone().index(position))?;
            }
            return Ok(());
        }
        match child(value, first, &path) {
            Ok(None) => Ok(()),
            Ok(Some(found)) => {
                let other = other.and_then(|other| child(other, first, &path).ok().flatten());
                self.find(found, other, rest, path.fields(first))
            }
            Err(why) => self.leave(value, other, path, why),
        }
    }

    fn add(&mut self, value: &'a RawValue, other: Option<&RawValue>, path: Path) -> Result<(), Unreadable> {
        memory::take(TEMPLATE).map_err(|full| unreadable(&path, Path::root(), &serde_json::Error::custom(full)))?;
        self.bytes.push(value.get());
        match parse(value, &path) {
            Ok(Mapping(body)) => self.pods.push(Pod::template(path, body)),
            Err(why) => return self.leave(value, other, path, why),
        }
        Ok(())
    }

    /// Skips a template that cannot be read, if it is equal in the other object.
    fn leave(
        &mut self,
        value: &RawValue,
        other: Option<&RawValue>,
        path: Path,
        why: Unreadable,
    ) -> Result<(), Unreadable> {
        if other.is_none_or(|other| other.get() != value.get()) {
            return Err(why);
        }
        self.unread.push(Unread { place: Place::field(path), why });
        Ok(())
    }
}
