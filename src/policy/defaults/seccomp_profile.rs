//! `default-seccomp-profile`: the runtime's seccomp profile where none is named.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update, WINDOWS};
use crate::object::Pod;
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The annotations that named a profile before there was a field for it. The API server still refuses a field that says otherwise
/// (`validateSeccompAnnotationsAndFields` in `K/pkg/apis/core/validation/validation.go`).
const ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";

/// The field, in a pod.
const FIELD: &str = "spec.securityContext.seccompProfile";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultSeccompProfile {}

impl Defaulter for DefaultSeccompProfile {
    const META: &'static Meta = &Meta {
        id: "default-seccomp-profile",
        title: "seccompProfile.type: RuntimeDefault on pods that name none",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "The runtime's default profile blocks the system calls that ordinary programs never make and kernel \
              flaws are made of. Pods that name a profile keep theirs.",
        fix: "write securityContext.seccompProfile in the pod spec, and nothing is set",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.securityContext.seccompProfile"]),
            Fields::of_ephemeral_containers(&["securityContext.seccompProfile"]),
        ],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Safe;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Programs that make system calls which the runtime's profile blocks: debuggers and profilers (ptrace, \
           perf_event_open), programs that mount file systems, and programs that create namespaces of their own, \
           such as a browser's sandbox or a container builder.",
        exclude: "write securityContext.seccompProfile in the container, either type: Unconfined or a Localhost profile",
    };
}

impl Mutator for DefaultSeccompProfile {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        let profile = json!({"type": "RuntimeDefault"});
        for pod in target.linux_pods().filter(|pod| pod.seccomp_profile().is_none() && annotation(pod).is_none()) {
            let mut bare = target.containers(pod).filter(|container| container.seccomp_profile().is_none()).peekable();
            if !target.may_set_pod_fields() {
                bare.for_each(|container| edits.set(container.at("securityContext.seccompProfile"), profile.clone()));
            } else if bare.peek().is_some() {
                edits.set(pod.at(FIELD), profile.clone());
            }
        }
    }

    fn keep(&self, Update { before, now }: Update<'_, '_>, edits: &mut Edits) {
        if before.seccomp_profile() == Some("RuntimeDefault") && now.seccomp_profile().is_none() {
            edits.keep(now.at(FIELD), json!({"type": "RuntimeDefault"}));
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        let Update { before, now } = update;
        if now.seccomp_profile().is_none() {
            return;
        }
        let profile = json!({"type": "RuntimeDefault"});
        let is_contradicted = |pod: &Pod<'_>| {
            annotation(pod).is_some_and(|named| named != "runtime/default" && named != "docker/default")
        };
        if update.turns_to_windows() {
            edits.take_back(now.at(FIELD), profile, WINDOWS);
        } else if is_contradicted(now) && !is_contradicted(before) {
            edits.take_back(now.at(FIELD), profile, "an annotation now names another profile");
        }
    }
}

/// The profile that the annotation names.
fn annotation<'p>(pod: &'p Pod<'_>) -> Option<&'p str> {
    pod.metadata()?.annotation(ANNOTATION)
}
