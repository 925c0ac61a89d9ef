//! `portcullis preflight` on the real API server: no trap on a clean cluster, each trap named, and the rights that it needs.

use std::path::Path;

use axum::http::Method;
use portcullis::preflight::Needs;
use serde_json::{Value, json};

use super::kubelet::{Replica, pods};
use super::network::Network;
use super::{NAME, configuration, documents, kubectl};
use crate::cli::{Ran, run_in};
use crate::golden::repository;
use crate::kubernetes::eventually;
use crate::kubernetes::objects::{broken_spec, holder, pod, spec};
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::{Space, account};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const USER: &str = "operator";

/// The result of a preflight: exit code, traps, refused owners, and what could not be read.
struct Found {
    code: i32,
    traps: Vec<String>,
    refused: Vec<String>,
    unreadable: Vec<String>,
    said: String,
}

fn preflight(folder: &Path, kubeconfig: &Path) -> Found {
    let arguments = ["preflight", "--config", "config.yaml", "--format", "json", "--kubeconfig"];
    let Ran { code, out, err } =
        run_in(folder, &[&arguments[..], &[kubeconfig.to_str().expect("UTF-8")]].concat(), b"");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str, field: &str| {
        let lines = lines.iter().filter(|line| line["kind"] == kind);
        lines.map(|line| line[field].as_str().expect(field).to_owned()).collect::<Vec<_>>()
    };
    let (traps, refused, unreadable) = (of("trap", "trap"), of("workload", "owner"), of("unreadable", "message"));
    Found { code, traps, refused, unreadable, said: format!("{out}{err}") }
}

struct Cluster<'p> {
    plane: &'p Plane,
    folder: tempfile::TempDir,
}

impl Cluster<'_> {
    fn call(&self, method: Method, path: &str, body: &Value) {
        let body = (!body.is_null()).then_some(body);
        self.plane.admin.call(method, path, body).admitted();
    }

    fn look(&self) -> Found {
        preflight(self.folder.path(), &self.plane.place.kubeconfig)
    }

    /// Waits until exactly this trap is named.
    #[track_caller]
    fn names(&self, trap: &str) {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(trap, || {
                let found = self.look();
                last.clone_from(&found.said);
                (found.traps == [trap] && found.code == 1).then_some(())
            });
        }));
        assert!(found.is_ok(), "{trap}: {last}");
    }
}

#[test]
fn each_trap_is_named_and_none_on_a_clean_cluster() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    let replicas: Vec<Replica> =
        pods(&plane, 2).into_iter().map(|pod| Replica::start(&plane, &network, pod, "info,kube=warn")).collect();
    for replica in &replicas {
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        replica.report(&plane);
    }
    let cluster = Cluster { plane: &plane, folder: tempfile::tempdir().expect("a folder") };
    let config = cluster.folder.path().join("config.yaml");
    let enforce = configuration("deploy/overlays/enforce");
    std::fs::write(&config, &enforce).expect("written");
    let mut last = String::new();
    let is_clean = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("a clean cluster", || {
            let found = cluster.look();
            last.clone_from(&found.said);
            (found.code == 0 && found.traps.is_empty() && found.refused.is_empty()).then_some(())
        });
    }));
    assert!(is_clean.is_ok(), "{last}");

    // Of the configuration.
    let missing = format!("{enforce}workloads: [{{group: absent.example.com, kind: Absent, path: /spec/template}}]\n");
    std::fs::write(&config, missing).expect("written");
    cluster.names("missing-kind");
    let system = enforce.replace("match: {names: [kube-system]}", "match: {names: [other]}");
    std::fs::write(&config, system).expect("written");
    cluster.names("enforced-system-namespace");
    let exception = "exceptions: [{name: soon, policies: [root-users], match: {namespace: shop, kind: Pod, name: x}, \
                     reason: old, owner: shop, expires: SOON}]\n";
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    std::fs::write(&config, format!("{enforce}{}", exception.replace("SOON", &soon.to_string()))).expect("written");
    cluster.names("ending-exception");
    std::fs::write(&config, &enforce).expect("written");

    // Of other webhooks. They leave everything alone that the tests write.
    let webhook = |kind: &str, name: &str, rules: &str, fields: Value| {
        let mut webhook = json!({"name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://127.0.0.1:1/"}, "failurePolicy": "Ignore", "timeoutSeconds": 1,
            "matchConditions": [{"name": "never", "expression": "false"}],
            "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [rules]}]});
        for (name, value) in fields.as_object().expect("fields") {
            webhook[name] = value.clone();
        }
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": [webhook]})
    };
    let (validating, mutating) = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations");
    let gate = webhook("ValidatingWebhookConfiguration", "gate", "pods", json!({"failurePolicy": "Fail"}));
    let mesh = webhook("MutatingWebhookConfiguration", "mesh", "pods", json!({}));
    for (resource, object, trap) in
        [(validating, &gate, "webhook-on-our-pods"), (mutating, &mesh, "other-mutating-webhook")]
    {
        cluster.call(Method::POST, &format!("{ADMISSION}/{resource}"), object);
        cluster.names(trap);
        let name = object["metadata"]["name"].as_str().expect("a name");
        cluster.call(Method::DELETE, &format!("{ADMISSION}/{resource}/{name}"), &Value::Null);
    }
    for number in 0..3 {
        let slow =
            webhook("MutatingWebhookConfiguration", &format!("slow-{number}"), "pods", json!({"timeoutSeconds": 25}));
        cluster.call(Method::POST, &format!("{ADMISSION}/{mutating}"), &slow);
    }
    let found = cluster.look();
    let others = ["other-mutating-webhook"; 3].into_iter().chain(["webhook-timeouts"]).collect::<Vec<_>>();
    assert_eq!(found.traps, others, "{}", found.said);
    for number in 0..3 {
        cluster.call(Method::DELETE, &format!("{ADMISSION}/{mutating}/slow-{number}"), &Value::Null);
    }

    // Of our own objects.
    let deployments = format!("/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}");
    let budgets = format!("/apis/policy/v1/namespaces/{NAME}/poddisruptionbudgets/{NAME}");
    let budget = plane.admin.call(Method::GET, &budgets, None).admitted();
    cluster.call(Method::DELETE, &budgets, &Value::Null);
    cluster.names("no-disruption-budget");
    let mut again = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME}});
    again["spec"] = budget["spec"].clone();
    cluster.call(Method::POST, budgets.trim_end_matches(&format!("/{NAME}")), &again);
    replicas[1].report_as(&plane, false);
    cluster.names("single-replica");
    replicas[1].report_as(&plane, true);
    let roles = format!("{RBAC}/clusterroles/{NAME}");
    let role = plane.admin.call(Method::GET, &roles, None).admitted();
    let rules = role["rules"].as_array().expect("rules");
    let is_policies = |rule: &&Value| rule["resources"] != json!(["networkpolicies"]);
    let fewer: Vec<&Value> = rules.iter().filter(is_policies).collect();
    cluster.call(Method::PATCH, &roles, &json!({"rules": fewer}));
    eventually("two rights are missing", || (cluster.look().traps == ["missing-right"; 2]).then_some(()));
    cluster.call(Method::PATCH, &roles, &json!({"rules": rules}));

    // Of workloads: a network plugin of its own, and one that a policy refuses. Nobody refuses them while they are written.
    let space = Space::new(&plane, "shop");
    let quiet = |deployment: &str| {
        let spec = spec();
        holder("Deployment", deployment, spec)
    };
    space.create("serviceaccounts", &account("app", Some(false))).admitted();
    space.create("deployments", &quiet("good")).admitted();
    let hooks = plane.admin.call(Method::GET, &format!("{ADMISSION}/{validating}/{NAME}"), None).admitted();
    cluster.call(Method::DELETE, &format!("{ADMISSION}/{validating}/{NAME}"), &Value::Null);
    eventually("nobody refuses", || {
        space.create("deployments", &holder("Deployment", "bad", broken_spec())).is_success().then_some(())
    });
    let found = eventually("the bad one", || Some(cluster.look()).filter(|found| found.refused == ["Deployment/bad"]));
    assert_eq!((found.code, found.traps), (1, Vec::new()), "{}", found.said);
    space.delete("deployments", "bad").admitted();
    let mut agent = holder("DaemonSet", "agent", spec());
    agent["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    agent["spec"]["template"]["spec"]["priorityClassName"] = "system-node-critical".into();
    space.create("daemonsets", &agent).admitted();
    cluster.names("node-critical-pods");
    space.delete("daemonsets", "agent").admitted();
    let mut again = json!({"apiVersion": hooks["apiVersion"], "kind": hooks["kind"], "metadata": {"name": NAME}});
    again["webhooks"] = hooks["webhooks"].clone();
    again["webhooks"][0]["clientConfig"]["service"]["name"] = "elsewhere".into();
    cluster.call(Method::POST, &format!("{ADMISSION}/{validating}"), &again);
    cluster.names("webhooks-elsewhere");
    cluster.call(Method::DELETE, &format!("{ADMISSION}/{validating}/{NAME}"), &Value::Null);

    // Nobody answers any more, and the cluster does not know yet.
    drop(replicas);
    cluster.names("unreachable-service");
    let services = format!("/api/v1/namespaces/{NAME}/services/{NAME}");
    cluster.call(Method::DELETE, &services, &Value::Null);
    cluster.names("no-service");
    cluster.call(Method::DELETE, &deployments, &Value::Null);
    super::chart::installed::no_pods(&plane);
    eventually("it is not installed", || {
        let traps = cluster.look().traps;
        (traps == ["not-installed", "no-service"]).then_some(())
    });
}

#[test]
fn a_preflight_needs_the_rights_that_are_listed_and_no_others() {
    let network = Network::new();
    let plane = Plane::start(&["--with-controller-manager=false", "--address", &network.node.to_string()]);
    kubectl(&plane, &["apply", "-k", "deploy/overlays/enforce"]);
    // Nobody answers, and this test writes ClusterRoles.
    let lenient = json!({"webhooks": [{"name": "enforce.portcullis.dev", "failurePolicy": "Ignore"}]});
    plane.admin.call(Method::PATCH, &super::webhooks_path(super::WEBHOOKS[0]), Some(&lenient)).admitted();
    let mut pod = pod("one", spec());
    pod["metadata"]["labels"] = json!({"app.kubernetes.io/name": NAME});
    pod["spec"]["serviceAccountName"] = NAME.into();
    pod["spec"]["containers"][0]["args"] = json!(["--self-managed-certificate=x"]);
    let space = Space::named(&plane.admin, NAME);
    space.create("pods", &pod).admitted();
    let endpoints = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "ports": [{"name": "", "port": 8443}], "endpoints": [{"addresses": [network.node], "conditions": {"ready": true}}]});
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{NAME}/endpointslices");
    plane.admin.call(Method::POST, &path, Some(&endpoints)).admitted();
    let mut rules: Vec<Value> = Vec::new();
    for file in ["deploy/scan/rbac.yaml", "deploy/preflight/rbac.yaml"] {
        let text = std::fs::read_to_string(repository(file)).expect("RBAC");
        rules.extend(documents(&text).remove(0)["rules"].as_array().expect("rules").clone());
    }
    let mut role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": USER}});
    role["rules"] = json!(rules);
    plane.admin.call(Method::POST, &format!("{RBAC}/clusterroles"), Some(&role)).admitted();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": USER}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": USER}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER}});
    plane.admin.call(Method::POST, &format!("{RBAC}/clusterrolebindings"), Some(&binding)).admitted();

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), configuration("deploy/overlays/enforce")).expect("written");
    let text = std::fs::read_to_string(&plane.place.kubeconfig).expect("its kubeconfig");
    let mut kubeconfig: Value = documents(&text).remove(0);
    kubeconfig["users"][0]["user"]["as"] = json!(USER);
    kubeconfig["users"][0]["user"]["as-groups"] = json!(["system:authenticated"]);
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    let look = || preflight(folder.path(), &file);
    let whole = eventually("the rights", || Some(look()).filter(|found| found.unreadable.is_empty()));
    assert_eq!(whole.code, 1, "{}", whole.said);
    assert!(whole.traps.contains(&"unreachable-service".to_owned()), "{}", whole.said);

    // Without any one of them, something is not readable.
    let preflight_rules = rules.len() - 6;
    for (number, rule) in rules.iter().enumerate().skip(preflight_rules) {
        for resource in rule["resources"].as_array().expect("resources") {
            let mut less = rules.clone();
            let all = less[number]["resources"].as_array_mut().expect("resources");
            all.retain(|other| other != resource);
            if all.is_empty() {
                less.remove(number);
            }
            role["rules"] = json!(less);
            plane.admin.call(Method::PUT, &format!("{RBAC}/clusterroles/{USER}"), Some(&role)).admitted();
            eventually(&format!("{resource} is missed"), || {
                let found = look();
                (found.code == 2 && !found.unreadable.is_empty()).then_some(())
            });
        }
        role["rules"] = json!(rules);
        plane.admin.call(Method::PUT, &format!("{RBAC}/clusterroles/{USER}"), Some(&role)).admitted();
        eventually("the rights", || (look().unreadable.is_empty()).then_some(()));
    }
}

#[test]
fn a_cluster_that_cannot_be_read_and_a_wrong_configuration_end_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = json!({"clusters": [{"name": "it", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "it", "user": {"token": "secret-token"}}], "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    std::fs::write(folder.path().join("config.yaml"), configuration("deploy/overlays/enforce")).expect("written");
    let found = preflight(folder.path(), &file);
    assert_eq!(found.code, 2, "{}", found.said);
    assert!(found.said.contains("the cluster: ") && !found.said.contains("secret-token"), "{}", found.said);
    std::fs::write(folder.path().join("config.yaml"), "kind: Nothing\n").expect("written");
    let found = preflight(folder.path(), &file);
    assert_eq!(found.code, 2);
    assert!(found.said.contains("config.yaml:1:"), "{}", found.said);
}

/// The table of the server's rights is that of `deploy/base/rbac.yaml`.
#[test]
fn the_rights_that_are_asked_for_are_those_of_the_manifests() {
    let text = std::fs::read_to_string(repository("deploy/base/rbac.yaml")).expect("RBAC");
    let mut written = Vec::new();
    for object in documents(&text) {
        let is_namespaced = object["kind"] == "Role";
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| super::kubelet::strings(&rule[field]);
            let names = list("resourceNames");
            let name = names.first().cloned().unwrap_or_default();
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        written.push((group.clone(), resource.clone(), name.clone(), verb, is_namespaced));
                    }
                }
            }
        }
    }
    let asked = portcullis::preflight::needed(Needs { certificate: true, ..Needs::default() });
    let asked = asked.iter().map(|right| {
        let text = |text: &str| text.to_owned();
        (text(right.group), text(right.resource), text(right.name), text(right.verb), right.is_namespaced)
    });
    let mut asked: Vec<_> = asked.collect();
    written.sort();
    asked.sort();
    assert_eq!(asked, written);
}
