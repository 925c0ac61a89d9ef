//! Objects of every kind with anything in any field: a decision or a reason, never a panic, and the same again.

use jiff::Timestamp;
use portcullis::cluster::Manifests;
use portcullis::decision::{Endpoint, Verdict, decide_at_once};
use portcullis::review;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::oracle;
use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::judging::configured;

/// The fields that policies read, at whatever depth they turn up.
const NAMES: [&str; 59] = [
    "metadata",
    "spec",
    "template",
    "jobTemplate",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "securityContext",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
    "type",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "capabilities",
    "add",
    "drop",
    "image",
    "reference",
    "name",
    "volumeMounts",
    "mountPath",
    "serviceAccountName",
    "automountServiceAccountToken",
    "hostUsers",
    "os",
    "nodeName",
    "labels",
    "annotations",
    "ownerReferences",
    "kubernetes.io/config.mirror",
    "container.apparmor.security.beta.kubernetes.io/a",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "sysctls",
    "privileged",
    "procMount",
    "appArmorProfile",
    "seLinuxOptions",
    "user",
    "role",
    "windowsOptions",
    "hostProcess",
    "ports",
    "hostPort",
    "livenessProbe",
    "lifecycle",
    "preStop",
    "httpGet",
    "tcpSocket",
    "host",
    "hostPath",
    "emptyDir",
    "resources",
    "limits",
    "requests",
    "memory",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(0)),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["", "ALL", "RuntimeDefault", "windows", "nginx", "default", "a\u{0}\n\u{1b}[31m"])
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 48, 6, |inner| {
        let name = prop_oneof![8 => prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((name, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A container whose fields are mostly what they should be.
fn container() -> impl Strategy<Value = Value> {
    let image = prop_oneof![20 => "[a-z]{1,6}(:[a-z0-9]{1,4})?".prop_map(Value::from), 1 => anything()];
    let context = prop_oneof![12 => oracle::context(), 1 => anything()];
    let mounts = prop_oneof![12 => Just(json!([{"name": "a", "mountPath": "/a"}])), 1 => anything()];
    let good = || {
        prop::sample::select(vec![
            json!(null),
            json!({}),
            json!([]),
            json!({"httpGet": {"host": "a"}}),
            json!([{"hostPort": 1}]),
        ])
    };
    let others = || prop_oneof![8 => Just(json!(null)), 2 => good(), 1 => anything()];
    let resources = prop_oneof![
        8 => prop::sample::select(vec![json!(null), json!({"limits": {"memory": "64Mi"}, "requests": {"cpu": 0.5}})]),
        1 => anything(),
    ];
    (image, context, mounts, others(), others(), resources).prop_map(
        |(image, context, mounts, ports, probe, resources)| {
            json!({"name": "a", "image": image, "securityContext": context, "volumeMounts": mounts, "ports": ports,
                "livenessProbe": probe, "lifecycle": {"preStop": probe}, "resources": resources})
        },
    )
}

/// A pod with the right outline and anything inside.
fn pod() -> impl Strategy<Value = Value> {
    let list = || prop_oneof![20 => prop::collection::vec(container(), 0..3).prop_map(Value::from), 1 => anything()];
    let metadata = prop_oneof![20 => Just(json!({"name": "web"})), 1 => anything()];
    (metadata, list(), list(), list(), prop_oneof![12 => oracle::context(), 1 => anything()], any::<Option<bool>>())
        .prop_map(|(metadata, init, containers, ephemeral, context, mount)| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {
                "initContainers": init, "containers": containers, "ephemeralContainers": ephemeral,
                "securityContext": context, "automountServiceAccountToken": mount,
            }})
        })
}

/// The object as a Pod, or as one of the kinds with templates, or something else altogether under that kind's name.
fn object() -> impl Strategy<Value = Value> {
    (pod(), 0..=TEMPLATE_KINDS.len(), prop::option::weighted(0.1, anything())).prop_map(|(pod, kind, other)| {
        let mut object = match TEMPLATE_KINDS.get(kind) {
            Some(kind) => wrapped(&pod, *kind),
            None => pod,
        };
        if let (Some(Value::Object(other)), Some(fields)) = (other, object.as_object_mut()) {
            fields.extend(other.into_iter().filter(|(name, _)| name != "kind" && name != "apiVersion"));
        }
        object
    })
}

fn review_of(object: &Value, old: &Value) -> String {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5", "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"}, "namespace": "default",
        "operation": "UPDATE", "userInfo": {"username": "jane"}, "object": object, "oldObject": old,
    }})
    .to_string()
}

proptest! {
    #[test]
    fn every_object_gets_a_decision_or_a_reason_and_the_same_one_again(new in object(), old in object()) {
        let snapshot = configured("profile: hardened\n");
        let bytes = review_of(&new, &old);
        let review = review::decode(bytes.as_bytes(), snapshot.workloads(), Timestamp::UNIX_EPOCH);
        let review = review.map_err(|error| TestCaseError::fail(error.to_string()))?;
        if let Some(reason) = &review.unreadable {
            prop_assert!(reason.starts_with("the object is not what its kind says: "), "{reason}");
            return Ok(());
        }
        let answer = || {
            let decision = decide_at_once(&snapshot, &review.request, &Manifests::default());
            (review::encode(&review, Endpoint::Validate, &decision, None), decision)
        };
        let ((first, decision), (second, _)) = (answer(), answer());
        prop_assert_eq!(first, second);
        prop_assert!(decision.verdict != Verdict::Error, "a policy panicked: {:?}", decision.findings);
        for finding in &decision.findings {
            prop_assert!(finding.message.starts_with("must "), "{}", finding.message);
            prop_assert!(!finding.message.contains(char::is_control), "{}", finding.message);
        }
    }
}
