//! `deploy/generate`: the component in each overlay, and its rights, each of which is needed.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use super::kubelet::strings;
use super::program::Program;
use super::{NAME, OVERLAYS, cluster, copy, documents, kubectl, prepared, requested};
use crate::golden::repository;
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{holder, spec};
use crate::kubernetes::plane::{Plane, programs};
use crate::kubernetes::space::Space;
use crate::serve::run;

const ACCOUNT: &str = "portcullis-generate";
const RBAC: &str = "deploy/generate/rbac.yaml";
const USER: &str = "system:serviceaccount:portcullis:portcullis-generate";

/// Objects of an overlay with the component.
pub(super) fn rendered(overlay: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&prepared().join("deploy"), &folder.path().join("deploy"));
    let file = folder.path().join(overlay).join("kustomization.yaml");
    let text = std::fs::read_to_string(&file).expect("a kustomization");
    std::fs::write(&file, text + "components: [../../generate]\n").expect("written");
    let output = Command::new(programs().join("kubectl"))
        .arg("kustomize")
        .arg(folder.path().join(overlay))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Those of the component alone.
pub(super) fn added(overlay: &str) -> Vec<Value> {
    let mut objects = rendered(overlay);
    objects.retain(|object| object["metadata"]["name"] == ACCOUNT);
    objects
}

#[test]
fn it_passes_what_it_is_installed_beside_and_runs_the_same_image() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let images: Vec<&Value> = objects
            .iter()
            .filter(|object| object["spec"]["template"].is_object())
            .map(|object| &object["spec"]["template"]["spec"]["containers"][0]["image"])
            .collect();
        assert!(
            images.len() == 2 && images[0] == images[1] && images[0].to_string().contains("@sha256:"),
            "{images:?}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("all.yaml");
        let all: Vec<String> = objects.iter().map(ToString::to_string).collect();
        std::fs::write(&file, all.join("\n---\n")).expect("written");
        let file = file.to_str().expect("UTF-8");
        let (code, out, errors) = run(&["check", file, "--profile", "hardened", "--cluster-from", file], "");
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{overlay}: {out}");

        let added = added(overlay);
        let one = |kind: &str| added.iter().find(|object| object["kind"] == kind).expect(kind);
        let pod = &one("Deployment")["spec"]["template"];
        let labels = &pod["metadata"]["labels"];
        // No selector of the others means its Pods: no review is sent there.
        assert_eq!(labels, &json!({"app.kubernetes.io/name": ACCOUNT}));
        assert_eq!(one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], *labels);
        assert_eq!(pod["spec"]["serviceAccountName"], ACCOUNT);
        let arguments = strings(&pod["spec"]["containers"][0]["args"]);
        assert_eq!(arguments, ["generate", "--config=/etc/portcullis/config.yaml", "--admin-listen=[::]:8080"]);
    }
}

#[test]
fn the_pods_that_answer_reviews_have_no_right_to_write_network_policies() {
    for object in documents(&std::fs::read_to_string(repository("deploy/base/rbac.yaml")).expect("RBAC")) {
        for rule in object["rules"].as_array().into_iter().flatten() {
            if rule["resources"].to_string().contains("networkpolicies") {
                assert_eq!(rule["verbs"], json!(["list", "watch"]));
            }
        }
    }
}

/// One right: resource, verb, and the rule with these alone.
type Right = (String, String, Value);

/// The roles, by their paths, each with its rules taken apart.
fn roles() -> Vec<(String, Vec<Right>)> {
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let text = std::fs::read_to_string(repository(RBAC)).expect("RBAC");
    let roles = documents(&text).into_iter().filter_map(|object| {
        let path = match object["kind"].as_str()? {
            "ClusterRole" => format!("{group}/clusterroles/{ACCOUNT}"),
            "Role" => format!("{group}/namespaces/{NAME}/roles/{ACCOUNT}"),
            _ => return None,
        };
        let mut rules = Vec::new();
        for rule in object["rules"].as_array()? {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    let mut alone = rule.clone();
                    (alone["resources"], alone["verbs"]) = (json!([resource]), json!([verb]));
                    rules.push((resource.clone(), verb, alone));
                }
            }
        }
        Some((path, rules))
    });
    roles.collect()
}

/// Waits until the API server has heard of a change of a role.
fn heard(plane: &Plane, resource: &str, verb: &str, rule: &Value, allowed: bool) {
    let namespace = if resource == "leases" { NAME } else { "" };
    let attributes = json!({"verb": verb, "resource": resource, "group": rule["apiGroups"][0], "namespace": namespace,
        "name": rule["resourceNames"][0]});
    super::rbac_heard(plane, USER, &attributes, allowed);
}

/// Opts the namespace in, or out.
fn opt(plane: &Plane, space: &Space, label: Option<&str>) {
    let patch = json!({"metadata": {"labels": {"portcullis.dev/generate": label}}});
    plane.admin.call(Method::PATCH, &format!("/api/v1/namespaces/{}", space.name), Some(&patch)).admitted();
}

/// Starts over: without a Lease, without policies.
fn start_over(plane: &Plane, space: &Space) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAME}/leases/{ACCOUNT}");
    plane.admin.call(Method::DELETE, &path, None);
    for name in ["web-allow-ingress", "default-deny"] {
        space.delete("networkpolicies", name);
    }
    opt(plane, space, Some("all"));
}

fn start(plane: &Plane) -> Program {
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";
    Program::generate(plane, head, &requested(plane, ACCOUNT, &request), &["--lease-duration", "2"])
}

/// Asserts the failure that a missing right causes.
fn fails(plane: &Plane, space: &Space, resource: &str, verb: &str) {
    let program = start(plane);
    match (resource, verb) {
        ("leases", "create" | "get") => drop(program.says(&["the Lease cannot be taken", "forbidden", verb])),
        ("leases", _) => drop(program.says(&["the Lease cannot be renewed", "forbidden", verb])),
        (_, "list") => {
            program.says(&["a watch is broken", "forbidden", resource]);
            let (status, text) = program.admin("/readyz");
            assert!(status == 503 && text.contains("[-]stores not complete yet"), "{text}");
        }
        (_, "watch") => {
            program.says(&["a watch is broken", "forbidden", resource]);
            eventually("it is out of touch", || {
                (program.metric("portcullis_generate_store_staleness_seconds")? >= 1.0).then_some(())
            });
        }
        (_, "create" | "patch") => {
            program.says(&["a generated NetworkPolicy was refused", "forbidden", verb]);
            assert!(space.list("networkpolicies").iter().all(|policy| policy["metadata"]["name"] == "all"));
            let said = || program.admin("/readyz?verbose").1;
            eventually("it is shown", || {
                said().contains("[!]writes: number of namespaces in which writes fail: 1").then_some(())
            });
        }
        _ => {
            eventually("it is generated", || (space.list("networkpolicies").len() == 3).then_some(()));
            opt(plane, space, None);
            program.says(&["a generated NetworkPolicy was refused", "forbidden", verb]);
        }
    }
}

#[test]
fn each_of_its_rights_is_needed_and_no_other() {
    let plane = cluster();
    for file in ["service-account.yaml", "rbac.yaml"] {
        kubectl(&plane, &["apply", "-f", &format!("deploy/generate/{file}")]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("all.yaml");
    let all: Vec<String> = added("deploy/overlays/audit-only").iter().map(ToString::to_string).collect();
    std::fs::write(&file, all.join("\n---\n")).expect("written");
    let said = kubectl(&plane, &["apply", "--dry-run=server", "-f", file.to_str().expect("UTF-8")]);
    assert_eq!(said.lines().count(), 7, "{said}");
    let space = Space::new(&plane, "it-generate-rights");
    space.create("deployments", &holder("Deployment", "web", spec())).admitted();

    // With all of them it generates, removes, and is refused nothing.
    start_over(&plane, &space);
    let program = start(&plane).ready();
    eventually("it is generated", || (space.list("networkpolicies").len() == 3).then_some(()));
    opt(&plane, &space, None);
    eventually("it is removed", || (space.list("networkpolicies").len() == 1).then_some(()));
    assert_eq!(program.said(&["forbidden"]), None);
    drop(program);

    let mut tried = 0;
    for (path, rules) in roles() {
        for (resource, verb, rule) in &rules {
            let is_other = |other: &&Right| (&other.0, &other.1) != (resource, verb);
            let others: Vec<&Value> = rules.iter().filter(is_other).map(|(_, _, rule)| rule).collect();
            assert_eq!(others.len(), rules.len() - 1, "{verb} of {resource} is granted twice");
            plane.admin.call(Method::PATCH, &path, Some(&json!({"rules": others}))).admitted();
            heard(&plane, resource, verb, rule, false);
            start_over(&plane, &space);
            eprintln!("without {verb} of {resource}");
            fails(&plane, &space, resource, verb);
            let all: Vec<&Value> = rules.iter().map(|(_, _, rule)| rule).collect();
            plane.admin.call(Method::PATCH, &path, Some(&json!({"rules": all}))).admitted();
            heard(&plane, resource, verb, rule, true);
            tried += 1;
        }
    }
    assert_eq!(tried, 16);
    start_over(&plane, &space);
    opt(&plane, &space, None);
}
