//! Selects the entries of a long list to show, so that many minor ones cannot hide the one that matters.

use std::collections::{BTreeMap, HashMap};

use super::ModedFinding;
use crate::mode::Mode;
use crate::policy::Severity;

/// The entries of a list to show, and exact counts of the rest.
pub struct Selection<'t, T> {
    /// Entries to show.
    pub kept: Vec<&'t T>,
    /// Number of findings not shown, by policy id.
    pub omitted: BTreeMap<&'static str, usize>,
}

/// The effect of an entry, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It refuses the request.
    Refuses,
    /// It is returned as a warning; of a mutator, it is set.
    Warns,
    /// It is recorded.
    Recorded,
}

/// An entry of a list that may be too long to show in full.
pub trait Entry {
    /// Id of its policy.
    fn policy(&self) -> &'static str;

    /// Its effect.
    fn weight(&self) -> Weight {
        Weight::Warns
    }

    /// Severity of its policy.
    fn severity(&self) -> Severity {
        Severity::Low
    }

    /// Number of findings that it stands for.
    fn count(&self) -> usize {
        1
    }
}

impl Entry for ModedFinding {
    fn policy(&self) -> &'static str {
        self.meta.id
    }

    fn weight(&self) -> Weight {
        match self.mode {
            _ if self.refuses() => Weight::Refuses,
            Mode::Enforce | Mode::Warn => Weight::Warns,
            Mode::Audit | Mode::Off => Weight::Recorded,
        }
    }

    fn severity(&self) -> Severity {
        self.meta.severity
    }

    fn count(&self) -> usize {
        self.count
    }
}

impl Entry for crate::patch::Operation {
    fn policy(&self) -> &'static str {
        Self::policy(self)
    }
}

/// Selects at most `most` entries. If there are more, the entry with the strongest effect of each policy comes first,
/// ordered by effect and then by severity; the others follow in their order.
pub fn select<'t, T: Entry>(entries: impl IntoIterator<Item = &'t T>, most: usize) -> Selection<'t, T> {
    let entries: Vec<&T> = entries.into_iter().collect();
    let kept = if entries.len() <= most { entries.clone() } else { first(&entries, most) };
    let mut omitted = BTreeMap::new();
    // In the usual case everything is shown and each entry stands for itself: no counts are needed.
    if kept.len() < entries.len() || kept.iter().any(|entry| entry.count() > 1) {
        for entry in &entries {
            *omitted.entry(entry.policy()).or_default() += entry.count();
        }
        for entry in &kept {
            omitted.entry(entry.policy()).and_modify(|count| *count -= 1);
        }
        omitted.retain(|_, count| *count > 0);
    }
    Selection { kept, omitted }
}

fn first<'t, T: Entry>(entries: &[&'t T], most: usize) -> Vec<&'t T> {
    let mut by_policy: HashMap<&str, usize> = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let known = by_policy.entry(entry.policy()).or_insert(place);
        if entry.weight() < entries[*known].weight() {
            *known = place;
        }
    }
    let mut places: Vec<usize> = by_policy.into_values().collect();
    places.sort_by_key(|place| (entries[*place].weight(), std::cmp::Reverse(entries[*place].severity()), *place));
    places.truncate(most);
    let mut is_kept = vec![false; entries.len()];
    for place in &places {
        is_kept[*place] = true;
    }
    let others = (0..entries.len()).filter(|place| !is_kept[*place]).take(most - places.len());
    places.iter().copied().chain(others).map(|place| entries[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Severity, Weight, select};

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Item(&'static str, Weight, Severity, usize);

    impl Entry for Item {
        fn policy(&self) -> &'static str {
            self.0
        }
        fn weight(&self) -> Weight {
            self.1
        }
        fn severity(&self) -> Severity {
            self.2
        }
        fn count(&self) -> usize {
            self.3
        }
    }

    #[test]
    fn one_of_each_policy_comes_first_and_the_rest_is_counted() {
        let many = |policy, weight, severity| vec![Item(policy, weight, severity, 1); 100];
        let refusing = Item("a", Weight::Refuses, Severity::Low, 1);
        let mut items = many("a", Weight::Recorded, Severity::Low);
        items.extend(many("b", Weight::Warns, Severity::Low));
        items.extend(many("c", Weight::Warns, Severity::High));
        items.push(Item("c", Weight::Warns, Severity::High, 872));
        items.push(refusing);
        items.push(Item("d", Weight::Refuses, Severity::Critical, 1));
        let all: usize = items.iter().map(|item| item.3).sum();
        let chosen = select(&items, 64);
        assert_eq!(chosen.kept.len(), 64);
        let first: Vec<&str> = chosen.kept.iter().take(5).map(|item| item.0).collect();
        assert_eq!(first, ["d", "a", "c", "b", "a"]);
        assert_eq!(*chosen.kept[1], refusing);
        assert_eq!(chosen.omitted.values().sum::<usize>(), all - 64);
        assert_eq!((chosen.omitted["a"], chosen.omitted["b"], chosen.omitted["c"]), (40, 99, 971));
        assert!(!chosen.omitted.contains_key("d"));
    }

    #[test]
    fn what_fits_keeps_its_order_and_more_policies_than_places_are_cut_by_weight() {
        let ids: Vec<&'static str> = (0..70).map(|number| &*Box::leak(format!("p{number}").into_boxed_str())).collect();
        let item = |place: usize| {
            let weight = if place < 60 { Weight::Recorded } else { Weight::Refuses };
            Item(ids[place], weight, Severity::Low, 1)
        };
        let items: Vec<Item> = (0..70).map(item).collect();
        let short = select(&items[..64], 64);
        assert!(short.omitted.is_empty() && short.kept.iter().map(|item| item.0).eq(ids[..64].iter().copied()));
        let chosen = select(&items, 64);
        let kept: Vec<&str> = chosen.kept.iter().map(|item| item.0).collect();
        assert_eq!(kept, [&ids[60..], &ids[..54]].concat());
        assert_eq!(chosen.omitted.keys().copied().collect::<Vec<_>>().len(), 6);
    }
}
