//! What a reload made weaker.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Snapshot;
use crate::mode::Mode;

/// A policy that acts less far than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weaker {
    /// Its id.
    pub policy: &'static str,
    /// The namespace, `*` for all that no entry names.
    pub namespace: String,
    /// How far it acted.
    pub from: Mode,
    /// How far it acts now.
    pub to: Mode,
}

/// Every policy that acts less far in `new` than in `old`, by namespace. A change of settings shows in the digest alone.
pub fn weaker(old: &Snapshot, new: &Snapshot) -> Vec<Weaker> {
    let names: BTreeSet<&str> = old.by_name.keys().chain(new.by_name.keys()).map(String::as_str).collect();
    let compare = |namespace: &str, shown: &str| -> Vec<Weaker> {
        let (before, after) = (old.scope(namespace), new.scope(namespace));
        let found = before.stronger_than(after).map(|(meta, from, to)| Weaker {
            policy: meta.id,
            namespace: shown.to_owned(),
            from,
            to,
        });
        found.collect()
    };
    // No namespace has the empty name: it is governed by the top.
    let everywhere = compare("", "*");
    let mut all = everywhere.clone();
    for name in names {
        let same = |weaker: &Weaker| {
            everywhere.iter().any(|top| (top.policy, top.from, top.to) == (weaker.policy, weaker.from, weaker.to))
        };
        all.extend(compare(name, name).into_iter().filter(|weaker| !same(weaker)));
    }
    all
}
