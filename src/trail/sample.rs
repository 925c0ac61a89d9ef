//! Decisions that are counted instead of written: of those without a finding, when an operator says so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::event::Omitted;
use crate::lock::lock;

/// Sorts that are told apart; what comes beyond them is counted under `*`.
const SORTS: usize = 1_024;

/// Writes one decision in so many, and counts the others exactly.
#[derive(Debug)]
pub struct Sampler {
    /// One in so many is written; 1 for all.
    every: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: u64,
    omitted: BTreeMap<Sort, u64>,
}

/// What is told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    endpoint: &'static str,
    operation: &'static str,
    kind: String,
    namespace: String,
}

impl Sampler {
    /// One that writes one decision in `every`.
    pub fn new(every: u64) -> Self {
        Self { every: every.max(1), state: Mutex::default() }
    }

    /// One in how many is written.
    pub fn every(&self) -> u64 {
        self.every
    }

    /// Whether this one is written; it is counted if not.
    pub fn is_written(&self, endpoint: &'static str, operation: &'static str, kind: &str, namespace: &str) -> bool {
        if self.every == 1 {
            return true;
        }
        let mut state = lock(&self.state);
        state.seen += 1;
        if state.seen % self.every == 1 {
            return true;
        }
        let sort = |kind: &str, namespace: &str| Sort {
            endpoint,
            operation,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
        };
        let mut key = sort(kind, namespace);
        if state.omitted.len() >= SORTS && !state.omitted.contains_key(&key) {
            key = sort("*", "*");
        }
        *state.omitted.entry(key).or_default() += 1;
        false
    }

    /// What was counted since this was last asked.
    pub fn take(&self) -> Vec<Omitted> {
        let omitted = std::mem::take(&mut lock(&self.state).omitted);
        let row = |(sort, count): (Sort, u64)| Omitted {
            endpoint: sort.endpoint,
            operation: sort.operation,
            kind: sort.kind,
            namespace: sort.namespace,
            count,
        };
        omitted.into_iter().map(row).collect()
    }

    /// Takes back what could not be written down.
    pub fn put_back(&self, omitted: Vec<Omitted>) {
        let mut state = lock(&self.state);
        for row in omitted {
            let sort =
                Sort { endpoint: row.endpoint, operation: row.operation, kind: row.kind, namespace: row.namespace };
            *state.omitted.entry(sort).or_default() += row.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SORTS, Sampler};

    #[test]
    fn what_is_not_written_is_counted_exactly() {
        let sampler = Sampler::new(10);
        let is_written = |number: usize| {
            sampler.is_written("validate", "CREATE", "Pod", &format!("namespace-{}", number % (SORTS + 500)))
        };
        let written = (0..20_000).filter(|number| is_written(*number)).count() as u64;
        let omitted = sampler.take();
        assert!(omitted.len() <= SORTS + 1);
        assert_eq!(written + omitted.iter().map(|row| row.count).sum::<u64>(), 20_000);
        assert_eq!(written, 2_000);
        sampler.put_back(omitted.clone());
        assert_eq!(sampler.take(), omitted);
        assert!(sampler.take().is_empty());
    }
}
