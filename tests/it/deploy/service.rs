//! The whole of it, as a cluster has it: what `kubectl apply -k` stores, Pods that the controllers make of it, started as
//! their specs say, and an API server that finds them behind the Service.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use super::kubelet::{Replica, pods};
use super::network::Network;
use super::program::post;
use super::{WEBHOOKS, kubectl, secret_ca, trusted, webhooks_path};
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{broken_pod, pod, spec};
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::{Space, account};
use crate::serve::{good_pod, review};

/// Lines of the library that speaks HTTP/2.
const HTTP2: &str = "\"target\":\"h2::";

#[test]
fn what_is_applied_starts_and_is_found_behind_its_service() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    let space = Space::new(&plane, "shop");
    kubectl(&plane, &["apply", "-k", "deploy"]);
    let start = |pod| Replica::start(&plane, &network, pod, "info,kube=warn,h2=debug");
    let replicas: Vec<Replica> = pods(&plane, 2).into_iter().map(start).collect();
    for replica in &replicas {
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        assert_eq!(replica.probe("livenessProbe"), (200, "ok\n".to_owned()));
        assert_confined(replica);
        replica.report(&plane);
    }
    let ca = secret_ca(&plane).expect("there is a Secret");
    let makers =
        replicas.iter().filter(|replica| replica.program.said(&["the serving certificate was made"]).is_some());
    assert_eq!(makers.count(), 1, "one makes it, and both serve it");
    trusts(&plane, &ca);

    // Audit-only: asked by way of the Service, and nothing is refused.
    eventually("the API server asks", || {
        space.create_dry("pods", &broken_pod("probe")).admitted();
        record(&replicas, "probe").map(|record| assert_eq!(record["decision"], "would-deny"))
    });
    create(&plane, &space, &broken_pod("early")).expect("audit-only refuses nothing");

    // Enforced: the objects at once, the mounted file when the kubelet comes by. In between, it is said.
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    for replica in &replicas {
        let verbose = || replica_says(replica, "/readyz?verbose");
        eventually("it lags", || verbose().contains("[!]webhooks: lag behind: ").then_some(()));
        replica.sync(&plane);
        eventually("it does not lag", || verbose().contains("[+]webhooks as configured").then_some(()));
    }
    trusts(&plane, &ca);
    let refused =
        eventually("the API server has the new webhooks", || create(&plane, &space, &broken_pod("bad")).err());
    assert!(
        refused.contains("admission webhook \"enforce.portcullis.dev\" denied the request: unpinned-images: "),
        "{refused}"
    );
    let isolation = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "none"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
    create(&plane, &space, &isolation).expect("no webhook minds");
    space.create("serviceaccounts", &account("good", Some(false)));
    let mut own = spec();
    own["serviceAccountName"] = "good".into();
    create(&plane, &space, &pod("good", own)).expect("it is in order");
    let good = record(&replicas, "good").expect("it is recorded");
    let findings = good["findings"].as_array().expect("findings");
    assert!(
        findings.iter().all(|finding| finding["policy"] == "routine-admins"),
        "who asks is an administrator: {good:#}"
    );
    assert_eq!(space.get("pods", "bad").code, 404);

    // Deleted by mistake, and applied again: trusted again, without anybody's help.
    for resource in WEBHOOKS {
        plane.admin.call(Method::DELETE, &webhooks_path(resource), None).admitted();
    }
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    trusts(&plane, &ca);
    eventually("it refuses again", || {
        let refused = create(&plane, &space, &broken_pod("bad")).err()?;
        refused.contains("unpinned-images: ").then_some(())
    });

    // Behind a Service an API server speaks HTTP/1.1. Both would have been understood.
    for replica in &replicas {
        assert_eq!(replica.program.said(&[HTTP2]), None);
        let review = review("by-hand", "shop", &good_pod());
        let address = replica.port(&"reviews".into());
        assert!(post(address, &ca, &review, "--http2").is_some_and(|answer| answer["response"]["uid"] == "by-hand"));
        replica.program.says(&[HTTP2]);
        assert_eq!(replica.program.said(&["orbidden"]), None, "its rights are enough");
    }
}

/// Root nowhere, no way to it, and nothing to write to.
fn assert_confined(replica: &Replica) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", replica.program.pid())).expect("its status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((field("Uid:"), field("Gid:")), (vec!["65532".to_owned(); 4], vec!["65532".to_owned(); 4]));
    assert_eq!((field("NoNewPrivs:"), field("CapEff:")), (vec!["1".to_owned()], vec!["0".repeat(16)]));
    assert!(field("Groups:").is_empty());
}

/// Waits until both webhook configurations trust that, and nothing else.
#[track_caller]
fn trusts(plane: &Plane, ca: &str) {
    for resource in WEBHOOKS {
        eventually("caBundle is filled in", || (trusted(plane, resource)? == ca).then_some(()));
    }
}

/// The last record about a Pod, whoever of them was asked.
fn record(replicas: &[Replica], name: &str) -> Option<Value> {
    replicas
        .iter()
        .flat_map(|replica| replica.program.records())
        .rfind(|record| (record["endpoint"].as_str(), record["name"].as_str()) == (Some("validate"), Some(name)))
}

fn replica_says(replica: &Replica, path: &str) -> String {
    super::program::get(replica.port(&"admin".into()), path).1
}

/// `kubectl create`: what it said when it failed.
fn create(plane: &Plane, space: &Space, object: &Value) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("object.json");
    std::fs::write(&file, object.to_string()).expect("written");
    let output = Command::new(&plane.place.kubectl)
        .arg("--kubeconfig")
        .arg(&plane.place.kubeconfig)
        .arg("--cache-dir")
        .arg(dir.path())
        .args(["create", "--namespace", &space.name, "--filename"])
        .arg(&file)
        .output()
        .expect("kubectl runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
