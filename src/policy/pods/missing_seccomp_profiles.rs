//! `missing-seccomp-profiles`: system calls are filtered.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::seccomp_unconfined::SeccompUnconfined;
use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

const RUNTIME_DEFAULT: Allowed = Allowed::Value("RuntimeDefault");
const LOCALHOST: Allowed = Allowed::Value("Localhost");
/// The types of profile that filter; the field of a pod may also be absent.
pub(super) const FILTERS: [Allowed; 3] = [Allowed::Absent, RUNTIME_DEFAULT, LOCALHOST];

/// The version that the control came with.
const BEGINS: Change = Change::begins(19);

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MissingSeccompProfiles {
    #[serde(skip)]
    version: Version,
}

impl Policy for MissingSeccompProfiles {
    const META: &'static Meta = &Meta {
        id: "missing-seccomp-profiles",
        title: "a container without a seccomp profile",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Without a profile a container may call all of the kernel, and most kernel flaws that break containers \
              sit in calls that the runtime's default profile blocks.",
        fix: "set securityContext.seccompProfile.type: RuntimeDefault (or Localhost) on the pod or on each container",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.os.name"]),
            Fields::of(&["spec.securityContext.seccompProfile.type"]).allow(&FILTERS),
            Fields::of_containers(&["securityContext.seccompProfile.type"]).allow(&[
                RUNTIME_DEFAULT,
                LOCALHOST,
                Allowed::Words("absent where the pod's is set"),
            ]),
        ],
        changes: &[BEGINS, Change::EXEMPTS_WINDOWS],
        controls: &[Control { standard: "Pod Security Standards, restricted", name: "Seccomp (v1.19+)" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }

    fn replaces(version: Version) -> &'static [&'static Meta] {
        if BEGINS.holds(version) { &[SeccompUnconfined::META] } else { &[] }
    }
}

impl Validator for MissingSeccompProfiles {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !BEGINS.holds(self.version) {
            return Ok(());
        }
        for pod in request.pods() {
            if Change::EXEMPTS_WINDOWS.holds(self.version) && pod.is_windows() {
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
    Allowed::names(&FILTERS, profile, Version::LATEST)
}

pub(super) fn must_be_filter(profile: &str) -> impl fmt::Display {
    fmt::from_fn(move |out| write!(out, "must be RuntimeDefault or Localhost, not {}", quoted(profile)))
}
