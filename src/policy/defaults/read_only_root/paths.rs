//! The paths at which containers get an emptyDir of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::quoted;

/// Absolute paths without a colon, each one once, as `volumeMounts[].mountPath` takes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
pub(super) struct MountPaths(Vec<String>);

impl MountPaths {
    /// One path, which is known to be absolute.
    pub(super) fn of(path: &str) -> Self {
        Self(vec![path.to_owned()])
    }

    /// Each path, as it was written.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

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
pub(super) fn steps(path: &str) -> Vec<&str> {
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
