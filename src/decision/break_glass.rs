//! Break-glass: a member of a group that the configuration names sends an object with a reason on it, and its findings do not
//! refuse it.
//!
//! It covers that object alone: what a controller makes of it is sent by the controller, which is in no such group. Like an
//! exception it takes away nothing but refusals for findings: where a policy failed, the object is refused all the same.

use std::sync::Arc;

use super::{Exemption, ModedFinding};
use crate::object::{Object, REASON};
use crate::request::{Operation, Request};
use crate::snapshot::Snapshot;

/// A use of break-glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// The first of the configured groups that the user is in.
    pub group: String,
    /// The reason, as the object states it.
    pub reason: String,
}

impl BreakGlass {
    /// Group and reason, if the user is in one of the groups and the object states a reason.
    pub fn of(snapshot: &Snapshot, request: &Request<'_>) -> Option<Self> {
        let groups = snapshot.break_glass();
        if groups.is_empty() || !matches!(request.operation, Operation::Create | Operation::Update) {
            return None;
        }
        let reason = request.object.as_ref().map(Object::metadata)?.annotation(REASON)?.trim();
        let group = groups.iter().find(|group| request.user.is_in(group))?;
        (!reason.is_empty()).then(|| Self { group: group.clone(), reason: reason.to_owned() })
    }
}

/// Marks every finding that still refuses, if the request breaks the glass.
pub(super) fn mark(snapshot: &Snapshot, request: &Request<'_>, findings: &mut [ModedFinding]) {
    let mut refusing = findings.iter_mut().filter(|finding| finding.refuses() && !finding.failed).peekable();
    if refusing.peek().is_none() {
        return;
    }
    let Some(glass) = BreakGlass::of(snapshot, request).map(Arc::new) else { return };
    for finding in refusing {
        finding.exemption = Some(Exemption::BreakGlass(Arc::clone(&glass)));
    }
}
