//! `default-run-as-non-root`: root only where it was asked for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update};
use crate::object::{Container, Pod};
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The field, in a pod.
const FIELD: &str = "spec.securityContext.runAsNonRoot";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultRunAsNonRoot {}

impl Defaulter for DefaultRunAsNonRoot {
    const META: &'static Meta = &Meta {
        id: "default-run-as-non-root",
        title: "runAsNonRoot: true on pods that say nothing",
        severity: Severity::High,
        since: "0.1.0",
        why: "Most programs need no root, and the kubelet then refuses to start an image that would run as root. \
              Images whose USER is root do not survive it: run in mode audit first and read would-patch in the trail.",
        fix: "write securityContext.runAsNonRoot or runAsUser: 0, and nothing is set",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.securityContext.runAsNonRoot"]),
            Fields::of_ephemeral_containers(&["securityContext.runAsNonRoot"]),
        ],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Extended;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Images whose USER is root, and images whose USER is a *name* instead of a number: the kubelet cannot \
           verify that a name is not root, so the container does not start (CreateContainerConfigError, \"image has \
           non-numeric user\").",
        exclude: "where the USER is a name, write its number as securityContext.runAsUser in the pod spec; where it is \
              root, write securityContext.runAsNonRoot: false there",
    };
}

impl Mutator for DefaultRunAsNonRoot {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        // With a user namespace root in the pod is nobody on the node: the standards ask for nothing.
        let pods = target.request().pods().iter();
        for pod in pods.filter(|pod| pod.run_as_non_root().is_none() && !pod.has_user_namespace()) {
            let silent: Vec<_> = target.containers(pod).filter(is_silent).collect();
            if !target.may_set_pod_fields() {
                for container in silent.iter().filter(|container| !is_root(container)) {
                    edits.set(container.at("securityContext.runAsNonRoot"), true);
                }
            } else if !silent.is_empty() && pod.run_as_user() != Some(0) && !silent.iter().any(is_root) {
                edits.set(pod.at(FIELD), true);
            }
        }
    }

    fn keep(&self, Update { before, now }: Update<'_, '_>, edits: &mut Edits) {
        if before.run_as_non_root() == Some(true) && now.run_as_non_root().is_none() {
            edits.keep(now.at(FIELD), true);
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        let has_root = |pod: &Pod<'_>| pod.containers().filter(is_silent).any(|container| is_root(&container));
        if update.now.run_as_non_root() == Some(true) && has_root(update.now) && !has_root(update.before) {
            edits.take_back(update.now.at(FIELD), true, "a container now runs as root");
        }
    }
}

/// True if a container leaves it to the pod.
fn is_silent(container: &Container<'_, '_>) -> bool {
    container.run_as_non_root().is_none()
}

/// True if the kubelet would not start it as one that is not root (`verifyRunAsNonRoot` in
/// `K/pkg/kubelet/kuberuntime/security_context_*.go`).
fn is_root(container: &Container<'_, '_>) -> bool {
    let pod = container.pod();
    let windows_user = container.windows_user().or(pod.windows_user()).unwrap_or_default();
    container.run_as_user().or(pod.run_as_user()) == Some(0)
        || windows_user.eq_ignore_ascii_case("ContainerAdministrator")
}
