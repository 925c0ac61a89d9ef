//! The changes that mutators ask for, carried out on one object.

use std::collections::HashSet;

use super::stored::Stored;
use super::taken::Taken;
use super::way::identity;
use super::{failed, told, would};
use crate::decision::Judged;
use crate::engine::Setter;
use crate::object::Path;
use crate::patch::Editor;
use crate::policy::defaults::{Change, Edit};
use crate::request::Request;

/// Why nothing is set in an object that lacks too much ([`crate::patch::PATCH`]).
const TOO_LARGE: &str = "could not be applied: the patch would be larger than 256 KiB, so nothing is set";

/// A change that a mutator asks for.
pub(super) struct Wish<'s> {
    /// In which order it is told.
    pub(super) order: Order,
    /// Who asks.
    pub(super) setter: &'s Setter,
    /// For what.
    pub(super) edit: Edit,
}

/// The number of a mutator, and that of its change.
pub(super) type Order = (usize, usize);

/// What was done or would be, and in which order it is told.
pub(super) type Told = Vec<(Order, Judged)>;

/// Carries the wishes out: all that can be, or none if the patch gets too large. Returns the object where something was
/// done to it, and what there is to tell.
pub(super) fn carry_out(request: &Request<'_>, stored: Option<&Stored>, wishes: &[Wish<'_>]) -> (Option<Editor>, Told) {
    let sent = request.sent.filter(|_| !wishes.is_empty());
    let Some(editor) = sent.and_then(|raw| Editor::new(raw.get())) else { return (None, Told::new()) };
    let taken = stored.map(|stored| Taken::of(request, stored, editor.object(), wishes)).unwrap_or_default();
    let mut draft = Draft { request, stored, editor, told: Told::new(), done: vec![false; wishes.len()] };
    // A write that contradicts what was set is not the same manifest again.
    if !taken.is_empty() {
        draft.told.extend(taken.remove(&mut draft.editor));
        draft.set(wishes);
    } else if !draft.restore(wishes) {
        draft.set(wishes);
    }
    if draft.editor.is_over() {
        let asked = wishes.iter().filter(|wish| !wish.is_to_keep());
        let mut setters: Vec<(usize, &Setter)> = asked.map(|wish| (wish.order.0, wish.setter)).collect();
        setters.dedup_by_key(|(number, _)| *number);
        let told = setters.into_iter().map(|(number, setter)| ((number, 0), failed(setter, TOO_LARGE)));
        return (None, told.collect());
    }
    (Some(draft.editor).filter(|editor| !editor.operations().is_empty()), draft.told)
}

/// An object with changes, and what was done.
struct Draft<'r, 'a> {
    request: &'r Request<'a>,
    stored: Option<&'r Stored>,
    editor: Editor,
    told: Told,
    /// By the position of the wish.
    done: Vec<bool>,
}

impl Draft<'_, '_> {
    /// Sets again what is stored, and nothing else; returns whether the templates are then the stored ones.
    fn restore(&mut self, wishes: &[Wish<'_>]) -> bool {
        let Some(stored) = self.stored else { return false };
        let object = self.editor.object();
        let is_known = |wish: &Wish<'_>| match &wish.edit {
            Edit::Make(Change::Set(place, value)) => stored.has(object, &place.path, value),
            Edit::Make(Change::Append(place, item)) => stored.holds(object, &place.path, item),
            Edit::Keep(_) | Edit::TakeBack(..) => false,
        };
        let known: Vec<bool> = wishes.iter().map(is_known).collect();
        for (position, wish) in wishes.iter().enumerate().filter(|(position, _)| known[*position]) {
            self.fulfil(position, wish);
        }
        let templates = self.request.pods();
        if self.editor.is_over() || stored.equals(self.editor.object(), templates) {
            return true;
        }
        if !wishes.iter().any(Wish::is_to_keep) {
            return false;
        }
        let (editor, told) = (self.editor.clone(), self.told.len());
        let is_there = items(wishes.iter().zip(&known).filter(|(_, is_known)| **is_known).map(|(wish, _)| wish));
        for (position, wish) in wishes.iter().enumerate().filter(|(_, wish)| wish.is_to_keep()) {
            if wish.item().is_none_or(|item| !is_there.contains(&item)) {
                self.fulfil(position, wish);
            }
        }
        let is_stored = stored.equals(self.editor.object(), templates);
        if !is_stored {
            self.editor = editor;
            self.told.truncate(told);
        }
        is_stored
    }

    /// Sets all that can be set.
    fn set(&mut self, wishes: &[Wish<'_>]) {
        for (position, wish) in wishes.iter().enumerate().filter(|(_, wish)| !wish.is_to_keep()) {
            self.fulfil(position, wish);
        }
    }

    fn fulfil(&mut self, position: usize, wish: &Wish<'_>) {
        let (Edit::Make(change) | Edit::Keep(change)) = &wish.edit else { return };
        if self.done[position] || self.editor.is_over() {
            return;
        }
        let (policy, would) = (wish.setter.meta.id, would(wish.setter));
        let (is_done, place, message) = match change {
            Change::Set(place, value) => {
                let is_done = self.editor.set(policy, &place.path, value);
                (is_done, place, format!("{would}set {} to {value}", place.path))
            }
            Change::Append(place, item) => {
                let at = self.stored.and_then(|stored| stored.place(self.editor.object(), &place.path, item));
                let is_done = self.editor.insert(policy, &place.path, at, item);
                (is_done, place, format!("{would}add {item} to {}", place.path))
            }
        };
        if is_done {
            self.done[position] = true;
            self.told.push((wish.order, told(wish.setter, place.clone(), message)));
        }
    }
}

impl Wish<'_> {
    fn is_to_keep(&self) -> bool {
        matches!(self.edit, Edit::Keep(_))
    }

    /// The list that an item is added to, and what tells the item from the others.
    fn item(&self) -> Option<(&Path, &str)> {
        let (Edit::Make(Change::Append(list, item)) | Edit::Keep(Change::Append(list, item))) = &self.edit else {
            return None;
        };
        let name = list.path.pointer().last()?.decoded().into_owned();
        identity(&name, item).map(|(_, value)| (&list.path, value))
    }
}

fn items<'w>(wishes: impl Iterator<Item = &'w Wish<'w>>) -> HashSet<(&'w Path, &'w str)> {
    wishes.filter_map(Wish::item).collect()
}
