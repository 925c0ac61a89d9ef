//! `enforced-system-namespace`: the cluster's own components are judged.

use super::{Seen, Trap, is_enforced};
use crate::snapshot::Snapshot;

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    let trap = || {
        Trap::new(
            "enforced-system-namespace",
            "namespace kube-system",
            "is enforced: while no replica answers, Pods of the cluster's own components cannot be created, and most of them \
             break a policy",
            "add {match: {names: [kube-system]}, ceiling: audit, relax: true} to `namespaces`, and take from it the labels that entries \
             match",
        )
    };
    is_enforced(seen, snapshot, "kube-system").then(trap).into_iter().collect()
}
