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
}

/// One flaw for each validator.
pub(crate) const FLAWS: [Flaw; 9] = [
    Flaw {
        policy: "unpinned-images",
        make: |spec| spec["containers"][0]["image"] = "nginx:1.27.3".into(),
        field: "spec.containers[0].image",
    },
    Flaw {
        policy: "root-users",
        make: |spec| remove(&mut spec["securityContext"], "runAsNonRoot"),
        field: "spec.containers[0].securityContext.runAsNonRoot",
    },
    Flaw {
        policy: "privilege-escalation",
        make: |spec| remove(&mut spec["containers"][0]["securityContext"], "allowPrivilegeEscalation"),
        field: "spec.containers[0].securityContext.allowPrivilegeEscalation",
    },
    Flaw {
        policy: "undropped-capabilities",
        make: |spec| remove(&mut spec["containers"][0]["securityContext"], "capabilities"),
        field: "spec.containers[0].securityContext.capabilities.drop",
    },
    Flaw {
        policy: "missing-seccomp-profiles",
        make: |spec| remove(&mut spec["securityContext"], "seccompProfile"),
        field: "spec.containers[0].securityContext.seccompProfile.type",
    },
    Flaw {
        policy: "writable-root-filesystems",
        make: |spec| remove(&mut spec["containers"][0]["securityContext"], "readOnlyRootFilesystem"),
        field: "spec.containers[0].securityContext.readOnlyRootFilesystem",
    },
    Flaw {
        policy: "automounted-tokens",
        make: |spec| spec["automountServiceAccountToken"] = true.into(),
        field: "spec.automountServiceAccountToken",
    },
    Flaw {
        policy: "default-service-accounts",
        make: |spec| remove(spec, "serviceAccountName"),
        field: "spec.serviceAccountName",
    },
    Flaw { policy: "unisolated-pods", make: |spec| spec["hostNetwork"] = true.into(), field: "spec.hostNetwork" },
];

/// What a policy says is to be done.
pub(crate) fn fix(policy: &str) -> &'static str {
    let entry = CATALOGUE.iter().find(|entry| entry.meta.id == policy);
    entry.expect("the policy is in the catalogue").meta.fix
}

/// A container in order.
pub(crate) fn container(name: &str) -> Value {
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

fn remove(object: &mut Value, field: &str) {
    object.as_object_mut().expect("an object").remove(field).expect("the field was there");
}
