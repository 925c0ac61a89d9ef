//! `undropped-capabilities`: every container gives up all Linux capabilities.

use schemars::JsonSchema;
use serde::Deserialize;

use super::added_capabilities::AddedCapabilities;
use crate::facts::{Facts, Pending};
use crate::pod_security::Version;
use crate::policy::{Allowed, Change, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The version that the control came with.
const BEGINS: Change = Change::begins(22);

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndroppedCapabilities {
    #[serde(skip)]
    version: Version,
}

impl Policy for UndroppedCapabilities {
    const META: &'static Meta = &Meta {
        id: "undropped-capabilities",
        title: "a container that keeps Linux capabilities",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Container runtimes grant a dozen capabilities that few programs need, among them raw sockets, changing \
              file owners and making device files. Each is a way to escape or to listen in.",
        fix: "set securityContext.capabilities.drop: [\"ALL\"] on each container, and add nothing but NET_BIND_SERVICE",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.os.name"]),
            Fields::of_containers(&["securityContext.capabilities.add"])
                .allow(&[Allowed::Absent, Allowed::Value("NET_BIND_SERVICE")]),
            Fields::of_containers(&["securityContext.capabilities.drop"])
                .allow(&[Allowed::Words("a list that includes `ALL`")]),
        ],
        changes: &[BEGINS, Change::EXEMPTS_WINDOWS],
        controls: &[Control { standard: "Pod Security Standards, restricted", name: "Capabilities (v1.22+)" }],
    };

    fn follow(&mut self, version: Version) {
        self.version = version;
    }

    fn replaces(version: Version) -> &'static [&'static Meta] {
        if BEGINS.holds(version) { &[AddedCapabilities::META] } else { &[] }
    }
}

impl Validator for UndroppedCapabilities {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !BEGINS.holds(self.version) {
            return Ok(());
        }
        for container in request.containers() {
            if Change::EXEMPTS_WINDOWS.holds(self.version) && container.pod().is_windows() {
                continue;
            }
            // The standard compares letter by letter: `all` is not `ALL`.
            if !container.dropped_capabilities().any(|name| name == "ALL") {
                report.add(container.at("securityContext.capabilities.drop"), "must include \"ALL\"");
            }
            let added = container.added_capabilities().enumerate();
            for (position, name) in added.filter(|(_, name)| *name != "NET_BIND_SERVICE") {
                let place = container.at_item("securityContext.capabilities.add", position, "");
                report.add(place, format_args!("must not be {}: only \"NET_BIND_SERVICE\" may be added", quoted(name)));
            }
        }
        Ok(())
    }
}
