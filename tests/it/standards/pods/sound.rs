//! Pods that an API server takes: it refuses some fields beside each other, whatever the standards say of them.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SOUND, pod};

const LISTS: [&str; 2] = ["initContainers", "containers"];
/// Fields that Windows pods may not have: of the pod's security context or a container's.
const OF_LINUX: [&str; 10] = [
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
    "sysctls",
];
const ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Pods most of which pass validation (`K/pkg/apis/core/validation`).
pub(crate) fn sound() -> BoxedStrategy<Value> {
    pod(SOUND).prop_map(mend).boxed()
}

/// Takes away what cannot stand together.
fn mend(mut pod: Value) -> Value {
    let spec = &mut pod["spec"];
    let sidecar = |container: &Value| container["restartPolicy"] == "Always";
    for container in containers(spec, &["initContainers"]).into_iter().filter(|container| !sidecar(container)) {
        remove(container, &["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]);
    }
    mend_windows(spec);
    mend_contexts(spec);
    let shares_host = spec["hostNetwork"] == true || spec["hostIPC"] == true;
    if let Some(list) = spec.pointer_mut("/securityContext/sysctls").and_then(Value::as_array_mut) {
        let mut names = HashSet::new();
        list.retain(|sysctl| !shares_host && names.insert(sysctl["name"].to_string()));
    }
    // Each port a number of its own, on the node too.
    let ports = containers(spec, &LISTS).into_iter().filter_map(|container| container.get_mut("ports"));
    for (port, number) in ports.flat_map(items).zip(8_000..) {
        port["containerPort"] = json!(number);
        if port["hostPort"].as_i64().is_some_and(|port| port != 0) {
            port["hostPort"] = json!(number);
        }
    }
    mend_annotations(&mut pod);
    pod
}

/// A HostProcess pod is one altogether, and on the network of the node.
fn mend_windows(spec: &mut Value) {
    let is_host_process = |context: &Value| context["windowsOptions"]["hostProcess"] == true;
    let of_containers = containers(spec, &LISTS).iter().any(|one| is_host_process(&one["securityContext"]));
    if of_containers || is_host_process(&spec["securityContext"]) {
        for context in contexts(spec) {
            remove(context, &["windowsOptions"]);
        }
        if !spec["securityContext"].is_object() {
            spec["securityContext"] = json!({});
        }
        spec["securityContext"]["windowsOptions"] = json!({"hostProcess": true});
        spec["hostNetwork"] = json!(true);
    }
    match spec["os"]["name"].as_str() {
        Some("windows") => {
            remove(spec, &["hostPID", "hostIPC", "hostUsers"]);
            if spec["securityContext"]["windowsOptions"]["hostProcess"] != true {
                remove(spec, &["hostNetwork"]);
            }
            for context in contexts(spec) {
                remove(context, &OF_LINUX);
            }
        }
        Some("linux") => {
            let is_windows = |context: &&mut Value| context["windowsOptions"].is_object();
            if contexts(spec).iter().any(is_windows) {
                remove(spec, &["os"]);
            }
        }
        _ => {}
    }
}

fn mend_contexts(spec: &mut Value) {
    let is_unmasked = |context: &&mut Value| context["procMount"] == "Unmasked";
    if contexts(spec).iter().any(is_unmasked) {
        spec["hostUsers"] = json!(false);
    }
    // A pod in a user namespace shares no other with the node.
    if spec["hostUsers"] == false {
        let is_host_process = spec["securityContext"]["windowsOptions"]["hostProcess"] == true;
        let fields: &[&str] =
            if is_host_process { &["hostUsers", "hostPID", "hostIPC"] } else { &["hostNetwork", "hostPID", "hostIPC"] };
        remove(spec, fields);
        for context in contexts(spec).into_iter().filter(|_| is_host_process) {
            remove(context, &["procMount"]);
        }
    }
    for context in contexts(spec) {
        let adds = context["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        let escalates = adds.iter().any(|name| name == "SYS_ADMIN" || name == "CAP_SYS_ADMIN");
        if escalates || context["privileged"] == true {
            remove(context, &["allowPrivilegeEscalation"]);
        }
    }
}

/// Annotations about AppArmor are of containers that are there, and say what the fields say.
fn mend_annotations(pod: &mut Value) {
    let names: Vec<String> = containers(&mut pod["spec"], &LISTS)
        .iter()
        .map(|container| format!("{ARMOR}{}", container["name"].as_str().unwrap_or_default()))
        .collect();
    let mut has_armor = false;
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with(ARMOR) || names.contains(key));
        for (_, value) in annotations.iter_mut().filter(|(key, _)| key.starts_with(ARMOR)) {
            has_armor = true;
            if value == "docker/default" {
                *value = json!("runtime/default");
            }
        }
    }
    for context in contexts(&mut pod["spec"]).into_iter().filter(|_| has_armor) {
        remove(context, &["appArmorProfile"]);
    }
}

fn remove(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

fn items(list: &mut Value) -> Vec<&mut Value> {
    list.as_array_mut().into_iter().flatten().collect()
}

fn containers<'v>(spec: &'v mut Value, lists: &[&str]) -> Vec<&'v mut Value> {
    let fields = spec.as_object_mut().into_iter().flatten();
    fields.filter(|(name, _)| lists.contains(&name.as_str())).flat_map(|(_, list)| items(list)).collect()
}

/// The pod's security context and those of its containers, where they are objects.
fn contexts(spec: &mut Value) -> Vec<&mut Value> {
    let mut contexts = Vec::new();
    for (name, value) in spec.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "securityContext" => contexts.push(value),
            list if LISTS.contains(&list) => {
                contexts.extend(items(value).into_iter().filter_map(|one| one.get_mut("securityContext")));
            }
            _ => {}
        }
    }
    contexts.into_iter().filter(|context| context.is_object()).collect()
}
