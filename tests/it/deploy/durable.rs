//! The overlay `durable`: each replica keeps signed records on a volume of its own.

use std::process::Command;

use axum::http::Method;
use serde_json::Value;

use super::kubelet::{Replica, pods};
use super::network::Network;
use super::{NAME, kubectl};
use crate::kubernetes::eventually;
use crate::kubernetes::objects::broken_pod;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::Space;
use crate::serve::run;

#[test]
fn each_replica_keeps_signed_records_on_a_volume_of_its_own() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    let space = Space::new(&plane, "shop");
    // As deploy/trail.md says.
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    let key = key.to_str().expect("UTF-8");
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out", key]).status();
    assert!(made.expect("openssl runs").success());
    let (code, verifier, errors) = run(&["trail", "key", key], "");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    std::fs::write(folder.path().join("verifier.txt"), verifier).expect("written");
    kubectl(&plane, &["create", "namespace", NAME]);
    let from = format!("--from-file=key.pem={key}");
    kubectl(&plane, &["create", "secret", "generic", "portcullis-trail-key", "--namespace", NAME, &from]);
    // kubectl says that it did not create the Namespace itself.
    let applied = super::kubectl_in(&plane, super::prepared(), &["apply", "-k", "deploy/overlays/durable"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));

    let mut replicas: Vec<Replica> =
        pods(&plane, 2).into_iter().map(|pod| Replica::start(&plane, &network, pod, "info,kube=warn")).collect();
    let path = format!("/api/v1/namespaces/{NAME}/persistentvolumeclaims");
    let claims = plane.admin.call(Method::GET, &path, None).admitted();
    let names: Vec<&Value> =
        claims["items"].as_array().expect("a list").iter().map(|claim| &claim["metadata"]["name"]).collect();
    assert_eq!(names, ["spool-portcullis-0", "spool-portcullis-1"]);
    for replica in &replicas {
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        replica.report(&plane);
    }
    // It refuses nothing, and writes down what it would refuse.
    let spools: Vec<_> = replicas.iter().map(|replica| replica.volume("spool").join("spool")).collect();
    eventually("a record on a volume", || {
        space.create_dry("pods", &broken_pod("probe")).admitted();
        let query = |spool: &std::path::PathBuf| {
            run(&["trail", "query", "--decision", "would-deny", spool.to_str().expect("UTF-8")], "").1
        };
        spools.iter().any(|spool| query(spool).contains("probe")).then_some(())
    });
    for (replica, spool) in replicas.iter_mut().zip(&spools) {
        assert!(Command::new("kill").arg(replica.program.pid().to_string()).status().expect("kill").success());
        assert_eq!(replica.program.ended().0, Some(0));
        let verifier = folder.path().join("verifier.txt");
        let arguments = ["trail", "verify", "--key", verifier.to_str().expect("UTF-8"), spool.to_str().expect("UTF-8")];
        let (code, out, errors) = run(&arguments, "");
        assert_eq!(code, Some(0), "{out}{errors}");
    }
}
