//! A write is not refused for anything that it left unchanged, sentence by sentence (DESIGN §3, Updates).

mod grants;
mod pods;
mod templates;
mod unreadable;

use portcullis::cluster::Manifests;
use portcullis::decision::Decision;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::judging;

/// A container with the findings that a test wants: no digest, and a context without `readOnlyRootFilesystem`.
fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    })
}

/// A Pod as the API server sends it, whose containers may be at fault and whose other fields are not.
fn pod(containers: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "serviceAccountName": "web", "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
    }})
}

/// The review of an operation on the resource itself.
fn review(operation: &str, object: &Value, old: Option<&Value>) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "name": "web", "namespace": "default", "operation": operation,
        "userInfo": {"username": "jane"},
        "object": object, "oldObject": old, "dryRun": false,
    }})
}

fn update(snapshot: &Snapshot, object: &Value, old: &Value) -> Decision {
    judging::answer(snapshot, &review("UPDATE", object, Some(old)), &Manifests::default())
}

fn create(snapshot: &Snapshot, object: &Value) -> Decision {
    judging::answer(snapshot, &review("CREATE", object, None), &Manifests::default())
}

/// Policy, path, and whether the object had it before.
fn found(decision: &Decision) -> Vec<(&str, String, bool)> {
    let findings = decision.findings.iter();
    findings.map(|finding| (finding.meta.id, finding.place.shown(), finding.inherited)).collect()
}

/// True if there are findings and all of them are inherited.
fn all_inherited(decision: &Decision) -> bool {
    !decision.findings.is_empty() && decision.findings.iter().all(|finding| finding.inherited)
}

/// True if there are findings and none of them is inherited.
fn none_inherited(decision: &Decision) -> bool {
    !decision.findings.is_empty() && decision.findings.iter().all(|finding| !finding.inherited)
}
