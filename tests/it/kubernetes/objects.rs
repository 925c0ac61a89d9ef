//! The objects of the tests: one that no policy has anything to say about, and the same with one thing wrong.

use portcullis::policy::catalogue::CATALOGUE;
use serde_json::{Value, json};

const IMAGE: &str =
    "registry.example.com/web:1.4.2@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";

/// One thing wrong with a pod spec.
pub(crate) struct Flaw {
    /// The policy that finds it.
    pub(crate) policy: &'static str,
    /// Makes it.
    pub(crate) make: fn(&mut Value),
    /// Where it is found, from the pod's root.
    pub(crate) field: &'static str,
    /// Other policies that find it too: the API server takes no pod in which they do not.
    pub(crate) also: &'static [&'static str],
}

impl Flaw {
    const fn new(policy: &'static str, make: fn(&mut Value), field: &'static str) -> Self {
        Self { policy, make, field, also: &[] }
    }

    const fn and(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

/// One flaw for each validator that refuses in the profile `hardened`.
pub(crate) const FLAWS: [Flaw; 20] = [
    Flaw::new(
        "unpinned-images",
        |spec| spec["containers"][0]["image"] = "nginx:1.27.3".into(),
        "spec.containers[0].image",
    ),
    Flaw::new(
        "root-users",
        |spec| remove(&mut spec["securityContext"], "runAsNonRoot"),
        "spec.containers[0].securityContext.runAsNonRoot",
    ),
    Flaw::new(
        "privilege-escalation",
        |spec| remove(context(spec), "allowPrivilegeEscalation"),
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
    ),
    Flaw::new(
        "undropped-capabilities",
        |spec| remove(context(spec), "capabilities"),
        "spec.containers[0].securityContext.capabilities.drop",
    ),
    Flaw::new(
        "missing-seccomp-profiles",
        |spec| remove(&mut spec["securityContext"], "seccompProfile"),
        "spec.containers[0].securityContext.seccompProfile.type",
    ),
    Flaw::new(
        "writable-root-filesystems",
        |spec| remove(context(spec), "readOnlyRootFilesystem"),
        "spec.containers[0].securityContext.readOnlyRootFilesystem",
    ),
    Flaw::new(
        "automounted-tokens",
        |spec| spec["automountServiceAccountToken"] = true.into(),
        "spec.automountServiceAccountToken",
    ),
    Flaw::new("default-service-accounts", |spec| remove(spec, "serviceAccountName"), "spec.serviceAccountName"),
    Flaw::new("unisolated-pods", |spec| spec["hostNetwork"] = true.into(), "spec.hostNetwork")
        .and(&["host-namespaces"]),
    Flaw::new(
        "privileged-containers",
        |spec| {
            context(spec)["privileged"] = true.into();
            context(spec)["allowPrivilegeEscalation"] = true.into();
        },
        "spec.containers[0].securityContext.privileged",
    )
    .and(&["privilege-escalation"]),
    Flaw::new("host-namespaces", |spec| spec["hostPID"] = true.into(), "spec.hostPID"),
    Flaw::new(
        "host-ports",
        |spec| spec["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": 8080}]),
        "spec.containers[0].ports[0].hostPort",
    ),
    Flaw::new(
        "host-probes",
        |spec| spec["containers"][0]["livenessProbe"] = json!({"httpGet": {"host": "10.0.0.1", "port": 80}}),
        "spec.containers[0].livenessProbe.httpGet.host",
    ),
    Flaw::new(
        "app-armor-overrides",
        |spec| context(spec)["appArmorProfile"] = json!({"type": "Unconfined"}),
        "spec.containers[0].securityContext.appArmorProfile.type",
    ),
    Flaw::new(
        "se-linux-options",
        |spec| context(spec)["seLinuxOptions"] = json!({"type": "spc_t"}),
        "spec.containers[0].securityContext.seLinuxOptions.type",
    ),
    Flaw::new(
        "proc-mounts",
        |spec| {
            // Without a user namespace the API server refuses it.
            spec["hostUsers"] = false.into();
            context(spec)["procMount"] = "Unmasked".into();
        },
        "spec.containers[0].securityContext.procMount",
    ),
    Flaw::new(
        "unsafe-sysctls",
        |spec| spec["securityContext"]["sysctls"] = json!([{"name": "kernel.msgmax", "value": "65536"}]),
        "spec.securityContext.sysctls[0].name",
    ),
    Flaw::new(
        "windows-host-process",
        |spec| {
            spec["hostNetwork"] = true.into();
            spec["securityContext"]["windowsOptions"] = json!({"hostProcess": true});
        },
        "spec.securityContext.windowsOptions.hostProcess",
    )
    .and(&["host-namespaces", "unisolated-pods"]),
    Flaw::new(
        "volume-types",
        |spec| spec["volumes"] = json!([{"name": "data", "nfs": {"server": "10.0.0.1", "path": "/"}}]),
        "spec.volumes[0].nfs",
    ),
    Flaw::new(
        "unbounded-containers",
        |spec| remove(&mut spec["containers"][0]["resources"], "limits"),
        "spec.containers[0].resources.limits[memory]",
    ),
];

/// One flaw for each validator that is not in the profile `hardened`, or whose part another one takes there.
pub(crate) const FLAWS_ELSEWHERE: [Flaw; 4] = [
    Flaw::new(
        "host-paths",
        |spec| spec["volumes"] = json!([{"name": "data", "hostPath": {"path": "/"}}]),
        "spec.volumes[0].hostPath",
    ),
    Flaw::new(
        "added-capabilities",
        |spec| context(spec)["capabilities"]["add"] = json!(["NET_ADMIN"]),
        "spec.containers[0].securityContext.capabilities.add[0]",
    ),
    Flaw::new(
        "seccomp-unconfined",
        |spec| context(spec)["seccompProfile"] = json!({"type": "Unconfined"}),
        "spec.containers[0].securityContext.seccompProfile.type",
    ),
    Flaw::new("missing-user-namespaces", |spec| remove(spec, "hostUsers"), "spec.hostUsers"),
];

/// What a policy says is to be done.
pub(crate) fn fix(policy: &str) -> &'static str {
    let entry = CATALOGUE.iter().find(|entry| entry.meta.id == policy);
    entry.expect("the policy is in the catalogue").meta.fix
}

/// A container in order.
pub(crate) fn container(name: &str) -> Value {
    let mut container = ephemeral_container(name);
    container["resources"] = json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}});
    container
}

/// The same as an ephemeral container, which may have no resources.
pub(crate) fn ephemeral_container(name: &str) -> Value {
    json!({
        "name": name,
        "image": IMAGE,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// A pod spec in order.
pub(crate) fn spec() -> Value {
    json!({
        "serviceAccountName": "web",
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container("web")],
    })
}

/// A pod spec whose one flaw is an image named by its tag.
pub(crate) fn broken_spec() -> Value {
    let mut spec = spec();
    (FLAWS[0].make)(&mut spec);
    spec
}

/// A Pod with that spec.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

/// A Pod whose one flaw is an image named by its tag.
pub(crate) fn broken_pod(name: &str) -> Value {
    pod(name, broken_spec())
}

/// A kind that holds a pod template: its name, its resource, and the path from the pod's root to it.
pub(crate) const TEMPLATES: [(&str, &str, &str); 8] = [
    ("PodTemplate", "podtemplates", "template."),
    ("ReplicationController", "replicationcontrollers", "spec.template."),
    ("ReplicaSet", "replicasets", "spec.template."),
    ("Deployment", "deployments", "spec.template."),
    ("StatefulSet", "statefulsets", "spec.template."),
    ("DaemonSet", "daemonsets", "spec.template."),
    ("Job", "jobs", "spec.template."),
    ("CronJob", "cronjobs", "spec.jobTemplate.spec.template."),
];

/// An object of a kind with a pod template. It makes no pods as it is.
pub(crate) fn holder(kind: &str, name: &str, mut spec: Value) -> Value {
    let labels = json!({"app": name});
    let mut template = |restart: Option<&str>| {
        if let Some(restart) = restart {
            spec["restartPolicy"] = restart.into();
        }
        json!({"metadata": {"labels": labels}, "spec": spec})
    };
    let selector = json!({"matchLabels": labels});
    let (version, body) = match kind {
        "PodTemplate" => ("v1", json!({"template": template(None)})),
        "ReplicationController" => {
            ("v1", json!({"spec": {"replicas": 0, "selector": labels, "template": template(None)}}))
        }
        "Job" => ("batch/v1", json!({"spec": {"suspend": true, "template": template(Some("Never"))}})),
        "CronJob" => {
            let job = json!({"spec": {"template": template(Some("Never"))}});
            ("batch/v1", json!({"spec": {"suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": job}}))
        }
        "DaemonSet" => ("apps/v1", json!({"spec": {"selector": selector, "template": template(None)}})),
        "StatefulSet" => (
            "apps/v1",
            json!({"spec": {"replicas": 0, "serviceName": name, "selector": selector, "template": template(None)}}),
        ),
        _ => ("apps/v1", json!({"spec": {"replicas": 0, "selector": selector, "template": template(None)}})),
    };
    let mut object = body;
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"] = json!({"name": name});
    object
}

/// The first container's.
fn context(spec: &mut Value) -> &mut Value {
    &mut spec["containers"][0]["securityContext"]
}

fn remove(object: &mut Value, field: &str) {
    object.as_object_mut().expect("an object").remove(field).expect("the field was there");
}
