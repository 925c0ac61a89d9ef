//! `missing-user-namespaces`: root in a pod is nobody on the node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MissingUserNamespaces {}

impl Policy for MissingUserNamespaces {
    const META: &'static Meta = &Meta {
        id: "missing-user-namespaces",
        title: "a pod without a user namespace of its own",
        severity: Severity::Low,
        since: "0.1.0",
        why: "In a user namespace even root, with every capability that the pod was granted, is an ordinary user on \
              the node, and most ways out of a container lead nowhere.",
        fix: "set hostUsers: false on the pod",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.hostUsers"]).allow(&[Allowed::Value("false")]), Fields::of(&["spec.os.name"])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for MissingUserNamespaces {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            // The API server refuses the field on Windows pods (validateWindows).
            if !pod.is_windows() && !pod.has_user_namespace() {
                report.add(pod.at("spec.hostUsers"), "must be false");
            }
        }
        Ok(())
    }
}
