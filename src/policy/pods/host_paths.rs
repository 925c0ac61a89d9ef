//! `host-paths`: no pod mounts the file system of its node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Pod;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostPaths {}

impl Policy for HostPaths {
    const META: &'static Meta = &Meta {
        id: "host-paths",
        title: "a volume from the node's file system",
        severity: Severity::High,
        since: "0.1.0",
        why: "A path of the node brings in the kubelet's credentials, other pods' volumes and the runtime's socket, \
              and a file written there may run as root outside.",
        fix: "set an emptyDir, a persistentVolumeClaim or a csi volume in the place of hostPath",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.volumes[*].hostPath"]).allow(&[Allowed::Absent])],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "HostPath Volumes" }],
    };
}

impl Validator for HostPaths {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for volume in request.pods().iter().flat_map(Pod::volumes) {
            if volume.sources().any(|source| source == "hostPath") {
                report.add(volume.at("hostPath"), "must not be set: the volume is a part of the node's file system");
            }
        }
        Ok(())
    }
}
