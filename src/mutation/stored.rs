//! The stored object that an update replaces.

use std::collections::HashMap;

use serde_json::Value;

use super::keyed_path::{Document, Found, KeyedPath, identity};
use crate::object::{Path, Pod};
use crate::request::Request;

/// Longest list, in items, in which insertions keep the stored order; in longer ones items are appended. Finding the
/// position reads both lists for each item.
const LIST: usize = 512;

/// The stored object, and the paths of its templates.
pub(super) struct Stored {
    object: Document,
    templates: Vec<Path>,
}

impl Stored {
    /// The object before an update; `None` if it cannot be read.
    pub(super) fn of(before: &Request<'_>) -> Option<Self> {
        let object = serde_json::from_str(before.sent?.get()).ok()?;
        let templates = before.pods().iter().map(Pod::base).cloned().collect();
        Some(Self { object: Document::new(object), templates })
    }

    /// The whole object.
    pub(super) fn document(&self) -> &Document {
        &self.object
    }

    /// True if the stored object has `value` at the place that `path` has in `object`.
    pub(super) fn has(&self, object: &Value, path: &Path, value: &Value) -> bool {
        let pointer = path.pointer();
        let Some(keyed) = KeyedPath::of(object, &pointer) else { return false };
        matches!(self.object.find(&keyed), Found::One(found) if found == value)
    }

    /// True if the stored object has `item` in the list that `path` leads to in `object`.
    pub(super) fn holds(&self, object: &Value, path: &Path, item: &Value) -> bool {
        let Some((items, name)) = self.list(object, path) else { return false };
        let position = identity(&name, item).and_then(|identity| self.object.place(items, identity).position());
        position.and_then(|position| items.get(position)) == Some(item)
    }

    /// Position at which to insert `item` into the list at `path`, so that the order of the stored list is kept; `None` to
    /// append it.
    pub(super) fn place(&self, object: &Value, path: &Path, item: &Value) -> Option<usize> {
        let (stored, name) = self.list(object, path)?;
        let Ok(Value::Array(now)) = path.pointer().resolve(object) else { return None };
        let position_in_store = |item| self.object.place(stored, identity(&name, item)?).position();
        let at = position_in_store(item)?;
        // Usually items are added in order, at the end.
        if now.is_empty() || now.last().and_then(position_in_store).is_some_and(|last| last + 1 == at) {
            return None;
        }
        if stored.len().max(now.len()) > LIST {
            return None;
        }
        let places: HashMap<usize, usize> =
            now.iter().enumerate().filter_map(|(place, item)| Some((position_in_store(item)?, place))).collect();
        let after = (0..at).rev().find_map(|before| places.get(&before)).map(|place| place + 1);
        after.or_else(|| (at + 1..stored.len()).find_map(|after| places.get(&after).copied()))
    }

    /// True if the templates of `object` equal the stored ones.
    pub(super) fn equals(&self, object: &Value, templates: &[Pod<'_>]) -> bool {
        templates.len() == self.templates.len()
            && templates.iter().zip(&self.templates).all(|(pod, stored)| pod.base() == stored)
            && self.templates.iter().all(|path| {
                let pointer = path.pointer();
                matches!((pointer.resolve(object), pointer.resolve(self.object.value())), (Ok(now), Ok(old)) if now == old)
            })
    }

    /// The stored list that corresponds to the one at `path` in `object`, and the list's name.
    fn list(&self, object: &Value, path: &Path) -> Option<(&[Value], String)> {
        let pointer = path.pointer();
        let keyed = KeyedPath::of(object, &pointer)?;
        let name = pointer.last()?.decoded().into_owned();
        match self.object.find(&keyed) {
            Found::One(Value::Array(items)) => Some((items, name)),
            _ => None,
        }
    }
}
