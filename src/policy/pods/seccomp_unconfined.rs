//! `seccomp-unconfined`: nobody switches the filter of system calls off.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::missing_seccomp_profiles::{FILTERS, is_filter, must_be_filter};
use crate::facts::{Facts, Pending};
use crate::object::{Metadata, Pod};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The annotation that named a pod's profile before there was a field (1.19).
const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// Beginning of the annotation of one container; its name followed.
const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// The profiles that the annotations may name.
const ANNOTATIONS: [Allowed; 4] = [
    Allowed::Absent,
    Allowed::Value("runtime/default"),
    Allowed::Value("docker/default"),
    Allowed::Prefix("localhost/"),
];

/// The fields replaced the annotations.
const JUDGES_FIELDS: Change =
    Change::new(19, "the fields count, and annotations no longer do; before that, annotations alone");

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeccompUnconfined {
    #[serde(skip)]
    version: Version,
}

impl Policy for SeccompUnconfined {
    const META: &'static Meta = &Meta {
        id: "seccomp-unconfined",
        title: "a seccomp profile that is switched off",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Unconfined, a container may call all of the kernel, even where the kubelet is told to filter by default.",
        fix: "drop the profile, or set seccompProfile.type: RuntimeDefault or Localhost (before 1.19, the annotation \
              runtime/default)",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&[
                "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]",
                "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/*]",
            ])
            .allow(&ANNOTATIONS),
            Fields::of(&["spec.securityContext.seccompProfile.type"]).allow(&FILTERS),
            Fields::of_containers(&["securityContext.seccompProfile.type"]).allow(&FILTERS),
        ],
        changes: &[JUDGES_FIELDS],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "Seccomp" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }
}

impl Validator for SeccompUnconfined {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            if JUDGES_FIELDS.holds(self.version) {
                judge_fields(pod, report);
            } else {
                judge_annotations(pod, report);
            }
        }
        Ok(())
    }
}

fn judge_fields(pod: &Pod<'_>, report: &mut Report) {
    for context in pod.security_contexts() {
        if let Some(profile) = context.seccomp_profile().filter(|profile| !is_filter(profile)) {
            report.add(context.at("seccompProfile.type"), must_be_filter(profile));
        }
    }
}

fn judge_annotations(pod: &Pod<'_>, report: &mut Report) {
    let names: HashSet<&str> = pod.containers().map(|container| container.name()).collect();
    for (key, profile) in pod.metadata().into_iter().flat_map(Metadata::annotations) {
        let counts = key == OF_POD || key.strip_prefix(OF_CONTAINER).is_some_and(|name| names.contains(name));
        if counts && !Allowed::names(&ANNOTATIONS, profile, Version::LATEST) {
            let profile = quoted(profile);
            let message = format_args!("must be runtime/default or localhost/PROFILE, not {profile}");
            report.add(pod.annotation_place(key), message);
        }
    }
}
