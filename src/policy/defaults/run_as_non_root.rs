//! `default-run-as-non-root`: root only where it was asked for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target};
use crate::object::Container;
use crate::policy::{Meta, Severity};

/// Documentation of the policy.
const META: Meta = Meta {
    id: "default-run-as-non-root",
    title: "runAsNonRoot: true on pods that say nothing",
    severity: Severity::High,
    since: "0.1.0",
    why: "Most programs need no root, and the kubelet then refuses to start an image that would run as root. Images \
          whose USER is root do not survive it: run in mode audit first and read would-patch in the trail.",
    fix: "write securityContext.runAsNonRoot or runAsUser: 0, and nothing is set",
    fields: &["spec.securityContext.runAsNonRoot", "spec.ephemeralContainers[*].securityContext.runAsNonRoot"],
    controls: &[],
};

/// Workloads that do not survive it.
const BREAKAGE: Breakage = Breakage {
    what: "Images whose USER is root, and images whose USER is a *name* instead of a number: the kubelet cannot \
           verify that a name is not root, so the container does not start (CreateContainerConfigError, \"image has \
           non-numeric user\").",
    exclude: "where the USER is a name, write its number as securityContext.runAsUser in the pod spec; where it is \
              root, write securityContext.runAsNonRoot: false there",
};

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultRunAsNonRoot {}

impl Defaulter for DefaultRunAsNonRoot {
    const META: &'static Meta = &META;
    const SAFETY: Safety = Safety::Daring;
    const BREAKAGE: &'static Breakage = &BREAKAGE;
}

impl Mutator for DefaultRunAsNonRoot {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        // With a user namespace root in the pod is nobody on the node: the standards ask for nothing.
        let pods = target.request().pods().iter();
        for pod in pods.filter(|pod| pod.run_as_non_root().is_none() && !pod.has_user_namespace()) {
            let silent = |container: &Container<'_, '_>| container.run_as_non_root().is_none();
            let silent: Vec<_> = target.containers(pod).filter(silent).collect();
            // The kubelet would not start them (verifyRunAsNonRoot in K/pkg/kubelet/kuberuntime/security_context_*.go).
            let is_root = |container: &Container<'_, '_>| {
                let windows_user = container.windows_user().or(pod.windows_user()).unwrap_or_default();
                container.run_as_user().or(pod.run_as_user()) == Some(0)
                    || windows_user.eq_ignore_ascii_case("ContainerAdministrator")
            };
            if !target.may_set_pod_fields() {
                for container in silent.iter().filter(|container| !is_root(container)) {
                    edits.set(container.at("securityContext.runAsNonRoot"), true);
                }
            } else if !silent.is_empty() && pod.run_as_user() != Some(0) && !silent.iter().any(is_root) {
                edits.set(pod.at("spec.securityContext.runAsNonRoot"), true);
            }
        }
    }
}
