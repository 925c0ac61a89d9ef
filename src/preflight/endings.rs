//! `ending-exception`: an exception that covers something soon no longer.

use jiff::SignedDuration;

use super::{Seen, Trap};
use crate::snapshot::Snapshot;

/// Time before the end of an exception from which on it is a trap.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) fn traps(seen: &Seen, snapshot: &Snapshot) -> Vec<Trap> {
    let ending = snapshot
        .exceptions()
        .iter()
        .filter(|exception| exception.expires > seen.now && exception.expires.duration_since(seen.now) <= SOON);
    let trap = |exception: &crate::exception::Shared| {
        Trap::new(
            "ending-exception",
            format!("exception {}", exception.name),
            format!("ends at {}: what it covers is refused from then on", exception.expires),
            "mend what it covers, or give it a later end",
        )
    };
    ending.map(trap).collect()
}
