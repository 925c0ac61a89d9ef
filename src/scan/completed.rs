//! Adds the values that the API server sets in a Pod before it calls webhooks, as far as policies read them: host ports of
//! Pods with `hostNetwork`, requests, and defaults of LimitRanges (`SetDefaults_Pod` in
//! `K/pkg/apis/core/v1/defaults.go`, then `K/plugin/pkg/admission/limitranger`). The API server does not do so for
//! templates; they are completed here too, because their Pods will be.

use std::borrow::Cow;
use std::collections::HashMap;

use jsonptr::{PointerBuf, Token};
use serde_json::{Map, Value};

use crate::cluster::{LimitRange, object_in};
use crate::decision::ModedFinding;
use crate::mode::Mode;
use crate::object::Workload;

/// The lists of containers that are completed. Ephemeral containers have neither ports nor resources.
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// A port that becomes a host port because of `hostNetwork`.
pub(super) struct ImpliedHostPort {
    host_network: PointerBuf,
    host_port: PointerBuf,
}

/// Completes the Pod or every template in an object, and returns the ports that became host ports. `ranges` are the
/// LimitRanges of its namespace: the first one with a default for a resource counts.
pub(super) fn complete<'l>(
    object: &mut Value,
    workload: &Workload,
    ranges: impl Iterator<Item = &'l LimitRange> + Clone,
) -> Vec<ImpliedHostPort> {
    let mut taken = Vec::new();
    let mut each = |pointer: &PointerBuf, value: &mut Value| pod(value, pointer, ranges.clone(), &mut taken);
    if workload.is_pod() {
        each(&PointerBuf::new(), object);
    }
    for path in &workload.templates {
        templates(object, &PointerBuf::new(), path, &mut each);
    }
    taken
}

/// Calls `each` with every template that is at `path` below a value, and its pointer.
fn templates(
    value: &mut Value,
    pointer: &PointerBuf,
    path: &[Cow<'static, str>],
    each: &mut dyn FnMut(&PointerBuf, &mut Value),
) {
    match (path.split_first(), value) {
        (None, template) => each(pointer, template),
        (Some((step, rest)), Value::Array(items)) if step == "*" => {
            for (at, item) in items.iter_mut().enumerate() {
                templates(item, &below(pointer, at), rest, each);
            }
        }
        (Some((step, rest)), Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(step.as_ref()) {
                templates(field, &below(pointer, step.as_ref()), rest, each);
            }
        }
        (Some(_), _) => {}
    }
}

/// Removes findings at host ports that result from `hostNetwork`, if a finding about that `hostNetwork` has at least the same
/// mode: both have one cause. A cause that an exception excuses excuses nothing else.
pub(super) fn join(findings: &mut Vec<ModedFinding>, taken: &[ImpliedHostPort]) {
    let mut strictest: HashMap<PointerBuf, Mode> = HashMap::new();
    for finding in findings.iter().filter(|finding| finding.exemption.is_none()) {
        let mode = strictest.entry(finding.place.path.pointer()).or_default();
        *mode = finding.mode.max(*mode);
    }
    let causes: HashMap<&PointerBuf, &PointerBuf> =
        taken.iter().map(|port| (&port.host_port, &port.host_network)).collect();
    findings.retain(|finding| {
        let cause = causes.get(&finding.place.path.pointer()).and_then(|cause| strictest.get(*cause));
        cause.is_none_or(|mode| finding.mode > *mode)
    });
}

fn below<'t>(pointer: &PointerBuf, token: impl Into<Token<'t>>) -> PointerBuf {
    let mut pointer = pointer.clone();
    pointer.push_back(token.into());
    pointer
}

fn pod<'l>(
    pod: &mut Value,
    pointer: &PointerBuf,
    ranges: impl Iterator<Item = &'l LimitRange> + Clone,
    taken: &mut Vec<ImpliedHostPort>,
) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let pointer = below(pointer, "spec");
    let takes_ports = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().enumerate();
        for (at, container) in containers.filter_map(|(at, container)| Some((at, container.as_object_mut()?))) {
            if takes_ports {
                let ports = below(&below(&below(&pointer, list), at), "ports");
                let of_node = take_ports(container).into_iter().map(|at| ImpliedHostPort {
                    host_network: below(&pointer, "hostNetwork"),
                    host_port: below(&below(&ports, at), "hostPort"),
                });
                taken.extend(of_node);
            }
            request_limits(container);
            ranges.clone().for_each(|range| range.complete(container));
        }
    }
}

/// Makes every port of a container a host port. Returns the positions of those that were not.
fn take_ports(container: &mut Map<String, Value>) -> Vec<usize> {
    let mut taken = Vec::new();
    let ports = container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate();
    for (at, port) in ports.filter_map(|(at, port)| Some((at, port.as_object_mut()?))) {
        let is_unset = port.get("hostPort").is_none_or(|number| number.is_null() || number.as_i64() == Some(0));
        let number = port.get("containerPort").filter(|number| number.is_i64()).cloned();
        if let Some(number) = number.filter(|_| is_unset) {
            port.insert("hostPort".to_owned(), number);
            taken.push(at);
        }
    }
    taken
}

/// Copies limits to requests that are not set.
fn request_limits(container: &mut Map<String, Value>) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    if let Some(requests) = object_in(resources, "requests") {
        for (resource, quantity) in limits {
            requests.entry(resource).or_insert(quantity);
        }
    }
}
