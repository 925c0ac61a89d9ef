//! Exceptions of one namespace, found by the name of an object: cheap where none is about it, however many there are.

use std::collections::HashMap;

use super::{Name, NameMatch, Shared};

/// Exceptions by the name that they match.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    exact: HashMap<String, Vec<Shared>>,
    prefixes: HashMap<String, Vec<Shared>>,
    /// Length of each prefix in bytes, each length once: as many look-ups.
    lengths: Vec<usize>,
    /// Those that match any name.
    others: Vec<Shared>,
}

impl Named {
    /// Adds an exception.
    pub(super) fn add(&mut self, exception: Shared) {
        let list = match &exception.matching.name {
            Some(NameMatch::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Some(NameMatch::Prefix(prefix)) => {
                if !self.lengths.contains(&prefix.len()) {
                    self.lengths.push(prefix.len());
                }
                self.prefixes.entry(prefix.clone()).or_default()
            }
            None => &mut self.others,
        };
        list.push(exception);
    }

    /// The exceptions whose name matches.
    pub(super) fn matching<'e>(&'e self, name: Name<'_>) -> impl Iterator<Item = &'e Shared> {
        let (text, exact) = match name {
            Name::Exact(name) => (name, self.exact.get(name)),
            Name::Generated(beginning) => (beginning, None),
        };
        let prefixes = self.lengths.iter().filter_map(move |length| self.prefixes.get(text.get(..*length)?));
        exact.into_iter().chain(prefixes).flatten().chain(&self.others)
    }
}
