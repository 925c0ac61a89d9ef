//! Namespaces by their names, as admission selects them.

use std::ops::RangeInclusive;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::mode::Mode;

/// The label that every namespace carries with its own name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The strongest mode at the top, and in each namespace that an entry names.
pub(crate) struct Modes<'s> {
    top: Mode,
    named: Vec<(&'s str, Mode)>,
}

impl<'s> Modes<'s> {
    /// The modes in these namespaces and, for the empty name, at the top.
    pub(crate) fn of(names: Vec<&'s str>, strongest: impl Fn(&str) -> Mode) -> Self {
        let named = names.into_iter().map(|name| (name, strongest(name))).collect();
        Self { top: strongest(""), named }
    }

    /// True if cluster-scoped objects are in `part`: the top governs them.
    pub(crate) fn holds_top(&self, part: &RangeInclusive<Mode>) -> bool {
        part.contains(&self.top)
    }

    /// Selects, by name, the namespaces whose strongest mode is in `part`, without our own; `None` where there is none.
    pub(crate) fn select(&self, part: &RangeInclusive<Mode>, own: &str) -> Option<LabelSelector> {
        let (operator, mut names) = if self.holds_top(part) {
            let others = self.named.iter().filter(|(_, mode)| !part.contains(mode));
            ("NotIn", others.map(|(name, _)| (*name).to_owned()).chain([own.to_owned()]).collect::<Vec<_>>())
        } else {
            let these = self.named.iter().filter(|(name, mode)| part.contains(mode) && *name != own);
            ("In", these.map(|(name, _)| (*name).to_owned()).collect())
        };
        names.sort_unstable();
        names.dedup();
        let requirement = LabelSelectorRequirement {
            key: NAME_LABEL.to_owned(),
            operator: operator.to_owned(),
            values: Some(names.clone()),
        };
        (!names.is_empty())
            .then(|| LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() })
    }
}
