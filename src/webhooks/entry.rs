//! Entries of a webhook configuration: what is sent from the same namespaces is one webhook.

use std::ops::RangeInclusive;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::namespaces::Modes;
use super::sent::Sent;
use crate::mode::Mode;
use crate::object::Scope;
use crate::object::resource::Condition;
use crate::policy::Kinds;
use crate::snapshot::Snapshot;

/// Resources that are sent from the same namespaces.
pub(super) struct Entry<'e> {
    sent: Vec<&'e Sent<'e>>,
    pub(super) selector: LabelSelector,
    /// Set where cluster-scoped objects are sent too.
    holds_top: bool,
    is_alone: bool,
}

/// What gives namespaces a mode.
#[derive(Clone, Copy)]
pub(super) enum By<'s> {
    /// The name of the namespace, or the top if it is empty.
    Name(&'s str),
    /// The label that an entry matches, counted from 0.
    Label(usize),
}

/// Groups what is sent by the namespaces in which its strongest mode is in `part`: by their names, or by the label of the entry
/// `raise`.
pub(super) fn entries<'e>(
    snapshot: &Snapshot,
    sent: &'e [Sent<'e>],
    part: &RangeInclusive<Mode>,
    raise: Option<usize>,
    own: &str,
    strongest: impl Fn(By<'_>, &[Kinds<'_>]) -> Mode,
) -> Vec<Entry<'e>> {
    let mut entries: Vec<Entry<'e>> = Vec::new();
    // There may be thousands of namespaces, and most resources are judged by the same policies as others.
    let mut known: Vec<(&[Kinds<'_>], Option<LabelSelector>, bool)> = Vec::new();
    for one in sent {
        let (selector, holds_top) = match known.iter().find(|(kinds, ..)| *kinds == one.kinds) {
            Some((_, selector, holds_top)) => (selector.clone(), *holds_top),
            None => {
                let names = snapshot.named_namespaces();
                let labels = snapshot.raising().enumerate();
                let modes = Modes::of(names, |name| strongest(By::Name(name), &one.kinds))
                    .raised(labels.map(|(entry, label)| (label, strongest(By::Label(entry), &one.kinds))).collect());
                let (selector, holds_top) = match raise {
                    None => (modes.select(part, own), modes.holds_top(part)),
                    Some(entry) => (modes.select_raised(entry, part, own), false),
                };
                known.push((&one.kinds, selector.clone(), holds_top));
                (selector, holds_top)
            }
        };
        let Some(selector) = selector else { continue };
        // What lives in no namespace is held back by no selector, so that the one entry sends it that the top is in.
        if !holds_top && !one.is_selected() {
            continue;
        }
        let is_alone = one.is_alone();
        let is_its = |entry: &&mut Entry<'_>| {
            !is_alone && !entry.is_alone && entry.selector == selector && entry.holds_top == holds_top
        };
        match entries.iter_mut().find(is_its) {
            Some(entry) => entry.sent.push(one),
            None => entries.push(Entry { sent: vec![one], selector, holds_top, is_alone }),
        }
    }
    entries
}

impl Entry<'_> {
    /// `enforce.portcullis.dev` for the one with the Pods; others name their first resource too. One with nothing but what settings
    /// name has its group besides, so that no two have the same name.
    pub(super) fn name(&self, name: &str) -> String {
        let name = &if self.sends_deletions() { format!("{name}-deleted") } else { name.to_owned() };
        let plain = self.sent.iter().find(|one| one.is_plain());
        match (plain.map(|one| one.source), self.sent.first()) {
            (Some(Kinds::Resource(row)), _) => format!("{name}-{}.portcullis.dev", row.resource.replace('/', "-")),
            (None, Some(first)) => {
                let group = if first.group.is_empty() { "core" } else { &first.group };
                format!("{name}-{}.{group}.portcullis.dev", first.name.replace('/', "-"))
            }
            _ => format!("{name}.portcullis.dev"),
        }
    }

    /// The condition on which its only resource is sent.
    pub(super) fn condition(&self) -> Option<Condition> {
        self.sent.first().and_then(|one| one.condition())
    }

    /// True if it sends objects of that group.
    pub(super) fn sends(&self, group: &str) -> bool {
        self.sent.iter().any(|one| one.group == group)
    }

    /// True if it sends deletions, and then nothing else.
    pub(super) fn sends_deletions(&self) -> bool {
        self.sent.iter().any(|one| one.source.is_deletion())
    }

    /// Its rules: exactly the kinds, subresources and operations that are judged, one rule for what differs in its name alone.
    pub(super) fn rules(&self) -> Vec<RuleWithOperations> {
        let mut rules: Vec<(&Sent<'_>, Vec<String>)> = Vec::new();
        for one in &self.sent {
            let is_its = |(first, _): &&mut (&Sent<'_>, Vec<String>)| {
                first.source == one.source && first.group == one.group && first.operations == one.operations
            };
            match rules.iter_mut().find(is_its) {
                Some((_, names)) => names.push(one.name.to_string()),
                None => rules.push((one, vec![one.name.to_string()])),
            }
        }
        rules.into_iter().map(|(first, names)| self.rule(first, names)).collect()
    }

    fn rule(&self, first: &Sent<'_>, names: Vec<String>) -> RuleWithOperations {
        let scope = match first.scope {
            Scope::Cluster => "Cluster",
            Scope::Unknown if self.holds_top => "*",
            Scope::Namespaced | Scope::Unknown => "Namespaced",
        };
        RuleWithOperations {
            api_groups: Some(vec![first.group.to_string()]),
            api_versions: Some(vec!["*".to_owned()]),
            operations: Some(first.operations.iter().map(|operation| operation.as_str().to_owned()).collect()),
            resources: Some(names),
            scope: Some(scope.to_owned()),
        }
    }
}
