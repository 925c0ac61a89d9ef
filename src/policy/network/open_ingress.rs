//! `open-ingress`: a NetworkPolicy that allows all ingress says why.
//!
//! It is `open-egress` in the other direction.

use schemars::JsonSchema;
use serde::Deserialize;

use super::open_egress::{CONTROLS, NARROW_RULES, REASON_FIELD, judge_direction};
use crate::addresses::Widest;
use crate::facts::{Direction, Facts, Pending};
use crate::object::resource::NETWORK_POLICIES;
use crate::policy::{Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OpenIngress {
    /// Smallest public blocks that count as everything.
    widest: Widest,
}

impl Policy for OpenIngress {
    const META: &'static Meta = &Meta {
        id: "open-ingress",
        title: "a NetworkPolicy that allows all ingress, and does not say why",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "A NetworkPolicy that lets everything in isolates in name only: every pod of the cluster, and often the \
              world, reaches each port of the pods that it selects.",
        fix: "allow only the peers and ports that the pods serve, or write the reason into the annotation \
              portcullis.dev/reason",
        kinds: &[Kinds::Resource(NETWORK_POLICIES)],
        fields: &[Fields::of(&["spec.ingress"]).allow(NARROW_RULES), REASON_FIELD],
        changes: &[],
        controls: CONTROLS,
    };
}

impl Validator for OpenIngress {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        judge_direction(Direction::Ingress, self.widest, request, report);
        Ok(())
    }
}
