//! The labels `pod-security.kubernetes.io/*` of a namespace, read as Kubernetes' own admission reads them:
//! `PolicyToEvaluate` in `k8s.io/pod-security-admission/api/helpers.go`, with its defaults `privileged:latest`.

use std::fmt;

use super::{Level, Version};
use crate::mode::Mode;

/// Prefix of the keys of these labels.
pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// The level and version that the labels ask for in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Mode of the policies of this level.
    pub mode: Mode,
    /// Level of the Pod Security Standards.
    pub level: Level,
    /// The version of the standards.
    pub version: Version,
}

/// The demand in each mode, strongest mode first. `label` returns the value of a label by its key without [`PREFIX`].
pub fn demands<'l>(label: impl Fn(&str) -> Option<&'l str>) -> [Demand; 3] {
    // A malformed version means the newest, as does one that is newer than this program.
    let version = |key: &str| label(key).map(|text| text.parse().unwrap_or_default());
    let level = |key: &str, unreadable: Level| label(key).map(|text| Level::read(text).unwrap_or(unreadable));

    let (enforce, enforce_version) = (level("enforce", Level::Restricted), version("enforce-version"));
    // Without a label `warn`, the level of `enforce` is warned of too, unless its label is malformed.
    let readable = label("enforce").and_then(Level::read).filter(|level| *level > Level::Privileged);
    let (warn, warn_version) = match (level("warn", Level::Privileged), readable) {
        (None, Some(enforce)) => (Some(enforce), version("warn-version").or(enforce_version)),
        (warn, _) => (warn, version("warn-version")),
    };
    let demand = |mode, level: Option<Level>, version: Option<Version>| Demand {
        mode,
        level: level.unwrap_or(Level::Privileged),
        version: version.unwrap_or_default(),
    };
    [
        demand(Mode::Enforce, enforce, enforce_version),
        demand(Mode::Warn, warn, warn_version),
        demand(Mode::Audit, level("audit", Level::Privileged), version("audit-version")),
    ]
}

/// As Kubernetes writes it: `enforce=restricted:v1.30`.
impl fmt::Display for Demand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}:", self.mode, self.level.as_str())?;
        if self.version == Version::LATEST { out.write_str("latest") } else { write!(out, "{}", self.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::demands;

    /// The demands of these labels in upstream's notation.
    fn asked(labels: &[(&str, &str)]) -> String {
        let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        demands(label).map(|demand| demand.to_string()).join(" ")
    }

    /// The table `TestPolicyToEvaluate` of upstream's `api/helpers_test.go`.
    #[test]
    fn labels_are_read_as_upstream_reads_them() {
        for (labels, enforce, warn, audit) in [
            (&[("enforce", "baseline")][..], "baseline:latest", "baseline:latest", "privileged:latest"),
            (&[("warn", "restricted")], "privileged:latest", "restricted:latest", "privileged:latest"),
            (&[("audit", "baseline")], "privileged:latest", "privileged:latest", "baseline:latest"),
            (
                &[("enforce", "baseline"), ("warn", "restricted")],
                "baseline:latest",
                "restricted:latest",
                "privileged:latest",
            ),
            (
                &[("enforce", "baseline"), ("enforce-version", "v1.22")],
                "baseline:v1.22",
                "baseline:v1.22",
                "privileged:latest",
            ),
            (
                &[("enforce", "baseline"), ("enforce-version", "v1.22"), ("warn-version", "latest")],
                "baseline:v1.22",
                "baseline:latest",
                "privileged:latest",
            ),
            (
                &[("enforce", "baseline"), ("warn-version", "v1.23")],
                "baseline:latest",
                "baseline:v1.23",
                "privileged:latest",
            ),
            (
                &[
                    ("enforce", "baseline"),
                    ("enforce-version", "v1.20"),
                    ("warn", "restricted"),
                    ("warn-version", "v1.21"),
                    ("audit", "restricted"),
                    ("audit-version", "v1.22"),
                ],
                "baseline:v1.20",
                "restricted:v1.21",
                "restricted:v1.22",
            ),
            (
                &[("enforce", "baseline"), ("warn", "privileged")],
                "baseline:latest",
                "privileged:latest",
                "privileged:latest",
            ),
            (&[("enforce", "baseline"), ("warn", "foo")], "baseline:latest", "privileged:latest", "privileged:latest"),
            (&[("enforce", "foo")], "restricted:latest", "privileged:latest", "privileged:latest"),
            // Not in that table, and as the code there says.
            (
                &[("enforce", "privileged"), ("enforce-version", "v1.22")],
                "privileged:v1.22",
                "privileged:latest",
                "privileged:latest",
            ),
            (&[], "privileged:latest", "privileged:latest", "privileged:latest"),
            (&[("audit", "foo")], "privileged:latest", "privileged:latest", "privileged:latest"),
            (
                &[("enforce", ""), ("enforce-version", "v1.22")],
                "restricted:v1.22",
                "privileged:latest",
                "privileged:latest",
            ),
            (
                &[("enforce-version", "v1.22"), ("warn", "baseline")],
                "privileged:v1.22",
                "baseline:latest",
                "privileged:latest",
            ),
        ] {
            assert_eq!(asked(labels), format!("enforce={enforce} warn={warn} audit={audit}"), "{labels:?}");
        }
    }

    /// `TestParseVersion` of the same file: what is newer than all that are known is the newest.
    #[test]
    fn a_version_that_cannot_be_read_is_the_newest() {
        for (version, read) in [
            ("latest", "latest"),
            ("v1.0", "v1.0"),
            ("v1.1", "v1.1"),
            ("v1.20", "v1.20"),
            ("v1.10000", "latest"),
            ("v1.99999999999999999999", "latest"),
            ("foo", "latest"),
            ("", "latest"),
            ("v2.0", "latest"),
            ("v1", "latest"),
            ("v1.", "latest"),
            ("v1.01", "latest"),
            ("v1.-1", "latest"),
            ("v1.+1", "latest"),
            ("1.1", "latest"),
            ("V1.1", "latest"),
        ] {
            let labels = [("audit", "baseline"), ("audit-version", version)];
            assert!(asked(&labels).ends_with(&format!(" audit=baseline:{read}")), "{version}: {}", asked(&labels));
        }
    }
}
