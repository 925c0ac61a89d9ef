//! Decisions that are counted instead of written: of those without a finding, when an operator says so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::stream::Omitted;
use crate::bound::encoded;
use crate::lock::lock;

/// Sorts that are told apart; what comes beyond them is counted under `*`.
const SORTS: usize = 1_024;
/// Bytes of a kind or a namespace that is told apart; Kubernetes knows none that is longer.
const NAME: usize = 253;
/// Rows of one record, and their bytes.
const ROWS: usize = 256;
const BYTES: usize = 64 << 10;
/// Bytes of a row beside its names, at most.
const ROW: usize = 128;

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

/// Fields by which decisions are counted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    endpoint: &'static str,
    operation: &'static str,
    kind: String,
    namespace: String,
}

impl State {
    /// Counts so many more of a sort. Whoever sends reviews makes up the names: no row and no table grows by them.
    fn add(&mut self, endpoint: &'static str, operation: &'static str, names: [&str; 2], count: u64) {
        let sort = |[kind, namespace]: [&str; 2]| Sort {
            endpoint,
            operation,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
        };
        let others = ["*"; 2];
        let mut key = sort(if names.into_iter().all(is_name) { names } else { others });
        if self.omitted.len() >= SORTS && !self.omitted.contains_key(&key) {
            key = sort(others);
        }
        *self.omitted.entry(key).or_default() += count;
    }
}

/// Returns true if a row may hold it.
fn is_name(text: &str) -> bool {
    text.len() <= NAME && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
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

    /// Returns true if this decision is written; it is counted if not.
    pub fn is_written(&self, endpoint: &'static str, operation: &'static str, kind: &str, namespace: &str) -> bool {
        if self.every == 1 {
            return true;
        }
        let mut state = lock(&self.state);
        state.seen += 1;
        if state.seen % self.every == 1 {
            return true;
        }
        state.add(endpoint, operation, [kind, namespace], 1);
        false
    }

    /// Has `write` write down what was counted since the last time, a record's worth of rows at once. What it fails to
    /// write is counted on.
    ///
    /// # Errors
    /// Its last failure.
    pub async fn write_down<W, E>(&self, write: impl Fn(&[Omitted]) -> W) -> Result<(), E>
    where
        W: Future<Output = Result<(), E>>,
    {
        let mut outcome = Ok(());
        let omitted = self.take();
        let mut rest = omitted.as_slice();
        while !rest.is_empty() {
            let (rows, later) = rest.split_at(fitting(rest));
            rest = later;
            if let Err(error) = write(rows).await {
                self.put_back(rows);
                outcome = Err(error);
            }
        }
        outcome
    }

    fn take(&self) -> Vec<Omitted> {
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

    fn put_back(&self, rows: &[Omitted]) {
        let mut state = lock(&self.state);
        for row in rows {
            state.add(row.endpoint, row.operation, [&row.kind, &row.namespace], row.count);
        }
    }
}

/// Number of rows that one record holds, one at least.
fn fitting(rows: &[Omitted]) -> usize {
    let mut bytes = 0;
    let fits = |row: &&Omitted| {
        bytes += ROW + encoded(&row.kind) + encoded(&row.namespace);
        bytes <= BYTES
    };
    rows.iter().take(ROWS).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::{NAME, Omitted, ROWS, SORTS, Sampler};

    fn sum(rows: &[Omitted]) -> u64 {
        rows.iter().map(|row| row.count).sum()
    }

    /// Asks about namespaces of these numbers; says how many were written.
    fn ask(sampler: &Sampler, numbers: std::ops::Range<usize>) -> u64 {
        let is_written =
            |number: &usize| sampler.is_written("validate", "CREATE", "Pod", &format!("namespace-{number}"));
        numbers.filter(is_written).count() as u64
    }

    #[test]
    fn what_is_not_written_is_counted_exactly() {
        let sampler = Sampler::new(10);
        let written: u64 = (0..10).map(|_| ask(&sampler, 0..SORTS + 500)).sum();
        let omitted = sampler.take();
        assert!(omitted.len() <= SORTS + 1);
        let asked = 10 * (SORTS as u64 + 500);
        assert_eq!(written + sum(&omitted), asked);
        assert_eq!(written, asked.div_ceil(10));
        sampler.put_back(&omitted);
        assert_eq!(sum(&sampler.take()), sum(&omitted));
        assert!(sampler.take().is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_written_again_and_again_stays_small_and_exact() {
        let sampler = Sampler::new(u64::MAX);
        let (asked, written) = (Cell::new(0), Cell::new(0));
        let ask_more = || {
            written.set(written.get() + ask(&sampler, asked.get()..asked.get() + SORTS));
            asked.set(asked.get() + SORTS);
        };
        ask_more();
        for _ in 0..4 {
            // Others come while one is being written.
            let write = |_: &[Omitted]| {
                ask_more();
                std::future::ready(Err("a full disk"))
            };
            assert_eq!(sampler.write_down(write).await, Err("a full disk"));
        }
        let omitted = sampler.take();
        assert!(omitted.len() <= SORTS + 1, "{}", omitted.len());
        assert_eq!(written.get() + sum(&omitted), asked.get() as u64);
    }

    #[tokio::test]
    async fn a_record_holds_so_many_rows_and_each_is_written_once() {
        let sampler = Sampler::new(u64::MAX);
        let asked = ROWS * 3 + 8;
        let mut total = ask(&sampler, 0..asked);
        let (calls, records) = (Cell::new(0), RefCell::new(Vec::new()));
        let write = |rows: &[Omitted]| {
            calls.set(calls.get() + 1);
            // Every second one cannot be written.
            let is_written = calls.get() % 2 == 1;
            if is_written {
                records.borrow_mut().push(rows.to_vec());
            }
            std::future::ready(if is_written { Ok(()) } else { Err(()) })
        };
        while sampler.write_down(&write).await.is_err() {}
        let records = records.into_inner();
        assert!(records.len() > 3 && records.iter().all(|rows| rows.len() <= ROWS));
        total += records.iter().map(|rows| sum(rows)).sum::<u64>();
        assert_eq!(total, asked as u64);
    }

    #[test]
    fn names_that_kubernetes_does_not_know_are_not_told_apart() {
        let sampler = Sampler::new(u64::MAX);
        let (most, long) = ("n".repeat(NAME), "n".repeat(NAME + 1));
        let asked = [
            ("Pod", "shop"),
            ("Pod", ""),
            ("Pod", &most),
            ("Pod", &long),
            (&long, "shop"),
            ("Pod", "\u{1}"),
            ("Pöd", ""),
        ];
        assert!(sampler.is_written("validate", "CREATE", "Pod", "shop"));
        for (kind, namespace) in asked {
            assert!(!sampler.is_written("validate", "CREATE", kind, namespace));
        }
        let omitted = sampler.take();
        let told: Vec<(&str, &str, u64)> = omitted.iter().map(|row| (&*row.kind, &*row.namespace, row.count)).collect();
        assert_eq!(told, [("*", "*", 4), ("Pod", "", 1), ("Pod", &most, 1), ("Pod", "shop", 1)]);
    }
}
