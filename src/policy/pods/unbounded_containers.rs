//! `unbounded-containers`: a container takes its share of the node and no more.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::ContainerList;
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// A LimitRange of the namespace may set it when the Pod is created, so the finding rests on the cluster.
const MUST: &str = "must be set and more than 0";

/// Settings: the resources that must be named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UnboundedContainers {
    /// Of which a container may take only so much.
    limits: Vec<String>,
    /// Of which a container asks for so much.
    requests: Vec<String>,
}

impl Default for UnboundedContainers {
    fn default() -> Self {
        Self { limits: vec!["memory".to_owned()], requests: vec!["cpu".to_owned(), "memory".to_owned()] }
    }
}

impl Policy for UnboundedContainers {
    const META: &'static Meta = &Meta {
        id: "unbounded-containers",
        title: "a container without a memory limit, or without requests",
        severity: Severity::Low,
        since: "0.1.0",
        why: "Without a memory limit one leak takes the node's memory and its neighbours with it; without requests \
              the scheduler places the pod blindly and it is the first to be starved.",
        fix: "set resources.limits.memory, resources.requests.cpu and resources.requests.memory on each container (or \
              on the pod)",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of(&["spec.resources.limits", "spec.resources.requests"]),
            Fields::of_lasting_containers(&["resources.limits", "resources.requests"])
                .allow(&[Allowed::Words("each resource that the settings list, more than 0, here or on the pod")]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for UnboundedContainers {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for container in request.containers() {
            // Ephemeral containers have no resources of their own (the API server refuses them), and live on the pod's.
            if container.list() == ContainerList::Ephemeral {
                continue;
            }
            let pod = container.pod();
            for resource in &self.limits {
                if !container.limits(resource) && !pod.limits(resource) {
                    report.add_depending(container.at_key("resources.limits", resource), MUST);
                }
            }
            for resource in &self.requests {
                if !container.requests(resource) && !pod.requests(resource) {
                    report.add_depending(container.at_key("resources.requests", resource), MUST);
                }
            }
        }
        Ok(())
    }
}
