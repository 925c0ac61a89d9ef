//! Access to what runs, through the real kubectl: exec, attach, port-forward, debug, and the proxies.
//!
//! There is no kubelet. A Pod is bound to a node that does not exist, and said to run, so that an admitted request fails with
//! the API server's own words about the node. kubectl falls back from WebSocket to SPDY when a connection is not upgraded, so
//! that one command, refused or admitted, makes two reviews.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

const NODE: &str = "it-access-node";
const IMAGE: &str =
    "registry.example.com/tools:2.0.0@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";
/// A policy on Pods, so that the API server's knowledge of the webhooks can be probed with one.
const CONFIGURATION: &str = "policies:\n  host-ports: {mode: audit}\n  interactive-access:\n    mode: enforce\n    settings:\n      \
     groups: [sre]\n      serviceAccounts: [{namespace: it-access, name: runner}]\nnamespaces:\n- match: {names: [it-access-warned]}\n  \
     policies: {interactive-access: {mode: warn}}\n  relax: true\n";

/// A namespace with a Pod that runs, as far as the API server knows.
fn running(plane: &Plane, name: &str) -> Space {
    let space = Space::new(plane, name);
    space.create("pods", &pod("web", spec())).admitted();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
    space.create("pods/web/binding", &binding).admitted();
    space.patch("pods", "web/status", &json!({"status": {"phase": "Running"}})).admitted();
    let rights = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "all"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"},
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "sre"},
        {"kind": "ServiceAccount", "namespace": name, "name": "runner"},
    ]});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings");
    plane.admin.call(Method::POST, &path, Some(&rights)).admitted();
    space
}

/// Runs kubectl until the API server knows the rights of the user; returns its standard error.
fn kubectl(space: &Space, who: &[&str], arguments: &[&str]) -> String {
    eventually("the user has rights", || {
        let mut kubectl = Command::new(&Plane::shared().place.kubectl);
        kubectl.args(["--namespace", &space.name, "--cache-dir"]).arg(std::env::temp_dir().join("it-access-cache"));
        let output = kubectl.args(who).args(arguments).output().expect("kubectl runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!said.contains("is forbidden: User")).then_some(said)
    })
}

#[test]
fn access_is_left_to_those_whom_the_settings_name() {
    let plane = Plane::shared();
    let space = running(plane, "it-access");
    let warned = running(plane, "it-access-warned");
    space.create("serviceaccounts", &account("runner", None)).admitted();
    let mut portcullis = Portcullis::guard(plane, &[&space, &warned], CONFIGURATION, &[]);
    let kubeconfig = plane.place.kubeconfig.to_str().expect("UTF-8");
    let jane = ["--kubeconfig", kubeconfig, "--as", "jane", "--as-group", "developers"];
    let joe = ["--kubeconfig", kubeconfig, "--as", "joe", "--as-group", "sre"];
    let runner = ["--kubeconfig", kubeconfig, "--as", "system:serviceaccount:it-access:runner"];
    let token =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
    let token = space.create("serviceaccounts/runner/token", &token).admitted();
    let by_token = [
        "--kubeconfig",
        "/dev/null",
        "--server",
        &plane.place.server,
        "--certificate-authority",
        plane.place.ca_cert.to_str().expect("UTF-8"),
        "--token",
        token["status"]["token"].as_str().expect("a token"),
    ];

    let records = |portcullis: &Portcullis, user: &str, subresource: &str| -> Vec<Value> {
        let records = portcullis.records().into_iter();
        let is_it = |record: &Value| record["user"]["name"] == user && record["resource"]["subresource"] == subresource;
        records.filter(is_it).collect()
    };
    let exec = ["exec", "-i", "web", "-c", "web", "--", "sh", "-c", "TOKEN=hunter2 id"];
    let attach = ["attach", "web", "-c", "web"];
    let forward = ["port-forward", "pod/web", ":8080"];
    let debug = ["debug", "web", "-c", "debug", "--image", IMAGE, "--", "env", "DB_PASSWORD=hunter2"];
    for (subresource, arguments) in
        [("exec", &exec[..]), ("attach", &attach), ("portforward", &forward), ("ephemeralcontainers", &debug)]
    {
        let said = kubectl(&space, &jane, arguments);
        assert!(said.contains("denied the request: interactive-access: "), "{subresource}: {said}");
        let refused = records(&portcullis, "jane", subresource);
        let reviews = if subresource == "ephemeralcontainers" { 1 } else { 2 };
        assert_eq!(refused.len(), reviews, "{subresource}: {refused:#?}");
        assert!(refused.iter().all(|record| record["decision"] == "deny"), "{refused:#?}");

        let said = kubectl(&space, &joe, arguments);
        assert!(!said.contains("admission webhook"), "{subresource}: {said}");
        let admitted = records(&portcullis, "joe", subresource);
        assert!(!admitted.is_empty() && admitted.iter().all(|record| record["decision"] == "allow"), "{admitted:#?}");
        if subresource != "ephemeralcontainers" {
            assert!(said.contains(NODE), "the API server finds no such node: {said}");
        }
    }
    let told = json!({"container": "web", "command": ["sh", "-c", "TOKEN=[redacted] id"], "stdin": true, "tty": false});
    assert_eq!(records(&portcullis, "jane", "exec")[0]["access"], told);
    let told =
        json!({"container": "debug", "command": ["env", "DB_PASSWORD=[redacted]"], "stdin": false, "tty": false});
    assert_eq!(records(&portcullis, "joe", "ephemeralcontainers")[0]["access"], told);

    for who in [&runner[..], &by_token] {
        let said = kubectl(&space, who, &exec);
        assert!(!said.contains("admission webhook") && said.contains(NODE), "{said}");
    }
    let by_runner = records(&portcullis, "system:serviceaccount:it-access:runner", "exec");
    assert!(by_runner.len() >= 2 && by_runner.iter().all(|record| record["decision"] == "allow"), "{by_runner:#?}");

    // kubectl asks for a terminal only where it has one; the request is the same.
    let shell = "?container=web&command=sh&stdin=true&stdout=true&tty=true";
    let answer = warned.create(&format!("pods/web/exec{shell}"), &Value::Null);
    assert!(answer.warns("interactive-access: "), "{answer:#?}");
    assert!(answer.message().contains(NODE), "{answer:#?}");
    let record = records(&portcullis, "admin", "exec").pop().expect("a record");
    assert_eq!((&record["decision"], &record["access"]["tty"]), (&"warn".into(), &true.into()), "{record:#}");
    for path in ["pods/web", "services/web"] {
        let answer = space.get(path, "proxy/metrics");
        assert!(answer.message().contains("interactive-access: "), "{path}: {answer:#?}");
    }
    let answer = plane.admin_of(&space).call(Method::GET, &format!("/api/v1/nodes/{NODE}/proxy/metrics"), None);
    assert!(answer.warns("interactive-access: ") && !answer.message().contains("admission"), "{answer:#?}");

    let uid = record["uid"].as_str().expect("a uid").to_owned();
    eventually("the API server logs the uid of the record", || {
        let log = std::fs::read_to_string(&plane.place.audit_log).expect("there is an audit log");
        log.lines().any(|line| line.contains(".portcullis.dev/uid\"") && line.contains(&uid)).then_some(())
    });
    let trail = std::fs::read_to_string(portcullis.trail()).expect("there is a trail");
    assert!(!trail.contains("hunter2") && !portcullis.log().contains("hunter2"));

    portcullis.kill();
    let said = kubectl(&space, &joe, &exec);
    assert!(said.contains("failed calling webhook"), "where it refuses, nobody gets in: {said}");
    let said = kubectl(&warned, &joe, &exec);
    assert!(!said.contains("webhook") && said.contains(NODE), "where it warns, they do: {said}");
}
