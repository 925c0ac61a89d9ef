//! The rights of `deploy/scan/rbac.yaml`: a scan needs each of them, and no others.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::{custom_kinds, eventually, policy_kinds};
use super::STILL;
use crate::golden::repository;
use crate::judging::documents;
use crate::scan::{Scanned, scan};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const USER: &str = "scanner";

/// Each resource of a role by itself: group and name.
fn resources(role: &Value) -> Vec<(String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
    };
    let rules = role["rules"].as_array().expect("rules").iter();
    let of_rule = |rule: &Value| {
        assert_eq!(rule["verbs"], json!(["list"]));
        let group = texts(&rule["apiGroups"]).remove(0);
        texts(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)).collect::<Vec<_>>()
    };
    rules.flat_map(of_rule).collect()
}

#[test]
fn a_scan_needs_the_rights_that_are_listed_and_no_others() {
    let plane = &*STILL;
    custom_kinds::serve(plane);
    let text = std::fs::read_to_string(repository("deploy/scan/rbac.yaml")).expect("RBAC");
    let role = documents(&text).remove(0);
    let all = resources(&role);
    assert_eq!(all.len(), 31);
    policy_kinds::install(plane);
    plane.admin.call(Method::POST, ROLES, Some(&role)).admitted();
    let name = role["metadata"]["name"].as_str().expect("a name");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": USER}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": USER}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}});
    plane.admin.call(Method::POST, BINDINGS, Some(&binding)).admitted();

    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = std::fs::read_to_string(&plane.place.kubeconfig).expect("its kubeconfig");
    let mut kubeconfig: Value = documents(&kubeconfig).remove(0);
    kubeconfig["users"][0]["user"]["as"] = json!(USER);
    kubeconfig["users"][0]["user"]["as-groups"] = json!(["system:authenticated"]);
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("written");
    let run = || scan(folder.path(), &["--kubeconfig", "kubeconfig", "--profile", "hardened", "--format", "json"]);

    // RBAC is read from a cache.
    let whole = eventually("the rights", || Some(run()).filter(|ran| !ran.err.contains("forbidden")));
    assert!(whole.code < 2, "{}", whole.err);
    for (group, resource) in &all {
        let left = all.iter().filter(|right| *right != &(group.clone(), resource.clone()));
        let rules =
            left.map(|(group, resource)| json!({"apiGroups": [group], "resources": [resource], "verbs": ["list"]}));
        let mut less = role.clone();
        less["rules"] = rules.collect();
        plane.admin.call(Method::PUT, &format!("{ROLES}/{name}"), Some(&less)).admitted();
        let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let expected = format!("{qualified}: forbidden: grant the verb list on {qualified} in all namespaces (");
        // What was granted before may count for a moment, and what was not.
        let is_alone =
            |ran: &Scanned| ran.err.contains(&expected) && ran.err.matches(": forbidden: grant").count() == 1;
        let ran = eventually(&format!("the right {qualified} alone is gone"), || Some(run()).filter(is_alone));
        assert_eq!(ran.code, 2, "{resource}: {}", ran.err);
        assert_eq!(ran.summary()["unreadable"], 1);
    }
}
