//! Who writes, on a real API server with real controllers: in a namespace of listed writers they alone change what runs, and what
//! they wrote is rolled out, cleaned up and removed by Kubernetes' own controllers.

use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

/// The administrator of the tests, who is a member of `system:masters`, is a writer. A policy on Pods is on, so that the API
/// server's knowledge of the webhooks can be probed with one.
const CONFIGURATION: &str = "policies:\n  host-ports: {mode: audit}\n  ad-hoc-edits:\n    mode: enforce\n    settings:\n      \
     namespaces: [it-writers, it-writers-warned, it-writers-late]\n      writers:\n        groups: [\"system:masters\"]\n        \
     serviceAccounts: [{namespace: it-writers, name: gitops}]\nnamespaces:\n- match: {names: [it-writers-warned]}\n  \
     policies: {ad-hoc-edits: {mode: warn}}\n  relax: true\n";
const REFUSED: &str =
    "ad-hoc-edits: . must come from a user, group or ServiceAccount that the settings list, and not from ";

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

/// A namespace in which developers and the GitOps controller have every right.
fn open(plane: &Plane, name: &str) -> Space {
    let space = Space::open(plane, name);
    let rights = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "all"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "it-writers-developers"},
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "it-on-call"},
        {"kind": "ServiceAccount", "namespace": "it-writers", "name": "gitops"},
    ]});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings");
    plane.admin.call(Method::POST, &path, Some(&rights)).admitted();
    space
}

/// Applies an object with kubectl, as somebody, until the API server knows the rights; returns whether it succeeded, and what it said.
fn apply(space: &Space, who: &[&str], object: &Value) -> (bool, String) {
    eventually("the user has rights", || {
        let place = &Plane::shared().place;
        let cache = tempfile::tempdir().expect("a temporary folder");
        let mut kubectl = Command::new(&place.kubectl)
            .arg("--kubeconfig")
            .arg(&place.kubeconfig)
            .arg("--cache-dir")
            .arg(cache.path())
            .args(["--namespace", &space.name, "apply", "-f", "-"])
            .args(who)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        kubectl.stdin.take().expect("it is piped").write_all(object.to_string().as_bytes()).expect("it reads");
        let output = kubectl.wait_with_output().expect("kubectl ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!said.contains("is forbidden: User")).then_some((output.status.success(), said))
    })
}

#[test]
fn in_a_namespace_of_listed_writers_nobody_else_changes_what_runs() {
    let plane = Plane::shared();
    let space = open(plane, "it-writers");
    let (warned, free) = (open(plane, "it-writers-warned"), open(plane, "it-writers-free"));
    space.create("serviceaccounts", &account("gitops", None)).admitted();
    space.create("configmaps", &config_map("old", "a")).admitted();
    let late = Space::named(&plane.admin, "it-writers-late");
    let mut portcullis = Portcullis::guard(plane, &[&space, &warned, &free, &late], CONFIGURATION, &[]);
    let gitops = ["--as", "system:serviceaccount:it-writers:gitops"];
    let developer = ["--as", "jane", "--as-group", "it-writers-developers"];

    // The controller applies, and Kubernetes rolls out.
    let mut web = holder("Deployment", "web", spec());
    web["spec"]["replicas"] = 1.into();
    let (is_done, said) = apply(&space, &gitops, &web);
    assert!(is_done && !said.contains("ad-hoc-edits"), "{said}");
    eventually("its Pod is there", || (!space.list("pods").is_empty()).then_some(()));
    assert_eq!(portcullis.decision("Deployment", "web")["decision"], "allow");

    // Nobody else does, whatever was there before, and whatever is said of an owner.
    let (is_done, said) = apply(&space, &developer, &holder("Deployment", "other", spec()));
    assert!(!is_done && said.contains(&format!("{REFUSED}\"jane\"")), "{said}");
    web["spec"]["template"]["metadata"]["annotations"] = json!({"example.com/restarted": "now"});
    let (is_done, said) = apply(&space, &developer, &web);
    assert!(!is_done && said.contains(REFUSED), "{said}");
    let jane = space.seen_by(plane.user("jane", "it-writers-developers"));
    let mut owned = holder("ReplicaSet", "owned", spec());
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "example.com/v1", "kind": "Rollout", "name": "web", "uid": "1", "controller": true}]);
    for (resource, object) in
        [("replicasets", owned), ("pods", pod("other", spec())), ("configmaps", config_map("other", "a"))]
    {
        for answer in [jane.create(resource, &object), jane.create_dry(resource, &object)] {
            assert!(answer.refused().starts_with(REFUSED), "{answer:#?}");
        }
    }
    let changed = json!({"data": {"key": "b"}});
    assert!(jane.patch("configmaps", "old", &changed).refused().starts_with(REFUSED), "each write is judged by itself");
    let record = portcullis.decision("ConfigMap", "old");
    assert_eq!((&record["decision"], &record["user"]["name"]), (&"deny".into(), &"jane".into()));
    assert_eq!(record["findings"][0]["inherited"], false, "{record:#}");
    // What changes nothing is no change, a replica more is not sent, and a deletion is not judged.
    jane.patch("configmaps", "old", &json!({"data": {"key": "a"}})).admitted();
    jane.patch("deployments", "web/scale", &json!({"spec": {"replicas": 2}})).admitted();
    eventually("its second Pod is there", || (space.list("pods").len() >= 2).then_some(()));
    jane.delete("configmaps", "old").admitted();
    let answer = jane.create("serviceaccounts", &account("other", None));
    assert!(answer.warns(REFUSED), "ServiceAccounts are never refused: {answer:#?}");
    answer.admitted();

    kubernetes_goes_on(&space, &late);

    let answer =
        warned.seen_by(plane.user("jane", "it-writers-developers")).create("configmaps", &config_map("a", "a"));
    assert!(answer.warns(REFUSED), "{answer:#?}");
    answer.admitted();
    let answer = free.seen_by(plane.user("jane", "it-writers-developers")).create("configmaps", &config_map("a", "a"));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    portcullis.kill();
    let answer = space.create("configmaps", &config_map("b", "a"));
    assert!(answer.message().contains("failed calling webhook"), "where it refuses, nobody writes: {answer:#?}");
    warned.create("configmaps", &config_map("b", "a")).admitted();
    free.create("configmaps", &config_map("b", "a")).admitted();
}

/// Controllers of every kind do their work in a namespace of listed writers.
fn kubernetes_goes_on(space: &Space, late: &Space) {
    for (resource, kind) in
        [("statefulsets", "StatefulSet"), ("replicationcontrollers", "ReplicationController"), ("jobs", "Job")]
    {
        let mut object = holder(kind, &format!("it-{resource}"), spec());
        if kind == "Job" {
            object["spec"]["suspend"] = false.into();
        } else {
            object["spec"]["replicas"] = 1.into();
        }
        space.create(resource, &object).admitted();
    }
    let pod_of = |name: &str| {
        let mut pods = space.list("pods").into_iter();
        pods.find(|pod| pod["metadata"]["ownerReferences"][0]["name"] == name)
    };
    for resource in ["statefulsets", "replicationcontrollers", "jobs"] {
        eventually(&format!("the Pod of {resource} is there"), || pod_of(&format!("it-{resource}")));
    }
    // The controller takes its finalizer off a Pod that has ended.
    let of_job = pod_of("it-jobs").expect("it is there");
    let name = of_job["metadata"]["name"].as_str().expect("a name");
    assert_eq!(of_job["metadata"]["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
    space.patch("pods", &format!("{name}/status"), &json!({"status": {"phase": "Succeeded"}})).admitted();
    eventually("the Job is complete", || {
        let job = space.get("jobs", "it-jobs").admitted();
        let mut conditions = job["status"]["conditions"].as_array()?.iter();
        conditions.any(|one| one["type"] == "Complete" && one["status"] == "True").then_some(())
    });
    let tracked = space.get("pods", name).admitted();
    assert_eq!(tracked["metadata"]["finalizers"], Value::Null, "{tracked:#}");

    // The garbage collector takes its finalizers away.
    for resource in ["deployments", "statefulsets"] {
        let name = if resource == "deployments" { "web" } else { "it-statefulsets" };
        space.delete(resource, &format!("{name}?propagationPolicy=Foreground")).admitted();
    }
    // No kubelet ends the Pods.
    eventually("what was deleted is gone, with all that it owned", || {
        for pod in space.list("pods").iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string()) {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let _ = space.delete("pods", &format!("{name}?gracePeriodSeconds=0"));
        }
        let is_gone = |resource, name| space.get(resource, name).code == 404;
        (is_gone("deployments", "web") && is_gone("statefulsets", "it-statefulsets")).then_some(())
    });
    assert_eq!(space.list("replicasets"), [] as [Value; 0]);

    // What every namespace has.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": late.name}});
    Plane::shared().admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
    for (resource, name) in [("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")] {
        eventually(name, || late.get(resource, name).is_success().then_some(()));
    }
    Plane::shared().admin.call(Method::DELETE, &format!("/api/v1/namespaces/{}", late.name), None).admitted();
    eventually("the namespace is gone", || (late.get("serviceaccounts", "default").code == 404).then_some(()));
}

#[test]
fn each_write_by_an_administrator_is_warned_of_and_goes_through() {
    let plane = Plane::shared();
    let space = open(plane, "it-admins");
    let configuration =
        "policies:\n  host-ports: {mode: audit}\n  routine-admins: {mode: warn}\nbreakGlass: {groups: [it-on-call]}\n";
    let mut portcullis = Portcullis::guard(plane, &[&space], configuration, &[]);
    let finding = "routine-admins: . must come from a user who is no administrator, and not from ";
    let jane = space.seen_by(plane.user("jane", "it-writers-developers"));
    let on_call = space.seen_by(plane.impersonating("joe", "it-on-call"));

    let answer = space.create("configmaps", &config_map("web", "a"));
    assert!(answer.warns(&format!("{finding}\"admin\", a member of \"system:masters\"")), "{answer:#?}");
    answer.admitted();
    let answer = space.patch("configmaps", "web", &json!({"data": {"key": "b"}}));
    assert!(answer.warns(finding), "each write is one of its own: {answer:#?}");
    answer.admitted();
    let record = portcullis.decision("ConfigMap", "web");
    assert_eq!((&record["decision"], &record["operation"]), (&"warn".into(), &"UPDATE".into()));
    assert_eq!(record["findings"][0]["inherited"], false, "{record:#}");
    let uid = record["uid"].as_str().expect("a uid").to_owned();
    eventually("the API server logs the uid of the record", || {
        let log = std::fs::read_to_string(&plane.place.audit_log).expect("there is an audit log");
        log.lines().any(|line| line.contains(".portcullis.dev/uid\"") && line.contains(&uid)).then_some(())
    });
    let answer = eventually("the developer has rights", || {
        let answer = jane.create_dry("configmaps", &config_map("other", "a"));
        answer.is_success().then_some(answer)
    });
    assert_eq!(answer.warnings, [] as [&str; 0]);
    let answer = eventually("those on call have rights", || {
        let answer = on_call.create_dry("configmaps", &config_map("other", "a"));
        answer.is_success().then_some(answer)
    });
    assert!(answer.warns(&format!("{finding}\"joe\", a member of \"it-on-call\"")), "{answer:#?}");
    // What controllers make of it is theirs.
    let mut web = holder("Deployment", "web", spec());
    web["spec"]["replicas"] = 1.into();
    space.create("deployments", &web).admitted();
    eventually("its Pod is there", || (!space.list("pods").is_empty()).then_some(()));
    let by_controllers = portcullis.records().into_iter().filter(|record| record["kind"]["kind"] == "ReplicaSet");
    assert!(by_controllers.clone().count() > 0);
    assert!(by_controllers.into_iter().all(|record| record["decision"] == "allow"));

    portcullis.kill();
    space.create("configmaps", &config_map("later", "a")).admitted();
    let rights = json!({"metadata": {"labels": {"it": "later"}}});
    plane.admin.call(Method::PATCH, "/api/v1/namespaces/it-admins", Some(&rights)).admitted();
}
