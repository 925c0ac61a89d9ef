//! `app-armor-overrides`: the runtime's AppArmor profile is not switched off.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::Metadata;
use crate::pod_security::Version;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Beginning of the annotations that name the profile of one container; before Kubernetes 1.30 there was no field for it.
const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The profiles that the annotations may name.
const ANNOTATIONS: [Allowed; 4] =
    [Allowed::Absent, Allowed::Value(""), Allowed::Value("runtime/default"), Allowed::Prefix("localhost/")];
/// The types of profile that the field may have.
const PROFILES: [Allowed; 3] = [Allowed::Absent, Allowed::Value("RuntimeDefault"), Allowed::Value("Localhost")];

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppArmorOverrides {}

impl Policy for AppArmorOverrides {
    const META: &'static Meta = &Meta {
        id: "app-armor-overrides",
        title: "an AppArmor profile that is switched off",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "The runtime's profile keeps a container from mounting file systems and from writing to the kernel's \
              settings; unconfined, only its capabilities stand between.",
        fix: "drop the profile, or set appArmorProfile.type: RuntimeDefault or Localhost, and drop annotations that \
              say anything else",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["metadata.annotations[container.apparmor.security.beta.kubernetes.io/*]"]).allow(&ANNOTATIONS),
            Fields::of(&["spec.securityContext.appArmorProfile.type"]).allow(&PROFILES),
            Fields::of_containers(&["securityContext.appArmorProfile.type"]).allow(&PROFILES),
        ],
        changes: &[],
        controls: &[Control { standard: "Pod Security Standards, baseline", name: "AppArmor" }],
    };
}

impl Validator for AppArmorOverrides {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            for context in pod.security_contexts() {
                let profile = context.app_armor_profile();
                if let Some(profile) = profile.filter(|profile| !Allowed::names(&PROFILES, profile, Version::LATEST)) {
                    let place = context.at("appArmorProfile.type");
                    report.add(place, format_args!("must be RuntimeDefault or Localhost, not {}", quoted(profile)));
                }
            }
            for (key, profile) in pod.metadata().into_iter().flat_map(Metadata::annotations) {
                let is_kept = Allowed::names(&ANNOTATIONS, profile, Version::LATEST);
                if key.starts_with(ANNOTATION) && !is_kept {
                    let place = pod.annotation_place(key);
                    let profile = quoted(profile);
                    report.add(place, format_args!("must be runtime/default or localhost/PROFILE, not {profile}"));
                }
            }
        }
        Ok(())
    }
}
