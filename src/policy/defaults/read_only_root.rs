//! `default-read-only-root`: a root filesystem that nobody writes to, and room where programs do write.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target};
use crate::object::{Container, ContainerList, Pod};
use crate::policy::{Meta, Severity, quoted};

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

/// Workloads that do not survive it.
const BREAKAGE: Breakage = Breakage {
    what: "Images that write outside the listed paths: caches, pid files, /run, /var. Programs that use /tmp only if \
           it has the sticky bit break too: the emptyDir on /tmp is writable by every user and has no sticky bit, so \
           Ruby finds no temporary directory (Dir.tmpdir raises ArgumentError).",
    exclude: "write securityContext.readOnlyRootFilesystem: false in the container",
};

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DefaultReadOnlyRoot {
    /// Where each container gets an emptyDir of its own.
    paths: MountPaths,
}

/// Absolute paths without a colon, each one once, as `volumeMounts[].mountPath` takes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
struct MountPaths(Vec<String>);

impl TryFrom<Vec<String>> for MountPaths {
    type Error = String;

    fn try_from(paths: Vec<String>) -> Result<Self, Self::Error> {
        for (position, path) in paths.iter().enumerate() {
            let is_plain = path.starts_with('/') && !path.contains(':') && !path.split('/').any(|part| part == "..");
            if !is_plain || steps(path).is_empty() {
                return Err(format!("{} must be an absolute path below /, without a colon or ..", quoted(path)));
            }
            if paths[..position].iter().any(|other| steps(other) == steps(path)) {
                return Err(format!("{} must be listed once", quoted(path)));
            }
        }
        Ok(Self(paths))
    }
}

/// A path as the kubelet takes it: relative ones begin at the root, `//`, `.` and a slash at the end say nothing.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps
}

impl Default for DefaultReadOnlyRoot {
    fn default() -> Self {
        Self { paths: MountPaths(vec!["/tmp".to_owned()]) }
    }
}

impl Defaulter for DefaultReadOnlyRoot {
    const META: &'static Meta = &META;
    const SAFETY: Safety = Safety::Daring;
    const BREAKAGE: &'static Breakage = &BREAKAGE;
}

impl Mutator for DefaultReadOnlyRoot {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for pod in target.linux_pods() {
            let taken: HashSet<&str> = pod.volumes().map(|volume| volume.name()).collect();
            let names = (1u64..).map(|number| format!("portcullis-writable-{number}"));
            let mut free = names.filter(|name| !taken.contains(name.as_str()));
            for container in target.containers(pod).filter(|one| one.read_only_root_filesystem().is_none()) {
                edits.set(container.at("securityContext.readOnlyRootFilesystem"), true);
                // A running pod gets no new volumes.
                if container.list() != ContainerList::Ephemeral {
                    self.mount(pod, container, &mut free, edits);
                }
            }
        }
    }
}

impl DefaultReadOnlyRoot {
    fn mount(
        &self,
        pod: &Pod<'_>,
        container: Container<'_, '_>,
        free: &mut impl Iterator<Item = String>,
        edits: &mut Edits,
    ) {
        for path in &self.paths.0 {
            if container.mounted_paths().any(|mounted| steps(mounted) == steps(path)) {
                continue;
            }
            let Some(name) = free.next() else { return };
            edits.append(pod.at("spec.volumes"), json!({"name": name, "emptyDir": {}}));
            edits.append(container.at("volumeMounts"), json!({"name": name, "mountPath": path}));
        }
    }
}
