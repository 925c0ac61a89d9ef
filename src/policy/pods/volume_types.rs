//! `volume-types`: volumes hold what Kubernetes itself manages.

use schemars::JsonSchema;
use serde::Deserialize;

use super::host_paths::HostPaths;
use crate::facts::{Facts, Pending};
use crate::object::Pod;
use crate::pod_security::Version;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::{Request, Source};

/// The types that the standard allows.
const MANAGED: [Allowed; 9] = [
    Allowed::Value("configMap"),
    Allowed::Value("csi"),
    Allowed::Value("downwardAPI"),
    Allowed::Value("emptyDir"),
    Allowed::Value("ephemeral"),
    Allowed::Value("image"),
    Allowed::Value("persistentVolumeClaim"),
    Allowed::Value("projected"),
    Allowed::Value("secret"),
];

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeTypes {}

impl Policy for VolumeTypes {
    const META: &'static Meta = &Meta {
        id: "volume-types",
        title: "a volume of a type that reaches past Kubernetes",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Inline volumes of the older types name hosts, disks and credentials of the storage in the pod itself, \
              past the rights that guard PersistentVolumes.",
        fix: "drop the volume, or set it to an emptyDir, a configMap, a secret, a projected volume, a \
              persistentVolumeClaim, an image or a CSI driver's",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of(&["spec.volumes[*]"]).allow(&MANAGED)],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, restricted", name: "Volume Types" }],
    };

    fn replaces(_: Version) -> &'static [&'static Meta] {
        &[HostPaths::META]
    }
}

impl Validator for VolumeTypes {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for volume in request.pods().iter().flat_map(Pod::volumes) {
            if volume.sources().any(|source| Allowed::names(&MANAGED, source, Version::LATEST)) {
                continue;
            }
            match volume.sources().next() {
                Some(source) => {
                    let (place, source) = (volume.at(source), quoted(source));
                    report.add(place, format_args!("must be of another type: {source} is not managed by Kubernetes"));
                }
                // The API server completes such a volume as an emptyDir.
                None if request.source == Source::Manifest => {}
                None => report.add(volume.at(""), "must say where its content comes from"),
            }
        }
        Ok(())
    }
}
