//! What an exception would have to name to cover a finding: for `scan`, which writes such exceptions.

use super::ModedFinding;
use crate::exception::{Containers, Cover};
use crate::facts::OwnerKind;
use crate::snapshot::Snapshot;

/// What an exception has to name, beside the policy, to cover a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The container and the images.
    pub cover: Cover,
    /// Kind and name of the topmost owner of the object, if an exception for that one covers the finding too.
    pub owner: Option<(OwnerKind, String)>,
}

/// Traces the findings that refuse, and that an exception may cover.
pub(super) fn mark(snapshot: &Snapshot, containers: &Containers<'_>, findings: &mut [ModedFinding]) {
    if !snapshot.traces() {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| finding.refuses() && !finding.failed) {
        let cover = containers.spot(&finding.place).cover();
        finding.trace = Some(Box::new(Trace { cover, owner: None }));
    }
}

/// Adds the topmost owner, whose template has the finding too.
pub(super) fn mark_owner(finding: &mut ModedFinding, kind: OwnerKind, name: &str) {
    if let Some(trace) = &mut finding.trace {
        trace.owner = Some((kind, name.to_owned()));
    }
}
