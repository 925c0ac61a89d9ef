//! The objects of the tests: one that no policy has anything to say about, and the same with one thing wrong.

use jsonptr::{Assign as _, Delete as _, Pointer};
use portcullis::policy::catalogue::CATALOGUE;
use serde_json::{Value, json};

use crate::{fixtures, judging};

const IMAGE: &str =
    "registry.example.com/web:1.4.2@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";

/// One thing wrong with a pod spec: `tests/policies/<id>/flaw.yaml`.
pub(crate) struct Flaw {
    /// The policy that finds it.
    pub(crate) policy: &'static str,
    /// The file.
    table: Value,
}

impl Flaw {
    /// The flaw of a policy.
    pub(crate) fn of(policy: &'static str) -> Self {
        let table = fixtures::table(policy, "flaw.yaml");
        let known = ["set", "remove", "finds", "also", "depends-on-cluster"];
        for key in table.as_object().expect("a mapping").keys() {
            assert!(known.contains(&key.as_str()), "{policy}/flaw.yaml: {key}");
        }
        Self { policy, table }
    }

    /// Makes it in a pod spec.
    pub(crate) fn make(&self, spec: &mut Value) {
        for (place, value) in self.table["set"].as_object().into_iter().flatten() {
            spec.assign(pointer(place), value.clone()).expect("the place can be made");
        }
        for place in self.texts("remove") {
            spec.delete(pointer(place)).expect("the field was there");
        }
    }

    /// The field in which it is found, from the pod's root.
    pub(crate) fn field(&self) -> &str {
        self.table["finds"].as_str().expect("finds")
    }

    /// Other policies that find it too: the API server takes no pod in which they do not.
    pub(crate) fn also(&self) -> impl Iterator<Item = &str> {
        self.texts("also")
    }

    /// True if another object of the cluster may resolve it: then it refuses Pods only.
    pub(crate) fn depends_on_cluster(&self) -> bool {
        self.table["depends-on-cluster"] == true
    }

    fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.table[key].as_array().into_iter().flatten().map(|text| text.as_str().expect("a string"))
    }
}

fn pointer(text: &str) -> &Pointer {
    Pointer::parse(text).expect(text)
}

/// The flaws of the validators of Pods: of those in the profile `hardened`, and of the others.
pub(crate) fn flaws() -> (Vec<Flaw>, Vec<Flaw>) {
    let hardened = judging::configured("profile: hardened\n");
    let is_in = |flaw: &Flaw| hardened.policies("").iter().any(|policy| policy.meta.id == flaw.policy);
    fixtures::pod_validators().map(|entry| Flaw::of(entry.meta.id)).partition(is_in)
}

/// The fix that a policy recommends.
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
    Flaw::of("unpinned-images").make(&mut spec);
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

/// A kind that holds a pod template: its name, its resource, and the path from the object's root to it, with a dot at its end.
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
