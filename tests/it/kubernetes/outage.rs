//! Portcullis is dead, its webhooks refuse, and the cluster stays one that can be started and put right.

use std::path::Path;

use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis::mode::Mode;
use portcullis::pod_security::Version;
use portcullis::policy::catalogue::Entry;
use serde_json::{Value, json};

use super::objects::{broken_pod, broken_spec, holder, pod};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};
use super::{eventually, objects};
use crate::{fixtures, judging};

/// Objects that the API server creates at startup if missing (`K/plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:discovery";
const PUBLIC: &str = "/api/v1/namespaces/kube-public";
/// Settings with which a policy refuses more than with those of its fixtures.
const SETTINGS: [(&str, &str); 6] = [
    (
        "required-metadata",
        "{instances: [{name: owner, labels: {team: '.+'}, kinds: [{kind: ConfigMap}, {kind: Secret}, {kind: Namespace}, \
         {kind: StorageClass}]}]}",
    ),
    ("allowed-values", "{instances: [{name: types, path: spec.type, values: [ClusterIP], kinds: [{kind: Service}]}]}"),
    ("interactive-access", "{nodes: enforce}"),
    ("ad-hoc-edits", "{namespaces: [kube-system, portcullis, it-elsewhere], writers: {groups: [\"system:masters\"]}}"),
    ("routine-admins", "{groups: [it-administrators]}"),
    ("unmanaged-secrets", "{users: [admin]}"),
];

/// The shipped configuration, and in `enforce` every policy that it does not enforce.
fn everything_enforced() -> String {
    let is_enforced = |configuration: &str, entry: &Entry| {
        let snapshot = judging::configured(configuration);
        snapshot.policies("").iter().any(|policy| policy.meta.id == entry.meta.id && policy.mode == Mode::Enforce)
    };
    let shipped = shipped();
    let left_out = |configuration: &str| {
        // What one policy replaces, it finds.
        let replaced: Vec<&str> = fixtures::validators().flat_map(|entry| entry.replaces(Version::LATEST)).collect();
        let others = fixtures::validators().filter(|entry| !replaced.contains(&entry.meta.id));
        others.filter(|entry| !is_enforced(configuration, entry)).collect::<Vec<_>>()
    };
    let line = |entry: &&Entry| {
        let id = entry.meta.id;
        let settings = SETTINGS.iter().find(|(of, _)| *of == id);
        let enforced = settings.map(|(_, settings)| format!("{{mode: enforce, settings: {settings}}}"));
        format!("  {id}: {}\n", enforced.unwrap_or_else(|| fixtures::enforced(id)))
    };
    let configuration = format!(
        "{shipped}policies:\n  unisolated-pods: {{deletes: enforce, updates: strict}}\n{}",
        left_out(&shipped).iter().map(line).collect::<String>()
    );
    let missing: Vec<&str> = left_out(&configuration).iter().map(|entry| entry.meta.id).collect();
    assert_eq!(missing, [] as [&str; 0], "{configuration}");
    configuration
}

/// A pod spec with which no policy finds anything.
fn spec() -> Value {
    let mut spec = objects::spec();
    spec["hostUsers"] = false.into();
    spec
}

#[test]
fn a_dead_webhook_holds_up_neither_the_api_server_nor_its_own_return() {
    let plane = Plane::start(&[]);
    let own = Space::open(&plane, "portcullis");
    own.create("deployments", &holder("Deployment", "portcullis", spec())).admitted();
    let system = Space::named(&plane.admin, "kube-system");
    let elsewhere = Space::new(&plane, "it-elsewhere");
    // The probes that wait for the registration name it.
    Space::named(&plane.admin, "default").create("serviceaccounts", &account("web", None)).admitted();
    let mut portcullis = Portcullis::guard(&plane, &[], &everything_enforced(), &[]);
    elsewhere.create("pods", &broken_pod("web")).refused();
    elsewhere.create("pods", &pod("before", spec())).admitted();

    portcullis.kill();
    plane.admin.call(Method::DELETE, ROLE, None).admitted();
    // The API server itself lets nobody delete this namespace.
    forget(&plane.place.dir.join("etcd.sock"), "/registry/namespaces/kube-public");
    plane.restart("kube-apiserver");
    for path in [ROLE, PUBLIC] {
        eventually(&format!("the API server restores {path}"), || {
            plane.admin.try_call(Method::GET, path, None).ok()?.is_success().then_some(())
        });
    }

    let answer = elsewhere.create("pods", &pod("after", spec()));
    assert_eq!(answer.code, 500, "{answer:#?}");
    assert!(answer.message().contains("failed calling webhook \"enforce.portcullis.dev\""), "{answer:#?}");
    // What is no workload is not asked about: accounts, NetworkPolicies, the webhooks themselves.
    elsewhere.create("serviceaccounts", &account("later", None)).admitted();

    let answer = plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&object("v1", "Namespace", "it-later")));
    assert!(answer.message().contains("failed calling webhook \"enforce"), "{answer:#?}");
    // Heartbeats and events …
    for (path, object) in [
        ("/api/v1/nodes", object("v1", "Node", "it-node")),
        (
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
            object("coordination.k8s.io/v1", "Lease", "it-node"),
        ),
        (
            "/apis/events.k8s.io/v1/namespaces/default/events",
            json!({
                "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "it-event"},
                "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Test", "reason": "Test", "type": "Normal",
                "reportingController": "example.com/test", "reportingInstance": "test",
                "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web"},
            }),
        ),
    ] {
        plane.admin.call(Method::POST, path, Some(&object)).admitted();
    }
    // A heartbeat is an update too.
    let beat = json!({"metadata": {"labels": {"it": "later"}}});
    for path in [
        "/api/v1/nodes/it-node",
        "/api/v1/nodes/it-node/status",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/it-node",
    ] {
        plane.admin.call(Method::PATCH, path, Some(&beat)).admitted();
    }
    // What settings name cannot be written elsewhere, and can in these namespaces …
    let named = [
        ("configmaps", object("v1", "ConfigMap", "it-named")),
        ("secrets", object("v1", "Secret", "it-named")),
        (
            "services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "it-named"},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]}}),
        ),
    ];
    for (resource, object) in &named {
        let answer = elsewhere.create(resource, object);
        assert!(answer.message().contains("failed calling webhook \"enforce"), "{resource}: {answer:#?}");
        system.create(resource, object).admitted();
        own.create(resource, object).admitted();
    }
    // … tokens are given in the same namespaces …
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = elsewhere.create("serviceaccounts/web/token", &token);
    assert!(answer.message().contains("failed calling webhook \"enforce-serviceaccounts-token"), "{answer:#?}");
    system.create("serviceaccounts", &account("web", None)).admitted();
    system.create("serviceaccounts/web/token", &token).admitted();
    own.create("serviceaccounts/web/token", &token).admitted();
    // … the Namespaces of the cluster and ours …
    for name in ["kube-system", "portcullis"] {
        let label = json!({"metadata": {"labels": {"it": "later"}}});
        plane.admin.call(Method::PATCH, &format!("/api/v1/namespaces/{name}"), Some(&label)).admitted();
    }

    // The cluster's own components, in order or not …
    let scale = json!({"spec": {"template": {"metadata": {"annotations": {"example.com/restarted": "now"}}}}});
    system.create("deployments", &holder("Deployment", "dns", broken_spec())).admitted();
    system.patch("deployments", "dns", &scale).admitted();
    let mut broken = broken_pod("dns");
    broken["spec"]["serviceAccountName"] = "default".into();
    system.create("pods", &broken).admitted();
    let exec = "pods/dns/exec?container=web&command=sh&stdout=true";
    let answer = system.create(exec, &Value::Null);
    assert!(
        !answer.is_success() && !answer.message().contains("webhook"),
        "nothing but a node is missing: {answer:#?}"
    );
    // … and ourselves: the Deployment that brings us back, its ReplicaSet and its Pod.
    own.patch("deployments", "portcullis", &scale).admitted();
    own.patch("deployments", "portcullis", &json!({"spec": {"replicas": 1}})).admitted();
    eventually("our own Pod is there", || (!own.list("pods").is_empty()).then_some(()));

    portcullis.revive();
    let answer = eventually("it answers again", || {
        let answer = elsewhere.create_dry("pods", &pod("after", spec()));
        answer.is_success().then_some(answer)
    });
    answer.admitted();
    elsewhere.create("pods", &broken_pod("web")).refused();
}

fn object(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}})
}

/// The configuration that `deploy/overlays/enforce` ships, without its head.
fn shipped() -> String {
    let text = include_str!("../../../deploy/overlays/enforce/config.yaml");
    let lines = text.lines().filter(|line| !line.starts_with("apiVersion:") && !line.starts_with("kind:"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// Deletes a key in etcd (`KV.DeleteRange`, gRPC).
fn forget(socket: &Path, key: &str) {
    let length = u8::try_from(key.len()).expect("a short key");
    // The field `key`, number 1, of the request.
    let message = [&[0x0a, length], key.as_bytes()].concat();
    // Not compressed, its length, itself.
    let frame = [&[0, 0, 0, 0, length + 2], message.as_slice()].concat();
    let request = Request::post("http://localhost/etcdserverpb.KV/DeleteRange")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(frame)))
        .expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::connect(socket).await.expect("etcd listens");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        let body =
            sender.send_request(request).await.expect("etcd answers").into_body().collect().await.expect("a body");
        let trailers = body.trailers().cloned().unwrap_or_default();
        assert_eq!(trailers.get("grpc-status").map(axum::http::HeaderValue::as_bytes), Some(&b"0"[..]), "{trailers:?}");
        // `deleted`, number 2, of the answer is 1.
        assert!(body.to_bytes().ends_with(&[0x10, 1]), "nothing was there to delete");
    });
}
