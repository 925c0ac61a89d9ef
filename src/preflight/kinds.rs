//! `missing-kind`: a row of `workloads` whose kind is not served.

use super::{Seen, Trap};
use crate::snapshot::Snapshot;

pub(super) fn traps(seen: &Seen, _: &Snapshot) -> Vec<Trap> {
    let trap = |line: &String| {
        Trap::new(
            "missing-kind",
            format!("workloads: {line}"),
            "nothing of it is judged",
            "correct `group`, `kind` or `resource`, or remove the row until its CustomResourceDefinition is installed",
        )
    };
    seen.missing.iter().map(trap).collect()
}
