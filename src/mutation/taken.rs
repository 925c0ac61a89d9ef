//! What was set before, nobody wrote, and the write contradicts: it is taken back.
//!
//! All of this must hold of each value: it is exactly what a mutator in force sets, in the object that came and in the
//! stored one at the same place; nobody owns the place by the stored object's managed fields, and the manifest that was
//! last applied does not name it ([`Authors`]). That the write brings the contradiction is the mutator's to say.

use std::cmp::Ordering;
use std::collections::HashSet;

use jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::authors::Authors;
use super::draft::{Order, Told, Wish};
use super::stored::Stored;
use super::way::{Found, Way};
use super::{told, would};
use crate::decision::Tells;
use crate::engine::Setter;
use crate::object::{Place, Workloads};
use crate::patch::Editor;
use crate::policy::defaults::Edit;
use crate::request::Request;

/// Objects that say nothing without a field. One that is empty once a field is taken back goes with it, unless somebody
/// wrote it empty: on Windows the API server refuses even the empty one.
const HOLDERS: [&str; 2] = ["capabilities", "securityContext"];

/// Values that are taken back.
#[derive(Default)]
pub(super) struct Taken<'w> {
    values: Vec<TakenValue<'w>>,
    authors: Option<Authors>,
}

struct TakenValue<'w> {
    order: Order,
    setter: &'w Setter,
    place: &'w Place,
    value: &'w Value,
    because: &'static str,
    pointer: PointerBuf,
}

impl<'w> Taken<'w> {
    /// The values among the wishes that may be taken back.
    pub(super) fn of(request: &Request<'_>, stored: &Stored, object: &Value, wishes: &'w [Wish<'_>]) -> Self {
        let mut taken = Self::default();
        let mut seen = HashSet::new();
        for wish in wishes {
            let Edit::TakeBack(values, because) = &wish.edit else { continue };
            if taken.authors.is_none() {
                let is_built_in = Workloads::built_in().find(&request.kind.group, &request.kind.kind).is_some();
                taken.authors = Authors::of(stored.document().value(), object, is_built_in);
            }
            let Some(authors) = &taken.authors else { return Self::default() };
            if !values.iter().all(|(place, value)| is_nobodys(authors, stored, object, place, value)) {
                continue;
            }
            for (place, value) in values {
                let pointer = place.path.pointer();
                if seen.insert(pointer.clone()) {
                    let (order, setter) = (wish.order, wish.setter);
                    taken.values.push(TakenValue { order, setter, place, value, because, pointer });
                }
            }
        }
        taken
    }

    /// Whether there is nothing to take back.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Removes the values; returns what there is to tell.
    pub(super) fn remove(&self, editor: &mut Editor) -> Told {
        // Items of a list from its end on: the places of the others stay as they are.
        let mut values: Vec<&TakenValue<'_>> = self.values.iter().collect();
        values.sort_by(|one, other| in_order(&other.pointer, &one.pointer));
        for value in values {
            let pointer = self.with_empty_holders(editor.object(), &value.pointer);
            editor.remove(value.setter.meta.id, &pointer);
            if editor.is_over() {
                break;
            }
        }
        let told = self.values.iter().map(|taken| {
            let verb = if would(taken.setter).is_empty() { "removed" } else { "would remove" };
            let TakenValue { place, value, because, .. } = taken;
            let message = format!("{verb} {} ({value}), a default that nobody wrote: {because}", place.path);
            let mut judged = told(taken.setter, (*place).clone(), message);
            judged.tells = Tells::Removal;
            (taken.order, judged)
        });
        told.collect()
    }

    /// The place of a value, or of the topmost object around it that holds nothing else and that nobody wrote.
    fn with_empty_holders(&self, object: &Value, value: &Pointer) -> PointerBuf {
        let mut topmost = value;
        while let Some((holder, _)) = topmost.split_back() {
            let is_holder = holder.last().is_some_and(|name| HOLDERS.contains(&name.decoded().as_ref()));
            let holds_nothing_else =
                holder.resolve(object).ok().and_then(Value::as_object).is_some_and(|fields| fields.len() == 1);
            let was_written_empty = || {
                let way = Way::of(object, holder);
                way.is_none_or(|way| self.authors.as_ref().is_none_or(|authors| authors.wrote_empty(&way)))
            };
            if !is_holder || !holds_nothing_else || was_written_empty() {
                break;
            }
            topmost = holder;
        }
        topmost.to_buf()
    }
}

/// Whether a value is in the object and in the stored one, and nobody wrote it.
fn is_nobodys(authors: &Authors, stored: &Stored, object: &Value, place: &Place, value: &Value) -> bool {
    let pointer = place.path.pointer();
    if pointer.resolve(object).ok() != Some(value) {
        return false;
    }
    let Some(way) = Way::of(object, &pointer) else { return false };
    matches!(stored.document().find(&way), Found::One(found) if found == value) && !authors.wrote(&way)
}

/// Pointers in the order of what they lead to; positions in lists count as numbers.
fn in_order(one: &Pointer, other: &Pointer) -> Ordering {
    let steps = one.tokens().zip(other.tokens()).map(|(one, other)| {
        let (one, other) = (one.decoded(), other.decoded());
        match (one.parse::<usize>(), other.parse::<usize>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(&other),
        }
    });
    steps.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| one.count().cmp(&other.count()))
}
