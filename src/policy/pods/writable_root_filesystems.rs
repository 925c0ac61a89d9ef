//! `writable-root-filesystems`: nobody can change the program that runs.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WritableRootFilesystems {}

impl Policy for WritableRootFilesystems {
    const META: &'static Meta = &Meta {
        id: "writable-root-filesystems",
        title: "a container that can write to its own image",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Whoever gets code to run in a container with a writable root can drop tools and change the program \
              itself. What must be written belongs on a volume, where it is seen.",
        fix: "set securityContext.readOnlyRootFilesystem: true on each container, and mount an emptyDir where the \
              program writes (often /tmp)",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.os.name"]),
            Fields::of_containers(&["securityContext.readOnlyRootFilesystem"]).allow(&[Allowed::Value("true")]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "NSA/CISA Kubernetes Hardening Guidance",
            name: "Immutable container file systems",
        }],
    };
}

impl Validator for WritableRootFilesystems {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            // The API server refuses the field on Windows pods (validateWindows).
            if !container.pod().is_windows() && container.read_only_root_filesystem() != Some(true) {
                report.add(container.at("securityContext.readOnlyRootFilesystem"), "must be true");
            }
        }
        Ok(())
    }
}
