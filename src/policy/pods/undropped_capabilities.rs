//! `undropped-capabilities`: every container gives up all Linux capabilities.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::policy::{Control, Meta, PodSecurityVersion, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Documentation of the policy.
const META: Meta = Meta {
    id: "undropped-capabilities",
    title: "a container that keeps Linux capabilities",
    severity: Severity::Medium,
    since: "0.1.0",
    why: "Container runtimes grant a dozen capabilities that few programs need, among them raw sockets, changing file \
          owners and making device files. Each is a way to escape or to listen in.",
    fix: "set securityContext.capabilities.drop: [\"ALL\"] on each container, and add nothing but NET_BIND_SERVICE",
    fields: &[
        "spec.os.name",
        "spec.containers[*].securityContext.capabilities.add",
        "spec.containers[*].securityContext.capabilities.drop",
        "spec.initContainers[*].securityContext.capabilities.add",
        "spec.initContainers[*].securityContext.capabilities.drop",
        "spec.ephemeralContainers[*].securityContext.capabilities.add",
        "spec.ephemeralContainers[*].securityContext.capabilities.drop",
    ],
    controls: &[Control { standard: "Pod Security Standards, restricted", name: "Capabilities (v1.22+)" }],
};

/// Settings: none. The standard's version comes from `podSecurityVersion`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndroppedCapabilities {
    #[serde(skip)]
    version: PodSecurityVersion,
}

impl Policy for UndroppedCapabilities {
    const META: &'static Meta = &META;

    fn follow(&mut self, version: PodSecurityVersion) {
        self.version = version;
    }

    fn replaces(version: PodSecurityVersion) -> &'static [&'static str] {
        if version.is_since(22) { &["added-capabilities"] } else { &[] }
    }
}

impl Validator for UndroppedCapabilities {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if !self.version.is_since(22) {
            return Ok(());
        }
        for container in request.containers() {
            if self.version.is_since(25) && container.pod().is_windows() {
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
