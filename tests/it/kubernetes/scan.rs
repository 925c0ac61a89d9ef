//! `scan` of a real API server: it finds what `check` finds, and what it says of an object is what becomes of it.

mod corpus;
mod figures;
mod owners;
mod rights;

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Value, json};

use super::discovery::{CRDS, crd};
use super::eventually;
use super::objects::{broken_spec, holder, spec};
use super::plane::Plane;
use super::space::Space;
use crate::scan::{Scanned, scan};

/// The control plane that is scanned: without controllers nothing changes while it is.
static STILL: LazyLock<Plane> = LazyLock::new(|| Plane::start(&["--with-controller-manager=false"]));

/// Scans a cluster under a configuration, and returns the rows of the form JSON.
fn scanned(plane: &Plane, configuration: &str, arguments: &[&str]) -> Scanned {
    let folder = tempfile::tempdir().expect("a folder");
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    std::fs::write(folder.path().join("c.yaml"), format!("{head}{configuration}")).expect("written");
    let kubeconfig = plane.place.kubeconfig.to_str().expect("UTF-8");
    let fixed = ["--kubeconfig", kubeconfig, "--config", "c.yaml", "--format", "json"];
    scan(folder.path(), &[&fixed, arguments].concat())
}

/// The rows of a namespace.
fn rows_in(ran: &Scanned, namespace: &str) -> Vec<Value> {
    ran.rows().into_iter().filter(|row| row["namespace"] == namespace).collect()
}

#[test]
fn what_controllers_made_is_attributed_to_its_owner() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-scan-owners");
    let mut deployment = holder("Deployment", "web", broken_spec());
    deployment["spec"]["replicas"] = json!(2);
    space.create("deployments", &deployment).admitted();
    let mut cron = holder("CronJob", "nightly", spec());
    cron["spec"]["jobTemplate"]["metadata"] = json!({"labels": {"app": "nightly"}});
    space.create("cronjobs", &cron).admitted();
    eventually("two Pods", || (space.list("pods").len() == 2).then_some(()));

    let ran = scanned(plane, "profile: hardened\n", &["--page-size", "2"]);
    let rows = rows_in(&ran, "it-scan-owners");
    let of = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    for (kind, number, decision, owner) in [
        ("Deployment", 1, "deny", "Deployment/web"),
        ("ReplicaSet", 1, "allow", "Deployment/web"),
        ("Pod", 2, "deny", "Deployment/web"),
        ("CronJob", 1, "allow", "CronJob/nightly"),
    ] {
        let found = of(kind);
        assert_eq!(found.len(), number, "{rows:#?}");
        for row in found {
            assert_eq!((&row["decision"], &row["owner"]), (&json!(decision), &json!(owner)), "{row:#}");
            assert_eq!((&row["file"], &row["line"]), (&json!(null), &json!(null)));
            let findings = row["findings"].as_array().expect("findings");
            assert_eq!(findings.len(), usize::from(owner == "Deployment/web"), "{row:#}");
        }
    }
}

#[test]
fn a_kind_of_another_project_is_judged_where_it_is_served() {
    let plane = &*STILL;
    let space = Space::new(plane, "it-scan-kinds");
    plane.admin.call(Method::POST, CRDS, Some(&crd("scan.example.com", "Rollout", "rollouts"))).admitted();
    let path = format!("/apis/scan.example.com/v1/namespaces/{}/rollouts", space.name);
    let rollout = json!({"apiVersion": "scan.example.com/v1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"template": {"spec": broken_spec()}, "canary": {"template": {"spec": spec()}}}});
    eventually("it is served", || plane.admin.call(Method::POST, &path, Some(&rollout)).is_success().then_some(()));

    let rows = "workloads: [{group: scan.example.com, kind: Rollout, path: /spec/template},\
                {group: absent.example.com, kind: Absent, path: /spec/template}]\n";
    let ran = scanned(plane, &format!("profile: hardened\n{rows}"), &[]);
    let mut found = rows_in(&ran, "it-scan-kinds");
    found.retain(|row| row["kind"] != "NetworkPolicy");
    let [row] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(
        (&row["decision"], &row["kind"], &row["owner"]),
        (&json!("deny"), &json!("Rollout"), &json!("Rollout/web"))
    );
    assert_eq!(row["findings"][0]["pointer"], "/spec/template/spec/containers/0/image");
    assert!(
        ran.err.contains(
            "note: absent.example.com Absent: the API server serves no absents of that kind: nothing of it is judged"
        ),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("holds pod templates that no row of workloads leads to"), "{}", ran.err);
    // A field of the wrong type is named, and the rest is judged.
    let wrong = json!({"apiVersion": "scan.example.com/v1", "kind": "Rollout", "metadata": {"name": "wrong"},
        "spec": {"template": {"spec": {"hostNetwork": "yes", "containers": [{"name": "a", "image": "a"}]}}}});
    plane.admin.call(Method::POST, &path, Some(&wrong)).admitted();
    let ran = scanned(plane, &format!("profile: hardened\n{rows}"), &[]).with_code(2);
    assert!(ran.err.contains("Rollout it-scan-kinds/wrong: spec.template.spec.hostNetwork: "), "{}", ran.err);
    let found = rows_in(&ran, "it-scan-kinds");
    assert!(found.iter().any(|row| row["name"] == "wrong" && row["findings"].to_string().contains("unpinned-images")));
    plane.admin.call(Method::DELETE, &format!("{CRDS}/rollouts.scan.example.com"), None).admitted();
}
