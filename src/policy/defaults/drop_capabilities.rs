//! `default-drop-capabilities`: no Linux capabilities but those that were asked for.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update, WINDOWS};
use crate::object::Container;
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The field, in a container.
const FIELD: &str = "securityContext.capabilities.drop";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultDropCapabilities {}

impl Defaulter for DefaultDropCapabilities {
    const META: &'static Meta = &Meta {
        id: "default-drop-capabilities",
        title: "capabilities.drop: [\"ALL\"] on containers that drop none",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Few programs need any of the dozen capabilities that runtimes grant; what a container adds by name it \
              keeps. Images that change owners or bind low ports as root do not survive it: run in mode audit first \
              and read would-patch in the trail.",
        fix: "write securityContext.capabilities.drop in the container, and nothing is set",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_containers(&["securityContext.capabilities.drop"])],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Extended;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Programs that start as root and then change owners, users or permissions (chown, setuid, chroot), as the \
           official images of many databases and web servers do. Programs that bind a port below 1024 break too, \
           where the runtime does not allow that to every user.",
        exclude: "write securityContext.capabilities.drop in the container, for example [NET_RAW]; or drop ALL and add \
              what the program needs by name",
    };
}

impl Mutator for DefaultDropCapabilities {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for container in target.linux_pods().flat_map(|pod| target.containers(pod)) {
            // A privileged container has every capability, whatever it drops.
            if !drops_any(container) && !container.is_privileged() && !adds_all(container) {
                edits.set(container.at(FIELD), json!(["ALL"]));
            }
        }
    }

    fn keep(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers() {
            if drops_any(before) && !drops_any(now) {
                edits.keep(now.at(FIELD), json!(["ALL"]));
            }
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers().filter(|(_, now)| drops_any(*now)) {
            if update.turns_to_windows() {
                edits.take_back(now.at(FIELD), json!(["ALL"]), WINDOWS);
            } else if adds_all(now) && !adds_all(before) {
                edits.take_back(now.at(FIELD), json!(["ALL"]), "the container now adds ALL");
            }
        }
    }
}

fn drops_any(container: Container<'_, '_>) -> bool {
    container.dropped_capabilities().next().is_some()
}

/// True if a container would lose what it asks for: runtimes add ALL before they drop ALL.
fn adds_all(container: Container<'_, '_>) -> bool {
    container.added_capabilities().any(|name| name.eq_ignore_ascii_case("ALL"))
}
