//! `open-egress`: a NetworkPolicy that allows all egress says why.
//!
//! `src/facts/network_policy/openness.rs` says what all egress is. One policy is judged by itself: several that only together allow
//! everything are found at the Pods that they select, by `unisolated-pods`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::addresses::Widest;
use crate::facts::{Direction, Facts, NetworkPolicy, Pending, allow_everything};
use crate::object::resource::{self, NETWORK_POLICIES};
use crate::object::{Object, Path, Place, REASON};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// The rules that need no reason, in either direction.
pub(super) const NARROW_RULES: &[Allowed] = &[Allowed::Words(
    "rules that do not open every port of a protocol to a wide public block (`widest`: IPv4 /8, IPv6 /16) or to every pod of the \
     cluster",
)];
/// The field of the reason.
pub(super) const REASON_FIELD: Fields = Fields::of(&["metadata.annotations[portcullis.dev/reason]"])
    .allow(&[Allowed::Words("with open rules: the reason, which is recorded")]);
/// Controls of either direction.
pub(super) const CONTROLS: &[Control] =
    &[Control { standard: "NSA/CISA Kubernetes Hardening Guidance", name: "Network policies" }];

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OpenEgress {
    /// Smallest public blocks that count as everything.
    widest: Widest,
}

impl Policy for OpenEgress {
    const META: &'static Meta = &Meta {
        id: "open-egress",
        title: "a NetworkPolicy that allows all egress, and does not say why",
        severity: Severity::High,
        since: "0.1.0",
        why: "A NetworkPolicy that lets everything out isolates in name only: a broken container sends what it read to \
              anybody, and reaches every other pod.",
        fix: "allow only the peers and ports that the pods need, or write the reason into the annotation \
              portcullis.dev/reason",
        kinds: &[Kinds::Resource(NETWORK_POLICIES)],
        fields: &[Fields::of(&["spec.egress"]).allow(NARROW_RULES), REASON_FIELD],
        changes: &[],
        controls: CONTROLS,
    };
}

impl Validator for OpenEgress {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        judge_direction(Direction::Egress, self.widest, request, report);
        Ok(())
    }
}

/// Demands a reason of a NetworkPolicy that allows everything in a direction.
pub(super) fn judge_direction(direction: Direction, widest: Widest, request: &Request<'_>, report: &mut Report) {
    let Some(written) = request.object_as::<resource::NetworkPolicy<'_>>() else { return };
    let policy = NetworkPolicy::of(written, &request.namespace);
    if !allow_everything([&policy], direction, widest) {
        return;
    }
    match request.object.as_ref().and_then(|object: &Object<'_>| object.metadata().annotation(REASON)).map(str::trim) {
        Some(reason) if !reason.is_empty() => report.state(reason),
        _ => report.add(
            // An old policy may stay open for the Pods that it selects, and no wider.
            Place::field(Path::root().fields("spec").fields(direction.noun())).holding(
                ["podSelector", direction.noun()].map(|field| request.raw(&["spec", field]).unwrap_or_default()),
            ),
            format_args!("must not allow all {} without a reason in the annotation {REASON}", direction.noun()),
        ),
    }
}
