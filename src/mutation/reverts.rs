//! Takes back earlier defaults that an update contradicts and that no user wrote.
//!
//! A value is taken back only if a mutator in force sets exactly this value; the new object and the stored one both have it
//! at the same path; and neither the stored object's managed fields nor the last applied configuration has the path
//! ([`FieldOwners`]). The mutator decides if the update contradicts it.

use std::cmp::Ordering;
use std::collections::HashSet;

use jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::keyed_path::{Found, KeyedPath};
use super::owners::FieldOwners;
use super::plan::{Order, OrderedFindings, PlannedEdit};
use super::stored::Stored;
use super::{finding_about, would};
use crate::decision::FindingKind;
use crate::engine::ActiveMutator;
use crate::object::{Place, Workloads};
use crate::patch::Editor;
use crate::policy::defaults::Edit;
use crate::request::Request;

/// Objects without meaning when empty. One that becomes empty is removed with its last field, unless it was written empty:
/// for Windows pods the API server refuses even the empty object.
const HOLDERS: [&str; 2] = ["capabilities", "securityContext"];

/// Values that are taken back.
#[derive(Default)]
pub(super) struct Reverts<'w> {
    values: Vec<Revert<'w>>,
    owners: Option<FieldOwners>,
}

struct Revert<'w> {
    order: Order,
    active: &'w ActiveMutator,
    place: &'w Place,
    value: &'w Value,
    because: &'static str,
    pointer: PointerBuf,
}

impl<'w> Reverts<'w> {
    /// The values among the requested edits that may be taken back.
    pub(super) fn of(request: &Request<'_>, stored: &Stored, object: &Value, plan: &'w [PlannedEdit<'_>]) -> Self {
        let mut reverts = Self::default();
        let mut seen = HashSet::new();
        for planned in plan {
            let Edit::TakeBack(values, because) = &planned.edit else { continue };
            if reverts.owners.is_none() {
                let is_built_in = Workloads::built_in().find(&request.kind.group, &request.kind.kind).is_some();
                reverts.owners = FieldOwners::of(stored.document().value(), object, is_built_in);
            }
            let Some(owners) = &reverts.owners else { return Self::default() };
            if !values.iter().all(|(place, value)| is_unowned(owners, stored, object, place, value)) {
                continue;
            }
            for (place, value) in values {
                let pointer = place.path.pointer();
                if seen.insert(pointer.clone()) {
                    let (order, active) = (planned.order, planned.active);
                    reverts.values.push(Revert { order, active, place, value, because, pointer });
                }
            }
        }
        reverts
    }

    /// True if there is nothing to take back.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Removes the values; returns the findings about them.
    pub(super) fn remove(&self, editor: &mut Editor) -> OrderedFindings {
        // Items of a list are removed from its end, so that positions of the others stay valid.
        let mut values: Vec<&Revert<'_>> = self.values.iter().collect();
        values.sort_by(|one, other| in_order(&other.pointer, &one.pointer));
        for value in values {
            let pointer = self.with_empty_holders(editor.object(), &value.pointer);
            editor.remove(value.active.meta.id, &pointer);
            if editor.is_over() {
                break;
            }
        }
        let findings = self.values.iter().map(|revert| {
            let verb = if would(revert.active).is_empty() { "removed" } else { "would remove" };
            let Revert { place, value, because, .. } = revert;
            let message = format!("{verb} {} ({value}), a default that nobody wrote: {because}", place.path);
            let mut judged = finding_about(revert.active, (*place).clone(), message);
            judged.kind = FindingKind::Removal;
            (revert.order, judged)
        });
        findings.collect()
    }

    /// Pointer to a value, or to the topmost object around it that holds nothing else and that no user wrote.
    fn with_empty_holders(&self, object: &Value, value: &Pointer) -> PointerBuf {
        let mut topmost = value;
        while let Some((holder, _)) = topmost.split_back() {
            let is_holder = holder.last().is_some_and(|name| HOLDERS.contains(&name.decoded().as_ref()));
            let holds_nothing_else =
                holder.resolve(object).ok().and_then(Value::as_object).is_some_and(|fields| fields.len() == 1);
            let was_written_empty = || {
                let keyed = KeyedPath::of(object, holder);
                keyed.is_none_or(|keyed| self.owners.as_ref().is_none_or(|owners| owners.wrote_empty(&keyed)))
            };
            if !is_holder || !holds_nothing_else || was_written_empty() {
                break;
            }
            topmost = holder;
        }
        topmost.to_buf()
    }
}

/// True if the value is in the new object and the stored one, and has no owner.
fn is_unowned(owners: &FieldOwners, stored: &Stored, object: &Value, place: &Place, value: &Value) -> bool {
    let pointer = place.path.pointer();
    if pointer.resolve(object).ok() != Some(value) {
        return false;
    }
    let Some(keyed) = KeyedPath::of(object, &pointer) else { return false };
    matches!(stored.document().find(&keyed), Found::One(found) if found == value) && !owners.wrote(&keyed)
}

/// Orders pointers by document order; positions in lists compare as numbers.
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
