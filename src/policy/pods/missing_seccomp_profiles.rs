//! `missing-seccomp-profiles`: system calls are filtered.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "missing-seccomp-profiles",
    title: "a container without a seccomp profile",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "Without a profile a container may call all of the kernel, and most kernel flaws that break containers sit in \
          calls that the runtime's default profile blocks.",
    fix: "set securityContext.seccompProfile.type: RuntimeDefault (or Localhost) on the pod or on each container",
    fields: &[
        "spec.os.name",
        "spec.securityContext.seccompProfile.type",
        "spec.containers[*].securityContext.seccompProfile.type",
        "spec.initContainers[*].securityContext.seccompProfile.type",
        "spec.ephemeralContainers[*].securityContext.seccompProfile.type",
    ],
    controls: &[Control { standard: "Pod Security Standards, restricted", name: "Seccomp (v1.19+)" }],
};

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MissingSeccompProfiles {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for MissingSeccompProfiles {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }

    fn replaces(version: PodSecurityVersion) -> &'static [&'static str] {
        if version.is_since(19) { &["seccomp-unconfined"] } else { &[] }
    }
}

impl Validator for MissingSeccompProfiles {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !self.version.is_since(19) {
            return Ok(());
        }
        for pod in request.pods() {
            if self.version.is_since(25) && pod.is_windows() {
                continue;
            }
            let inherited = pod.seccomp_profile();
            if let Some(profile) = inherited.filter(|profile| !is_filter(profile)) {
                report.add(pod.at("spec.securityContext.seccompProfile.type"), must_be_filter(profile));
            }
            for container in pod.containers() {
                match container.seccomp_profile() {
                    Some(profile) if is_filter(profile) => {}
                    Some(profile) => {
                        report.add(container.at("securityContext.seccompProfile.type"), must_be_filter(profile));
                    }
                    None if inherited.is_some_and(is_filter) => {}
                    None => report.add(
                        container.at("securityContext.seccompProfile.type"),
                        "must be RuntimeDefault or Localhost, here or in the pod's securityContext",
                    ),
                }
            }
        }
        Ok(())
    }
}

pub(super) fn is_filter(profile: &str) -> bool {
    matches!(profile, "RuntimeDefault" | "Localhost")
}

pub(super) fn must_be_filter(profile: &str) -> impl fmt::Display {
    fmt::from_fn(move |out| write!(out, "must be RuntimeDefault or Localhost, not {}", quoted(profile)))
}
