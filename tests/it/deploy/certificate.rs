//! `--self-managed-certificate`: the same for every replica, trusted by our webhook configurations, and renewed.

mod changes;
mod probe;
mod rotation;

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;

use super::program::Program;
use super::{
    SECRET, WEBHOOKS, cluster, configuration, distrust, distrust_all, kubectl, secret_ca, token, trusted, webhooks,
};
use crate::golden::repository;
use crate::kubernetes::eventually;
use crate::kubernetes::plane::{Plane, programs};
use crate::serve::{good_pod, review};

/// Starts of several replicas at once, against a Secret without data and against none in turn.
const RACES: usize = 6;

fn audit_only(plane: &Plane) -> Program {
    Program::serve(plane, &configuration("deploy/overlays/audit-only"))
}

/// True if it serves a certificate that this CA signed, for its Service's name.
fn serves(program: &Program, ca: &str) -> bool {
    program.review(ca, &review("trust", "shop", &good_pod())).is_some_and(|answer| answer["response"]["uid"] == "trust")
}

#[test]
fn replicas_that_start_at_once_end_with_the_same_certificate() {
    let plane = cluster();
    let mut before = None;
    for race in 0..RACES {
        plane.admin.call(Method::DELETE, SECRET, None).admitted();
        if race % 2 == 0 {
            let empty = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "portcullis-certificate"}});
            plane.admin.call(Method::POST, "/api/v1/namespaces/portcullis/secrets", Some(&empty)).admitted();
        }
        distrust_all(&plane);
        let replicas: Vec<Program> = (0..3).map(|_| audit_only(&plane)).collect();
        let replicas: Vec<Program> = replicas.into_iter().map(Program::ready).collect();
        let ca = secret_ca(&plane).expect("there is a Secret");
        assert_ne!(before.as_ref(), Some(&ca), "another Secret, another CA");
        assert!(replicas.iter().all(|replica| serves(replica, &ca)));
        assert!(!before.is_some_and(|before| serves(&replicas[0], &before)), "another CA is not trusted");
        let made = replicas.iter().filter(|replica| replica.said(&["the serving certificate was made"]).is_some());
        assert_eq!(made.count(), 1);
        for resource in WEBHOOKS {
            eventually("caBundle is filled in", || (trusted(&plane, resource)? == ca).then_some(()));
        }
        for replica in &replicas {
            assert!(!replica.log().contains("PRIVATE KEY") && !replica.log().contains("BEGIN CERTIFICATE"));
        }
        before = Some(ca);
    }
}

#[test]
fn a_secret_with_something_else_in_it_is_said_and_left_alone() {
    let plane = cluster();
    let other = json!({"stringData": {"tls.crt": "a", "tls.key": "b"}});
    plane.admin.call(Method::PATCH, SECRET, Some(&other)).admitted();
    let (code, log) = audit_only(&plane).ended();
    assert_eq!(code, Some(2));
    let expected =
        "the Secret portcullis/portcullis-certificate has no ca.crt; delete it, and the next start makes another";
    assert!(log.contains(expected), "{log}");

    let bad = json!({"stringData": {"ca.crt": "c"}});
    plane.admin.call(Method::PATCH, SECRET, Some(&bad)).admitted();
    let (code, log) = audit_only(&plane).ended();
    assert_eq!((code, log.trim_end()), (Some(2), "the certificate: holds no certificate"));
}

#[test]
fn an_api_server_that_is_not_there_yet_is_waited_for() {
    // One of its own: it would be missed.
    let plane = Plane::start(&["--with-controller-manager=false"]);
    kubectl(&plane, &["apply", "-k", "deploy"]);
    let token = token(&plane, &3600.into(), None);
    plane.stop("kube-apiserver");
    let late = Program::serve_as(&plane, &configuration("deploy/overlays/audit-only"), &token);
    late.says(&["there is no certificate yet"]);
    plane.resume("kube-apiserver");
    let late = late.ready();
    assert!(serves(&late, &secret_ca(&plane).expect("there is a Secret")));
}

#[test]
fn a_secret_that_is_deleted_leads_to_a_new_ca_and_nobody_is_cut_off() {
    let plane = cluster();
    leads_to_a_new_ca(&plane, || {
        plane.admin.call(Method::DELETE, SECRET, None).admitted();
    });
}

#[test]
fn the_page_says_how_to_empty_it_and_nobody_is_cut_off() {
    let plane = cluster();
    let page = std::fs::read_to_string(repository("deploy/certificates.md")).expect("the page");
    let (_, rest) = page.split_once("```sh\n").expect("a command");
    let command = rest.split("```").next().expect("its text").trim().to_owned();
    leads_to_a_new_ca(&plane, || {
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", format!("{}:{}", programs().display(), std::env::var("PATH").expect("a path")))
            .env("KUBECONFIG", &plane.place.kubeconfig)
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    });
}

/// Two replicas, whose Secret is taken away.
fn leads_to_a_new_ca(plane: &Plane, take: impl FnOnce()) {
    let replicas: Vec<Program> = (0..2).map(|_| short_lived(plane)).collect();
    let replicas: Vec<Program> = replicas.into_iter().map(Program::ready).collect();
    let old = secret_ca(plane).expect("there is a Secret");
    trusts(plane, &old);
    let over = AtomicBool::new(false);
    let new = std::thread::scope(|threads| {
        let probing = threads.spawn(|| probe::connect(plane, &replicas, &over));
        let ending = probe::Ending(&over);
        take();
        let both = eventually("a new CA before the old one", || {
            secret_ca(plane).filter(|both| *both != old && both.ends_with(&old))
        });
        assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2, "{both}");
        trusts(plane, &both);
        let new = both.strip_suffix(&old).expect("the new one").to_owned();
        for replica in &replicas {
            eventually("it serves a certificate of the new CA", || serves(replica, &new).then_some(()));
        }
        drop(ending);
        assert!(probing.join().expect("no connection failed") > 0);
        new
    });
    let versions = || WEBHOOKS.map(|resource| webhooks(plane, resource)["metadata"]["resourceVersion"].clone());
    let (settled, since) = (versions(), Instant::now());
    // Undoing each other took no longer than a watch takes to tell.
    while since.elapsed() < Duration::from_secs(1) {
        assert_eq!(versions(), settled, "somebody writes again and again");
        std::thread::sleep(Duration::from_millis(50));
    }

    // Whoever else changes it, it is set right once.
    distrust(plane, WEBHOOKS[0]);
    let both = new + &old;
    eventually("it is set right", || (trusted(plane, WEBHOOKS[0])? == both).then_some(()));
    for replica in &replicas {
        assert!(!replica.log().contains("PRIVATE KEY") && !replica.log().contains("BEGIN CERTIFICATE"));
    }
}

/// A replica whose certificates live for a minute: a new CA is trusted for six seconds before it signs.
fn short_lived(plane: &Plane) -> Program {
    let arguments = ["--certificate-lifetime=60", "--authority-lifetime=60"];
    let token = token(plane, &3600.into(), None);
    Program::serve_with(plane, &configuration("deploy/overlays/audit-only"), &token, &arguments)
}

/// Waits until both webhook configurations trust that, and nothing else.
#[track_caller]
fn trusts(plane: &Plane, ca: &str) {
    for resource in WEBHOOKS {
        eventually("caBundle is as in the Secret", || (trusted(plane, resource)? == ca).then_some(()));
    }
}
