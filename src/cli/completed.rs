//! What the API server adds to a Pod before any webhook sees it, as far as policies can see it: the ports of a Pod on its
//! node's network, requests, and what LimitRanges give (`SetDefaults_Pod` in `K/pkg/apis/core/v1/defaults.go`, then
//! `K/plugin/pkg/admission/limitranger`). A template is stored without it. What LimitRanges give is assumed in it all the
//! same, because they are there for the Pods that are made of it; ports are judged as the Pod Security Standards judge those
//! of a template, as they are written.

use serde_json::{Map, Value};

use crate::cluster::LimitRange;
use crate::object::Workload;

/// The lists of containers that are completed. Ephemeral containers have neither ports nor resources.
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// Completes the Pod or every template in an object. `ranges` are the LimitRanges of its namespace: the first one that
/// gives a resource counts.
pub(super) fn complete<'l>(
    object: &mut Value,
    workload: &Workload,
    ranges: impl Iterator<Item = &'l LimitRange> + Clone,
) {
    if workload.is_pod() {
        pod(object, ranges, true);
        return;
    }
    for path in &workload.templates {
        let mut found = vec![&mut *object];
        for step in path {
            found = found
                .into_iter()
                .flat_map(|value| match value {
                    Value::Array(items) if step == "*" => items.iter_mut().collect::<Vec<_>>(),
                    Value::Object(fields) => fields.get_mut(step.as_ref()).into_iter().collect(),
                    _ => Vec::new(),
                })
                .collect();
        }
        found.into_iter().for_each(|template| pod(template, ranges.clone(), false));
    }
}

fn pod<'l>(pod: &mut Value, ranges: impl Iterator<Item = &'l LimitRange> + Clone, is_stored: bool) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let takes_ports = is_stored && spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            if takes_ports {
                take_ports(container);
            }
            request_limits(container);
            ranges.clone().for_each(|range| range.complete(container));
        }
    }
}

/// Every port of the container becomes one of its node.
fn take_ports(container: &mut Map<String, Value>) {
    let ports = container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        let is_unset = port.get("hostPort").is_none_or(|number| number.is_null() || number.as_i64() == Some(0));
        let number = port.get("containerPort").filter(|number| number.is_i64()).cloned();
        if let Some(number) = number.filter(|_| is_unset) {
            port.insert("hostPort".to_owned(), number);
        }
    }
}

/// A limit is the request too where none is written.
fn request_limits(container: &mut Map<String, Value>) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    let requests = resources.entry("requests").or_insert(Value::Null);
    if requests.is_null() {
        *requests = Value::Object(Map::new());
    }
    if let Some(requests) = requests.as_object_mut() {
        for (resource, quantity) in limits {
            requests.entry(resource).or_insert(quantity);
        }
    }
}
