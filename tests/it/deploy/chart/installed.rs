//! The chart on a real API server: installed, upgraded, rolled back and uninstalled by the real helm.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};

use super::super::kubelet::{Replica, pods};
use super::super::network::Network;
use super::super::program::get;
use super::super::{
    NAME, WEBHOOKS, assert_described, kubectl, kubectl_in, prepared, secret_ca, sha256, trusted, webhooks,
};
use super::{CHART, CI, ci, helm_with};
use crate::kubernetes::eventually;
use crate::kubernetes::objects::broken_pod;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::Space;

/// What comes and goes by itself.
const PASSING: [&str; 4] = ["event", "lease", "flowschema", "prioritylevelconfiguration"];

/// The volumes of a StatefulSet, as [`everything`] names them.
const CLAIMS: [&str; 2] =
    ["PersistentVolumeClaim portcullis spool-portcullis-0", "PersistentVolumeClaim portcullis spool-portcullis-1"];

/// helm against that cluster, which must succeed.
#[track_caller]
pub(in crate::deploy) fn helm(plane: &Plane, arguments: &[&str]) -> String {
    let output = helm_with(&[arguments, &["--namespace", NAME]].concat(), Some(&plane.place.kubeconfig));
    assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The name of every object in the cluster, with its resource and namespace.
fn everything(plane: &Plane) -> BTreeSet<String> {
    let resources = kubectl(plane, &["api-resources", "--verbs=list", "--output=name"]);
    let lasting = resources.lines().filter(|name| !PASSING.iter().any(|passing| name.starts_with(passing)));
    let resources = lasting.collect::<Vec<_>>().join(",");
    let columns = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    let output =
        kubectl_in(plane, prepared(), &["get", &resources, "--all-namespaces", "--no-headers", "--output", columns]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    String::from_utf8_lossy(&output.stdout).lines().map(words).collect()
}

/// Waits until nothing is in the cluster that was not there before, but these.
#[track_caller]
fn nothing_is_left(plane: &Plane, before: &BTreeSet<String>, but: &[&str]) {
    let but: BTreeSet<String> = but.iter().map(|name| (*name).to_owned()).collect();
    let left = || everything(plane).difference(before).cloned().collect::<BTreeSet<_>>();
    let mut last = BTreeSet::new();
    let deadline = std::time::Instant::now() + crate::serve::PATIENCE;
    while std::time::Instant::now() < deadline {
        end_pods(plane);
        last = left();
        if last == but {
            return;
        }
    }
    panic!("left: {last:?}, and not {but:?}");
}

/// Ends the Pods that were told to, as their kubelet does.
fn end_pods(plane: &Plane) {
    let path = format!("/api/v1/namespaces/{NAME}/pods");
    let list = plane.admin.call(Method::GET, &path, None).admitted();
    for pod in
        list["items"].as_array().into_iter().flatten().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
    {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        plane.admin.call(Method::DELETE, &format!("{path}/{name}?gracePeriodSeconds=0"), None);
    }
}

/// Waits until the Pods have ended.
pub(in crate::deploy) fn no_pods(plane: &Plane) {
    eventually("no Pods", || {
        end_pods(plane);
        let list = plane.admin.call(Method::GET, &format!("/api/v1/namespaces/{NAME}/pods"), None).admitted();
        list["items"].as_array().is_none_or(Vec::is_empty).then_some(())
    });
}

/// Generations of the webhook objects: each change of them counts.
fn generations(plane: &Plane) -> [Value; 2] {
    WEBHOOKS.map(|resource| webhooks(plane, resource)["metadata"]["generation"].clone())
}

#[test]
fn it_is_installed_upgraded_rolled_back_and_leaves_nothing() {
    it_comes_and_goes(|network| Plane::start(&["--address", &network.node.to_string()]));
}

/// Installs, upgrades, rolls back and uninstalls it in a control plane, as whoever its kubeconfig names.
pub(super) fn it_comes_and_goes(start: impl FnOnce(&Network) -> Plane) {
    let network = Network::new();
    let plane = start(&network);
    let space = Space::new(&plane, "shop");
    namespace(&plane);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
    plane.admin.call(Method::POST, "/api/v1/nodes", Some(&node)).admitted();
    let before = everything(&plane);

    let notes = helm(&plane, &["install", NAME, CHART, "--values", &ci("audit-only")]);
    assert!(notes.contains("It records, and refuses nothing."), "{notes}");
    let replicas: Vec<Replica> =
        pods(&plane, 2).into_iter().map(|pod| Replica::start(&plane, &network, pod, "info,kube=warn")).collect();
    for replica in &replicas {
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        replica.report(&plane);
    }
    let ca = eventually("a certificate in the Secret", || secret_ca(&plane));
    let trusts = || {
        for resource in WEBHOOKS {
            eventually("caBundle is filled in", || (trusted(&plane, resource)? == ca).then_some(()));
        }
    };
    let sync = || replicas.iter().for_each(|replica| replica.sync(&plane));
    let refuses = || {
        let said = space.create_dry("pods", &broken_pod("probe"));
        said.body["message"].as_str().is_some_and(|said| said.contains("unpinned-images: "))
    };
    let records = || {
        let of = |replica: &Replica| {
            replica.program.records().into_iter().filter(|record| record["decision"] == "would-deny")
        };
        replicas.iter().map(|replica| of(replica).count()).sum::<usize>()
    };
    // The digest that the chart computes is that of what the API server stores, and of what is in force.
    let described = || {
        let path = format!("/api/v1/namespaces/{NAME}/configmaps/{NAME}");
        let map = plane.admin.call(Method::GET, &path, None).admitted();
        for resource in WEBHOOKS {
            assert_described(&webhooks(&plane, resource), &map);
        }
        let digest = sha256(map["data"]["config.yaml"].as_str().expect("a file"));
        let line = format!("[+]configuration digest {digest}");
        for replica in &replicas {
            let admin = replica.port(&json!("admin"));
            eventually("it is in force", || get(admin, "/readyz?verbose").1.contains(&line).then_some(()));
        }
    };
    trusts();
    described();
    eventually("it is asked", || {
        space.create_dry("pods", &broken_pod("probe")).admitted();
        (records() > 0).then_some(())
    });

    let notes = helm(&plane, &["upgrade", NAME, CHART, "--values", &ci("enforce")]);
    assert!(notes.contains("It refuses what the configuration enforces."), "{notes}");
    sync();
    trusts();
    described();
    eventually("it refuses", || refuses().then_some(()));
    // The same again changes nothing, and takes nothing from the server.
    let before_again = generations(&plane);
    helm(&plane, &["upgrade", NAME, CHART, "--values", &ci("enforce")]);
    assert_eq!(generations(&plane), before_again);

    helm(&plane, &["rollback", NAME, "1"]);
    sync();
    trusts();
    eventually("it refuses no more", || (!refuses()).then_some(()));

    // Uninstalled while it enforces: the webhooks go first.
    helm(&plane, &["upgrade", NAME, CHART, "--values", &ci("enforce")]);
    sync();
    trusts();
    eventually("it refuses again", || refuses().then_some(()));
    helm(&plane, &["uninstall", NAME]);
    assert!(!refuses());
    drop(replicas);
    space.create("pods", &broken_pod("late")).admitted();
    space.delete("pods", "late").admitted();
    nothing_is_left(&plane, &before, &[]);
}

#[test]
fn every_values_file_is_installed() {
    let plane = Plane::start(&[]);
    cert_manager(&plane);
    namespace(&plane);
    let before = everything(&plane);
    for name in CI {
        helm(&plane, &["install", NAME, CHART, "--values", &ci(name)]);
        let replicas = if name == "every-value" { 3 } else { 2 };
        let _ = pods(&plane, replicas);
        helm(&plane, &["uninstall", NAME]);
        // Records outlive what wrote them, unless a value says otherwise.
        let kept: &[&str] = if ["durable", "air-gap"].contains(&name) { &CLAIMS } else { &[] };
        nothing_is_left(&plane, &before, kept);
        kubectl(&plane, &["delete", "persistentvolumeclaims", "--all", "--namespace", NAME, "--wait=false"]);
        nothing_is_left(&plane, &before, &[]);
    }
}

/// Creates the namespace of the release, and waits for what the controllers put into each.
pub(super) fn namespace(plane: &Plane) {
    kubectl(plane, &["create", "namespace", NAME]);
    let ours = format!("/api/v1/namespaces/{NAME}");
    for filled in [format!("{ours}/serviceaccounts/default"), format!("{ours}/configmaps/kube-root-ca.crt")] {
        eventually("the namespace is filled", || {
            plane.admin.call(Method::GET, &filled, None).is_success().then_some(())
        });
    }
}

/// Defines the kinds of cert-manager that the chart uses, with any fields.
pub(super) fn cert_manager(plane: &Plane) {
    for (plural, kind) in [("certificates", "Certificate"), ("issuers", "Issuer")] {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.cert-manager.io")},
            "spec": {
                "group": "cert-manager.io",
                "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        plane.admin.call(Method::POST, path, Some(&definition)).admitted();
        let path = format!("/apis/cert-manager.io/v1/{plural}");
        eventually("it is served", || plane.admin.call(Method::GET, &path, None).is_success().then_some(()));
    }
}

#[test]
fn there_is_one_installation_in_a_cluster() {
    let plane = Plane::start(&["--with-controller-manager=false"]);
    helm(&plane, &["install", NAME, CHART, "--create-namespace", "--values", &ci("audit-only")]);
    let kubeconfig: &Path = &plane.place.kubeconfig;
    let arguments =
        ["install", "second", CHART, "--create-namespace", "--namespace", "other", "--values", &ci("audit-only")];
    let output = helm_with(&arguments, Some(kubeconfig));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("portcullis"), "{said}");
}
