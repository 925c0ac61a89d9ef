//! `old-api-server`: a version of Kubernetes that is not supported.

use super::{Seen, Trap};
use crate::snapshot::Snapshot;

/// Oldest supported version.
const OLDEST: (u32, u32) = (1, 34);

pub(super) fn traps(seen: &Seen, _: &Snapshot) -> Vec<Trap> {
    let old = seen.version.filter(|version| *version < OLDEST);
    let trap = |(major, minor)| {
        Trap::new(
            "old-api-server",
            format!("the API server, version {major}.{minor}"),
            "is older than the oldest supported version: what it sends and stores is not tested",
            format!("upgrade to {}.{} or later", OLDEST.0, OLDEST.1),
        )
    };
    old.map(trap).into_iter().collect()
}
