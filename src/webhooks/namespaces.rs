//! Namespaces by their names and labels, as admission selects them.

use std::ops::RangeInclusive;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::mode::Mode;
use crate::snapshot::RaisingLabel;

/// The label that every namespace carries with its own name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The strongest mode at the top, in each namespace that an entry names, and by each label that an entry matches.
pub(crate) struct Modes<'s> {
    top: Mode,
    named: Vec<(&'s str, Mode)>,
    raised: Vec<(&'s RaisingLabel, Mode)>,
}

impl<'s> Modes<'s> {
    /// The modes in these namespaces and, for the empty name, at the top.
    pub(crate) fn of(names: Vec<&'s str>, strongest: impl Fn(&str) -> Mode) -> Self {
        let named = names.into_iter().map(|name| (name, strongest(name))).collect();
        Self { top: strongest(""), named, raised: Vec::new() }
    }

    /// The same with the modes that labels give at least, in the order of their entries.
    #[must_use]
    pub(crate) fn raised(self, raised: Vec<(&'s RaisingLabel, Mode)>) -> Self {
        Self { raised, ..self }
    }

    /// True if cluster-scoped objects are in `part`: the top governs them.
    pub(crate) fn holds_top(&self, part: &RangeInclusive<Mode>) -> bool {
        part.contains(&self.top)
    }

    /// Selects the namespaces whose strongest mode by name is in `part`, and that no label raises above it, without our own; `None`
    /// where there is none.
    pub(crate) fn select(&self, part: &RangeInclusive<Mode>, own: &str) -> Option<LabelSelector> {
        let by_name = self.by_name(|mode| part.contains(&mode), own)?;
        Some(selector([by_name], self.above(part)))
    }

    /// Selects the namespaces whose strongest mode by name is below `part`, and which the label of the entry with this number (from
    /// 0) raises into it: none that a label raises above it, or that the label of an earlier entry raises into it too.
    pub(crate) fn select_raised(&self, entry: usize, part: &RangeInclusive<Mode>, own: &str) -> Option<LabelSelector> {
        let (label, _) = self.raised.get(entry).filter(|(_, mode)| part.contains(mode))?;
        let by_name = self.by_name(|mode| mode < *part.start(), own)?;
        let earlier = self.raised.iter().take(entry).filter(|(_, mode)| part.contains(mode));
        let others = self.above(part).chain(earlier.map(|(label, _)| by_label(label, "NotIn")));
        Some(selector([by_name, by_label(label, "In")], others))
    }

    /// Leaves out the namespaces that a label raises above `part`.
    fn above(&self, part: &RangeInclusive<Mode>) -> impl Iterator<Item = LabelSelectorRequirement> {
        let above = self.raised.iter().filter(move |(_, mode)| mode > part.end());
        above.map(|(label, _)| by_label(label, "NotIn"))
    }

    /// Demands one of the namespaces whose strongest mode by name is as asked, without our own; `None` where there is none.
    fn by_name(&self, is_in: impl Fn(Mode) -> bool, own: &str) -> Option<LabelSelectorRequirement> {
        let (operator, mut names) = if is_in(self.top) {
            let others = self.named.iter().filter(|(_, mode)| !is_in(*mode));
            ("NotIn", others.map(|(name, _)| (*name).to_owned()).chain([own.to_owned()]).collect::<Vec<_>>())
        } else {
            let these = self.named.iter().filter(|(name, mode)| is_in(*mode) && *name != own);
            ("In", these.map(|(name, _)| (*name).to_owned()).collect())
        };
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| requirement(NAME_LABEL, operator, names))
    }
}

fn by_label(label: &RaisingLabel, operator: &str) -> LabelSelectorRequirement {
    requirement(&label.key, operator, label.values.clone())
}

fn requirement(key: &str, operator: &str, values: Vec<String>) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values: Some(values) }
}

fn selector<const N: usize>(
    first: [LabelSelectorRequirement; N],
    others: impl Iterator<Item = LabelSelectorRequirement>,
) -> LabelSelector {
    let all = first.into_iter().chain(others).collect();
    LabelSelector { match_expressions: Some(all), ..LabelSelector::default() }
}
