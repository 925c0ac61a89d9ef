//! The strongest mode that a finding may have on a request, whatever the configuration says.

use super::{existing, granted};
use crate::engine::ActivePolicy;
use crate::mode::Mode;
use crate::object::Pod;
use crate::policy::Finding;
use crate::request::{Operation, Request, Source};
use crate::snapshot::Snapshot;

/// True if another object, applied later, could still resolve the finding: it then refuses Pods only. Tools apply objects
/// in different orders, and some dry-run a whole set first. Manifests are judged with their whole set. On objects without pods a
/// policy may be set to refuse all the same.
pub(super) fn may_be_resolved_later(policy: &ActivePolicy, request: &Request<'_>, finding: &Finding) -> bool {
    let is_raised = request.pods().is_empty()
        && match request.operation {
            Operation::Update => policy.strict_updates,
            Operation::Delete => policy.enforces_deletes,
            Operation::Create | Operation::Connect => false,
        };
    finding.depends_on_cluster
        && request.source == Source::ApiServer
        && request.pods().iter().all(Pod::is_template)
        && !is_raised
}

/// The strongest mode that any finding on the object may have on this request.
pub(super) fn cap(snapshot: &Snapshot, request: &Request<'_>) -> Mode {
    let is_judged_at_owner = request.is_owned_template() && !existing::is_rewritten(snapshot, request);
    if is_judged_at_owner { Mode::Warn } else { cap_on_writers(request) }
}

/// The strongest mode that a finding on the writer may have on this request. Whoever invents an owner gains nothing: of the
/// objects that a controller owns, its own user is the writer.
pub(super) fn cap_on_writers(request: &Request<'_>) -> Mode {
    if is_never_refused(request) { Mode::Warn } else { Mode::Enforce }
}

/// True for requests that get warnings at most, whatever the mode. Deletions are such requests unless a policy has
/// `deletes: enforce` ([`ActivePolicy::mode_on`]).
fn is_never_refused(request: &Request<'_>) -> bool {
    request.operation == Operation::Delete && request.is_by_cleaner()
        || request.kind.group.is_empty() && request.kind.kind == "ServiceAccount"
        || request.user.name() == "system:apiserver"
        || granted::is_aggregation(request)
        || request.is_mirror_pod()
}
