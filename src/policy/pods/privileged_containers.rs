//! `privileged-containers`: no container is given the node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Container;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivilegedContainers {}

impl Policy for PrivilegedContainers {
    const META: &'static Meta = &Meta {
        id: "privileged-containers",
        title: "a privileged container",
        severity: Severity::Critical,
        since: "0.1.0",
        why: "A privileged container has every device and every capability of the node and none of the walls: whoever \
              gets code to run in it is root on the node.",
        fix: "drop securityContext.privileged, and add the one capability or device plugin that the program needs",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of_containers(&["securityContext.privileged"]).allow(&[Allowed::Absent, Allowed::Value("false")])
        ],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Privileged Containers" }],
    };
}

impl Validator for PrivilegedContainers {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers().filter(Container::is_privileged) {
            report.add(container.at("securityContext.privileged"), "must not be true");
        }
        Ok(())
    }
}
