//! Applies the edits of mutators to one object.

use std::collections::HashSet;

use super::keyed_path::identity;
use super::reverts::Reverts;
use super::stored::Stored;
use super::{failed, finding_about, would};
use crate::decision::ModedFinding;
use crate::engine::ActiveMutator;
use crate::object::Path;
use crate::patch::Editor;
use crate::policy::defaults::{Change, Edit};
use crate::request::Request;

/// Message if the patch would exceed [`crate::patch::PATCH`].
const TOO_LARGE: &str = "could not be applied: the patch would be larger than 256 KiB, so nothing is set";

/// An edit that a mutator requests.
pub(super) struct PlannedEdit<'s> {
    /// Position among all findings.
    pub(super) order: Order,
    /// The mutator.
    pub(super) active: &'s ActiveMutator,
    /// The edit.
    pub(super) edit: Edit,
}

/// Index of a mutator, then index of its edit: the order of findings.
pub(super) type Order = (usize, usize);

/// Findings about applied edits, with their order.
pub(super) type OrderedFindings = Vec<(Order, ModedFinding)>;

/// Applies every edit that can be applied, or none if the patch gets too large. Returns the editor if anything changed, and
/// the findings.
pub(super) fn apply(
    request: &Request<'_>,
    stored: Option<&Stored>,
    plan: &[PlannedEdit<'_>],
) -> (Option<Editor>, OrderedFindings) {
    let sent = request.sent.filter(|_| !plan.is_empty());
    let Some(editor) = sent.and_then(|raw| Editor::new(raw.get())) else { return (None, OrderedFindings::new()) };
    let reverts = stored.map(|stored| Reverts::of(request, stored, editor.object(), plan)).unwrap_or_default();
    let mut applier =
        Applier { request, stored, editor, findings: OrderedFindings::new(), done: vec![false; plan.len()] };
    // An update that contradicts earlier defaults is not the same manifest again.
    if !reverts.is_empty() {
        applier.findings.extend(reverts.remove(&mut applier.editor));
        applier.set(plan);
    } else if !applier.restore(plan) {
        applier.set(plan);
    }
    if applier.editor.is_over() {
        let asked = plan.iter().filter(|planned| !planned.is_to_keep());
        let mut mutators: Vec<(usize, &ActiveMutator)> =
            asked.map(|planned| (planned.order.0, planned.active)).collect();
        mutators.dedup_by_key(|(number, _)| *number);
        let findings = mutators.into_iter().map(|(number, active)| ((number, 0), failed(active, TOO_LARGE)));
        return (None, findings.collect());
    }
    (Some(applier.editor).filter(|editor| !editor.operations().is_empty()), applier.findings)
}

/// An object while edits are applied to it.
struct Applier<'r, 'a> {
    request: &'r Request<'a>,
    stored: Option<&'r Stored>,
    editor: Editor,
    findings: OrderedFindings,
    /// By index of the request: true once applied.
    done: Vec<bool>,
}

impl Applier<'_, '_> {
    /// Applies only edits whose result is in the stored object; returns true if the templates then equal the stored ones.
    fn restore(&mut self, plan: &[PlannedEdit<'_>]) -> bool {
        let Some(stored) = self.stored else { return false };
        let object = self.editor.object();
        let is_known = |planned: &PlannedEdit<'_>| match &planned.edit {
            Edit::Make(Change::Set(place, value)) => stored.has(object, &place.path, value),
            Edit::Make(Change::Append(place, item)) => stored.holds(object, &place.path, item),
            Edit::Keep(_) | Edit::TakeBack(..) => false,
        };
        let known: Vec<bool> = plan.iter().map(is_known).collect();
        for (position, planned) in plan.iter().enumerate().filter(|(position, _)| known[*position]) {
            self.apply(position, planned);
        }
        let templates = self.request.pods();
        if self.editor.is_over() || stored.equals(self.editor.object(), templates) {
            return true;
        }
        if !plan.iter().any(PlannedEdit::is_to_keep) {
            return false;
        }
        let (editor, findings) = (self.editor.clone(), self.findings.len());
        let is_there = items(plan.iter().zip(&known).filter(|(_, is_known)| **is_known).map(|(planned, _)| planned));
        for (position, planned) in plan.iter().enumerate().filter(|(_, planned)| planned.is_to_keep()) {
            if planned.item().is_none_or(|item| !is_there.contains(&item)) {
                self.apply(position, planned);
            }
        }
        let is_stored = stored.equals(self.editor.object(), templates);
        if !is_stored {
            self.editor = editor;
            self.findings.truncate(findings);
        }
        is_stored
    }

    /// Applies every edit that can be applied.
    fn set(&mut self, plan: &[PlannedEdit<'_>]) {
        for (position, planned) in plan.iter().enumerate().filter(|(_, planned)| !planned.is_to_keep()) {
            self.apply(position, planned);
        }
    }

    fn apply(&mut self, position: usize, planned: &PlannedEdit<'_>) {
        let (Edit::Make(change) | Edit::Keep(change)) = &planned.edit else { return };
        if self.done[position] || self.editor.is_over() {
            return;
        }
        let (policy, would) = (planned.active.meta.id, would(planned.active));
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
            self.findings.push((planned.order, finding_about(planned.active, place.clone(), message)));
        }
    }
}

impl PlannedEdit<'_> {
    fn is_to_keep(&self) -> bool {
        matches!(self.edit, Edit::Keep(_))
    }

    /// The list that an item is added to, and the value that identifies the item in it.
    fn item(&self) -> Option<(&Path, &str)> {
        let (Edit::Make(Change::Append(list, item)) | Edit::Keep(Change::Append(list, item))) = &self.edit else {
            return None;
        };
        let name = list.path.pointer().last()?.decoded().into_owned();
        identity(&name, item).map(|(_, value)| (&list.path, value))
    }
}

fn items<'w>(plan: impl Iterator<Item = &'w PlannedEdit<'w>>) -> HashSet<(&'w Path, &'w str)> {
    plan.filter_map(PlannedEdit::item).collect()
}
