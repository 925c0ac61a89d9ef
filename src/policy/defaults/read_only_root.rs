//! `default-read-only-root`: a root filesystem that nobody writes to, and room where programs do write.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Defaulter, Edits, Mutator, Safety, Target};
use crate::object::{Container, ContainerList, Pod};
use crate::policy::{Meta, Severity};

/// Documentation of the policy.
const META: Meta = Meta {
    id: "default-read-only-root",
    title: "readOnlyRootFilesystem: true on containers that say nothing, with an emptyDir on /tmp",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "A program that cannot be changed where it lies is harder to turn against its owner. Images that write outside \
          the listed paths do not survive it: run in mode audit first and read would-patch in the trail.",
    fix: "write securityContext.readOnlyRootFilesystem in the container, and nothing is set",
    fields: &[
        "spec.containers[*].securityContext.readOnlyRootFilesystem",
        "spec.initContainers[*].securityContext.readOnlyRootFilesystem",
        "spec.ephemeralContainers[*].securityContext.readOnlyRootFilesystem",
        "spec.containers[*].volumeMounts",
        "spec.initContainers[*].volumeMounts",
        "spec.volumes",
    ],
    controls: &[],
};

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DefaultReadOnlyRoot {
    /// Where each container gets an emptyDir of its own.
    paths: Vec<MountPath>,
}

/// An absolute path without a colon, as `volumeMounts[].mountPath` takes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct MountPath(String);

impl TryFrom<String> for MountPath {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        let is_plain = path.len() > 1 && !path.contains(':') && !path.split('/').any(|part| part == "..");
        if path.starts_with('/') && is_plain { Ok(Self(path)) } else { Err("must be an absolute path without a colon") }
    }
}

impl Default for DefaultReadOnlyRoot {
    fn default() -> Self {
        Self { paths: vec![MountPath("/tmp".to_owned())] }
    }
}

impl Defaulter for DefaultReadOnlyRoot {
    const META: &'static Meta = &META;
    const SAFETY: Safety = Safety::Daring;
}

impl Mutator for DefaultReadOnlyRoot {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for pod in target.linux_pods() {
            let mut number = 0;
            for container in target.containers(pod).filter(|one| one.read_only_root_filesystem().is_none()) {
                edits.set(container.at("securityContext.readOnlyRootFilesystem"), true);
                // A running pod gets no new volumes.
                if container.list() != ContainerList::Ephemeral {
                    self.mount(pod, container, &mut number, edits);
                }
            }
        }
    }
}

impl DefaultReadOnlyRoot {
    fn mount(&self, pod: &Pod<'_>, container: Container<'_, '_>, number: &mut usize, edits: &mut Edits) {
        for MountPath(path) in &self.paths {
            let bare = path.trim_end_matches('/');
            if container.mounted_paths().any(|mounted| mounted.trim_end_matches('/') == bare) {
                continue;
            }
            let name = std::iter::repeat_with(|| {
                *number += 1;
                format!("portcullis-writable-{number}")
            })
            .find(|name| pod.volume_names().all(|taken| taken != name));
            let Some(name) = name else { continue };
            edits.append(pod.at("spec.volumes"), json!({"name": name, "emptyDir": {}}));
            edits.append(container.at("volumeMounts"), json!({"name": name, "mountPath": path}));
        }
    }
}
