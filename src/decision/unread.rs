//! Findings for fields that could not be read and that the update left unchanged: recorded, but refusing nothing.

use super::{FindingKind, ModedFinding, cap, governing, strict};
use crate::engine::Outcome;
use crate::facts::Facts;
use crate::mode::Mode;
use crate::object::Object;
use crate::policy::{Meta, Severity};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// The fields, as findings name them: no policy of the catalogue.
static META: Meta = Meta {
    id: "unreadable-fields",
    title: "a field that cannot be read and was left as it was",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "A field that holds something else than its type cannot be judged; a new object with such a field is refused.",
    fix: "set the field to what its type asks for",
    kinds: &[],
    fields: &[],
    changes: &[],
    controls: &[],
};

/// Adds a finding for each such field, in place of the policies' findings about it: they could not see its value. A policy
/// with strict updates makes it refuse.
pub(super) fn add(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut Vec<ModedFinding>,
) {
    let unread = request.object.as_ref().map(Object::unread).unwrap_or_default();
    if unread.is_empty() {
        return;
    }
    findings.retain(|finding| !unread.iter().any(|field| finding.place.path.is_within(&field.place.path)));
    let strictest = outcomes.iter().filter(|outcome| outcome.policy.strict_updates).map(|outcome| outcome.policy.mode);
    let mode = governing::strongest(snapshot, request, facts).min(cap(snapshot, request));
    let is_excused = strictest.max().is_none_or(|mode| mode < Mode::Enforce) || strict::spares(request);
    if mode > Mode::Off {
        findings.extend(unread.iter().map(|field| ModedFinding {
            meta: &META,
            place: field.place.clone(),
            message: format!("must be readable: {}", field.why.message),
            mode,
            configured: None,
            inherited: is_excused,
            is_of_owner: false,
            failed: false,
            alike: None,
            exemption: None,
            trace: None,
            kind: FindingKind::Flaw,
            count: 1,
            text: std::sync::OnceLock::new(),
        }));
    }
}
