//! `windows-host-process`: no Windows container runs on its node itself.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{Pod, Security};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowsHostProcess {}

impl Policy for WindowsHostProcess {
    const META: &'static Meta = &Meta {
        id: "windows-host-process",
        title: "a Windows container that runs on its node itself",
        severity: Severity::Critical,
        since: "0.1.0",
        why: "A HostProcess container is a process of the node, with the node's users, files and network: there is no \
              wall to break.",
        fix: "drop securityContext.windowsOptions.hostProcess",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.securityContext.windowsOptions.hostProcess"])
                .allow(&[Allowed::Absent, Allowed::Value("false")]),
            Fields::of_containers(&["securityContext.windowsOptions.hostProcess"])
                .allow(&[Allowed::Absent, Allowed::Value("false")]),
        ],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "HostProcess" }],
    };
}

impl Validator for WindowsHostProcess {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for context in request.pods().iter().flat_map(Pod::security_contexts).filter(Security::is_host_process) {
            report.add(context.at("windowsOptions.hostProcess"), "must not be true");
        }
        Ok(())
    }
}
