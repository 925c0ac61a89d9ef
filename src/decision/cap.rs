//! The strongest mode that a finding may have on a request, whatever the configuration says.

use super::{existing, granted};
use crate::mode::Mode;
use crate::object::Pod;
use crate::policy::Finding;
use crate::request::{Operation, Request, Source};
use crate::snapshot::Snapshot;

/// True if another object, applied later, could still resolve the finding: it then refuses Pods only. Tools apply objects
/// in different orders, and some dry-run a whole set first. Manifests are judged with their whole set.
pub(super) fn may_be_resolved_later(request: &Request<'_>, finding: &Finding) -> bool {
    finding.depends_on_cluster && request.source == Source::ApiServer && request.pods().iter().all(Pod::is_template)
}

/// The strongest mode that any finding may have on this request.
pub(super) fn cap(snapshot: &Snapshot, request: &Request<'_>) -> Mode {
    if is_never_refused(snapshot, request) { Mode::Warn } else { Mode::Enforce }
}

/// True for requests that get warnings at most, whatever the mode.
fn is_never_refused(snapshot: &Snapshot, request: &Request<'_>) -> bool {
    request.operation == Operation::Delete
        || request.kind.group.is_empty() && request.kind.kind == "ServiceAccount"
        || request.user.name() == "system:apiserver"
        || granted::is_aggregation(request)
        || request.is_mirror_pod()
        || request.is_owned_template() && !existing::is_rewritten(snapshot, request)
}
