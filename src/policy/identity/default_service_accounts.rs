//! `default-service-accounts`: every workload has an identity of its own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultServiceAccounts {}

impl Policy for DefaultServiceAccounts {
    const META: &'static Meta = &Meta {
        id: "default-service-accounts",
        title: "a workload that runs as the ServiceAccount default",
        severity: Severity::Low,
        since: "0.1.0",
        why: "Everything in a namespace that names no ServiceAccount shares `default`: whatever one of them is \
              granted, all of them hold.",
        fix: "create a ServiceAccount for the workload and name it in serviceAccountName",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.serviceAccountName", "spec.serviceAccount"])
            .allow(&[Allowed::Words("any name but `default`")])],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.1",
            name: "Ensure that default service accounts are not actively used",
        }],
    };
}

impl Validator for DefaultServiceAccounts {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        // The API server lets no mirror pod name a ServiceAccount (K/plugin/pkg/admission/serviceaccount/admission.go).
        if request.is_mirror_pod() {
            return Ok(());
        }
        for pod in request.pods().iter().filter(|pod| pod.service_account() == "default") {
            report.add(pod.at("spec.serviceAccountName"), "must name a ServiceAccount other than default");
        }
        Ok(())
    }
}
