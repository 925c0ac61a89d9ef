//! `default-drop-capabilities`: no Linux capabilities but those that were asked for.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target};
use crate::policy::{Meta, Severity};

/// Documentation of the policy.
const META: Meta = Meta {
    id: "default-drop-capabilities",
    title: "capabilities.drop: [\"ALL\"] on containers that drop none",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "Few programs need any of the dozen capabilities that runtimes grant; what a container adds by name it keeps. \
          Images that change owners or bind low ports as root do not survive it: run in mode audit first and read \
          would-patch in the trail.",
    fix: "write securityContext.capabilities.drop in the container, and nothing is set",
    fields: &[
        "spec.containers[*].securityContext.capabilities.drop",
        "spec.initContainers[*].securityContext.capabilities.drop",
        "spec.ephemeralContainers[*].securityContext.capabilities.drop",
    ],
    controls: &[],
};

/// Workloads that do not survive it.
const BREAKAGE: Breakage = Breakage {
    what: "Programs that start as root and then change owners, users or permissions (chown, setuid, chroot), as the \
           official images of many databases and web servers do. Programs that bind a port below 1024 break too, \
           where the runtime does not allow that to every user.",
    exclude: "write securityContext.capabilities.drop in the container, for example [NET_RAW]; or drop ALL and add \
              what the program needs by name",
};

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultDropCapabilities {}

impl Defaulter for DefaultDropCapabilities {
    const META: &'static Meta = &META;
    const SAFETY: Safety = Safety::Daring;
    const BREAKAGE: &'static Breakage = &BREAKAGE;
}

impl Mutator for DefaultDropCapabilities {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for container in target.linux_pods().flat_map(|pod| target.containers(pod)) {
            // A privileged container has every capability, whatever it drops; one that adds ALL would lose what it
            // asked for, because runtimes add ALL before they drop ALL.
            let wants_all = container.added_capabilities().any(|name| name.eq_ignore_ascii_case("ALL"));
            if container.dropped_capabilities().next().is_none() && !container.is_privileged() && !wants_all {
                edits.set(container.at("securityContext.capabilities.drop"), json!(["ALL"]));
            }
        }
    }
}
