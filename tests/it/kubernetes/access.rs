//! Roles and bindings in front of a real API server, which lets the API server and its controllers do their work. Nothing limits
//! webhooks to some of the objects that live in no namespace, so the control plane is the test's own.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::client::Answer;
use super::eventually;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

const API: &str = "/apis/rbac.authorization.k8s.io/v1";

fn role(name: &str, rules: &Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn everything() -> Value {
    json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
}

fn subject(name: &str) -> Value {
    json!({"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"})
}

fn binding(name: &str, role: &str, subjects: &[&str]) -> Value {
    let subjects: Vec<Value> = subjects.iter().map(|name| subject(name)).collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": subjects,
    })
}

/// What the administrator does.
struct Admin<'p>(&'p Plane);

impl Admin<'_> {
    fn post(&self, resource: &str, object: &Value) -> Answer {
        self.0.admin.call(Method::POST, &format!("{API}/{resource}"), Some(object))
    }

    fn patch(&self, place: &str, patch: &Value) -> Answer {
        self.0.admin.call(Method::PATCH, &format!("{API}/{place}"), Some(patch))
    }

    fn get(&self, place: &str) -> Answer {
        self.0.admin.call(Method::GET, &format!("{API}/{place}"), None)
    }

    fn delete(&self, place: &str) {
        self.0.admin.call(Method::DELETE, &format!("{API}/{place}"), None).admitted();
    }

    /// Kind, namespace and name of every role and binding.
    fn all(&self) -> BTreeSet<String> {
        let lists = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];
        let of = |resource: &str| self.get(resource).admitted()["items"].as_array().cloned().unwrap_or_default();
        let named = lists.into_iter().flat_map(|resource| {
            of(resource).into_iter().map(move |object| {
                format!("{resource} {} {}", object["metadata"]["namespace"], object["metadata"]["name"])
            })
        });
        named.collect()
    }
}

#[test]
fn roles_and_bindings_are_judged_and_the_cluster_keeps_its_own() {
    let plane = Plane::start(&[]);
    let admin = Admin(&plane);
    admin.post("clusterroles", &role("old", &everything())).admitted();
    admin.post("clusterrolebindings", &binding("old", "cluster-admin", &["a", "b"])).admitted();
    let mut piece = role("piece", &everything());
    piece["metadata"]["labels"] = json!({"example.com/piece": "true"});
    admin.post("clusterroles", &piece).admitted();
    // The first Pod that is asked about runs as it.
    Space::named(&plane.admin, "default").create("serviceaccounts", &account("web", None)).admitted();
    let portcullis = Portcullis::guard(&plane, &[], "profile: hardened\n", &[]);

    refuses_warns_and_admits(&admin);
    an_old_violator_can_change_elsewhere(&admin);
    an_update_is_judged_if_it_changes_what_policies_read(&admin, &portcullis);

    // The controller takes the rules of an old role into a new one.
    let mut whole = role("whole", &json!([]));
    whole["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"example.com/piece": "true"}}]});
    admin.post("clusterroles", &whole).admitted();
    eventually("the controller fills it in", || {
        (admin.get("clusterroles/whole").admitted()["rules"] == everything()).then_some(())
    });
    let decided = portcullis.decision("ClusterRole", "whole");
    assert_eq!((&decided["decision"], &decided["operation"]), (&"warn".into(), &"UPDATE".into()));
    assert_eq!(decided["user"]["name"], "system:serviceaccount:kube-system:clusterrole-aggregation-controller");

    // What the API server makes at its start comes back, although it breaks each of the policies.
    let before = admin.all();
    for place in [
        "clusterroles/cluster-admin",
        "clusterroles/admin",
        "clusterroles/system:controller:clusterrole-aggregation-controller",
        "clusterrolebindings/cluster-admin",
        "clusterrolebindings/system:basic-user",
        "clusterrolebindings/system:public-info-viewer",
        "namespaces/kube-system/roles/extension-apiserver-authentication-reader",
    ] {
        admin.delete(place);
    }
    assert_eq!(admin.all().len(), before.len() - 7);
    plane.restart("kube-apiserver");
    eventually("everything is back", || (admin.all() == before).then_some(()));
    assert_eq!(admin.get("clusterroles/cluster-admin").admitted()["rules"][0]["verbs"], json!(["*"]));
    eventually("the controller fills in the role of administrators again", || {
        let rules = admin.get("clusterroles/admin").admitted()["rules"].as_array()?.len();
        (rules > 1).then_some(())
    });
}

fn refuses_warns_and_admits(admin: &Admin<'_>) {
    let masters = binding("web", "view", &["system:masters"]);
    let escalating =
        json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]}]);
    let mut in_namespace = role("web", &everything());
    in_namespace["kind"] = "Role".into();
    for dry_run in ["", "?dryRun=All"] {
        for (resource, object, policy) in [
            ("clusterroles", role("web", &everything()), "wildcard-roles"),
            ("clusterroles", role("system:mine", &everything()), "wildcard-roles"),
            ("namespaces/default/roles", in_namespace.clone(), "wildcard-roles"),
            ("clusterroles", role("web", &escalating), "escalating-roles"),
            ("clusterrolebindings", binding("web", "cluster-admin", &["a"]), "powerful-bindings"),
            ("clusterrolebindings", masters.clone(), "powerful-bindings"),
        ] {
            let answer = admin.post(&format!("{resource}{dry_run}"), &object);
            assert!(answer.refused().contains(&format!("{policy}: ")), "{answer:#?}");
            let stored = admin.get(&format!("{resource}/{}", object["metadata"]["name"].as_str().expect("a name")));
            assert_eq!(stored.code, 404);
        }
    }
    let reads = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let answer = admin.post("clusterroles", &role("reader", &reads));
    assert!(answer.warns("escalating-roles: "), "{answer:#?}");
    answer.admitted();
    let answer = admin.post("clusterrolebindings", &binding("editors", "edit", &["a"]));
    assert!(answer.warns("powerful-bindings: "), "{answer:#?}");
    answer.admitted();
    for (resource, object) in [
        ("clusterroles", role("good", &json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]))),
        ("clusterrolebindings", binding("good", "view", &["a"])),
        ("clusterrolebindings", binding("kubeadm:cluster-admins", "cluster-admin", &["kubeadm:cluster-admins"])),
    ] {
        let answer = admin.post(resource, &object);
        assert_eq!(answer.warnings, [] as [&str; 0]);
        answer.admitted();
    }
}

fn an_old_violator_can_change_elsewhere(admin: &Admin<'_>) {
    let role = "clusterroles/old";
    let labelled = json!({"metadata": {"labels": {"team": "shop"}}});
    let answer = admin.patch(role, &labelled);
    assert!(answer.warns("wildcard-roles: "), "{answer:#?}");
    answer.admitted();
    let on = |resources: Value| json!({"rules": [{"apiGroups": [""], "resources": resources, "verbs": ["*"]}]});
    admin.patch(role, &on(json!(["pods", "services"]))).admitted();
    admin.patch(role, &on(json!(["services"]))).admitted();
    // The message is the same, and the role grants more.
    assert!(admin.patch(role, &on(json!(["services", "nodes"]))).refused().starts_with("wildcard-roles: "));

    let bound = "clusterrolebindings/old";
    admin.patch(bound, &labelled).admitted();
    let subjects = |names: &[&str]| json!({"subjects": names.iter().map(|name| subject(name)).collect::<Vec<_>>()});
    assert!(admin.patch(bound, &subjects(&["a", "b", "c"])).refused().starts_with("powerful-bindings: "));
    admin.patch(bound, &subjects(&["b"])).admitted();
    assert!(admin.patch(bound, &subjects(&["a", "b"])).refused().starts_with("powerful-bindings: "));
}

/// Server-side apply sends what has not changed, too, and must not wait for us.
fn an_update_is_judged_if_it_changes_what_policies_read(admin: &Admin<'_>, portcullis: &Portcullis) {
    let reads = |resource: &str| json!([{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]);
    admin.post("clusterroles", &role("quiet", &reads("pods"))).admitted();
    admin.post("clusterrolebindings", &binding("quiet", "view", &["a"])).admitted();
    let owner = admin.get("clusterroles/view").admitted();
    let owner = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "view", "uid": owner["metadata"]["uid"],
    });
    let judged = || {
        let is_it = |record: &&Value| {
            record["operation"] == "UPDATE" && record["name"] == "quiet" && record["user"]["name"] == "admin"
        };
        portcullis.records().iter().filter(is_it).count()
    };
    for (place, patch) in [
        ("clusterroles/quiet", json!({"rules": reads("services")})),
        ("clusterroles/quiet", json!({"metadata": {"labels": {"team": "shop"}}})),
        ("clusterroles/quiet", json!({"metadata": {"annotations": {"example.com/team": "shop"}}})),
        ("clusterroles/quiet", json!({"metadata": {"ownerReferences": [owner]}})),
        (
            "clusterroles/quiet",
            json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"example.com/none": "true"}}]}}),
        ),
        ("clusterrolebindings/quiet", json!({"subjects": [subject("b")]})),
    ] {
        let before = judged();
        admin.patch(place, &patch).admitted();
        assert_eq!(judged(), before + 1, "{patch}");
        admin.patch(place, &patch).admitted();
        assert_eq!(judged(), before + 1, "unchanged: {patch}");
    }
}
