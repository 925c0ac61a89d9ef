//! The manifests as kustomize makes them: what belongs together agrees, and they keep to what Portcullis demands of
//! everybody else.

use std::path::Path;

use serde_json::{Value, json};

use super::kubelet::strings;
use super::{OVERLAYS, configuration, documents, kubectl, rendered};
use crate::golden::{assert_holds, repository};
use crate::kubernetes::plane::Plane;
use crate::serve::run;

/// The kinds of ours that hold a pod template.
const WORKLOADS: [&str; 2] = ["Deployment", "StatefulSet"];

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["kind"].as_str().expect("a kind")).collect()
}

/// The workload that creates our Pods.
fn workload(objects: &[Value]) -> &Value {
    let ours = objects.iter().find(|object| WORKLOADS.iter().any(|kind| object["kind"] == *kind));
    ours.expect("a workload")
}

fn one<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind).expect(kind)
}

#[test]
fn the_webhook_configurations_are_what_the_program_prints() {
    for overlay in OVERLAYS {
        let config = repository(overlay).join("config.yaml");
        let (code, printed, errors) = run(&["webhooks", "--config", config.to_str().expect("UTF-8")], "");
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert_holds(&format!("{overlay}/webhooks.yaml"), &printed);
    }
}

#[test]
fn the_namespace_comes_first_and_what_asks_comes_last() {
    assert_eq!(rendered("deploy"), rendered("deploy/overlays/audit-only"), "it starts where nothing can break");
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let kinds = kinds(&objects);
        assert_eq!(kinds[0], "Namespace");
        let last = &kinds[kinds.len() - 2..];
        assert_eq!(last, ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);
        let place = |kind: &str| kinds.iter().position(|other| *other == kind).expect(kind);
        let workload = kinds.iter().position(|kind| WORKLOADS.contains(kind)).expect("a workload");
        for needed in
            ["ResourceQuota", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ConfigMap"]
        {
            assert!(place(needed) < workload, "{needed} is there before a Pod starts");
        }
        let secret = one(&objects, "Secret");
        assert_eq!(secret["metadata"]["name"], "portcullis-certificate", "the only Secret is the program's");
        assert!(secret["data"].is_null() && secret["type"].is_null(), "{secret}");
    }
}

#[test]
fn they_pass_what_they_install() {
    for overlay in OVERLAYS {
        let dir = tempfile::tempdir().expect("a folder");
        let objects: Vec<String> = rendered(overlay).iter().map(ToString::to_string).collect();
        let file = dir.path().join("all.yaml");
        std::fs::write(&file, objects.join("\n---\n")).expect("written");
        let judged = judged(&file, &[]);
        assert!(judged.iter().any(|object| WORKLOADS.iter().any(|kind| object["kind"] == *kind)), "{judged:?}");
        for object in judged {
            assert_eq!(object["findings"], Value::Array(vec![]), "{object}");
        }
        let config = repository(overlay).join("config.yaml");
        let arguments = ["check", file.to_str().expect("UTF-8"), "--config", config.to_str().expect("UTF-8")];
        assert_eq!(run(&arguments, "").0, Some(0));
    }
    // As they are in the repository, nobody has named the image yet, and that is all.
    let raw = judged(&repository("deploy"), &["unpinned-images", "unpinned-images"]);
    let findings: Vec<&Value> =
        raw.iter().flat_map(|object| object["findings"].as_array().expect("findings")).collect();
    assert!(findings.iter().all(|finding| finding["path"] == "spec.template.spec.containers[0].image"), "{findings:?}");
}

/// Results of `check` on the objects in a place, under the strictest profile. Exactly these policies find something.
#[track_caller]
fn judged(place: &Path, refusing: &[&str]) -> Vec<Value> {
    let place = place.to_str().expect("UTF-8");
    let arguments = ["check", place, "--format", "json", "--profile", "hardened", "--cluster-from", place];
    let (code, out, errors) = run(&arguments, "");
    assert_eq!((code, errors.as_str()), (Some(i32::from(!refusing.is_empty())), ""), "{out}");
    let judged: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let findings = judged.iter().flat_map(|object| object["findings"].as_array().expect("findings"));
    let policies: Vec<&str> = findings.map(|finding| finding["policy"].as_str().expect("an id")).collect();
    assert_eq!(policies, refusing, "{out}");
    judged
}

#[test]
fn what_belongs_together_agrees() {
    for overlay in OVERLAYS {
        let objects = rendered(overlay);
        let deployment = workload(&objects);
        let pod = &deployment["spec"]["template"];
        let [container] = pod["spec"]["containers"].as_array().expect("containers").as_slice() else {
            panic!("one container")
        };
        let (_, digest) = container["image"].as_str().and_then(|image| image.split_once("@sha256:")).expect("a digest");
        assert_eq!(digest.len(), 64);
        let arguments = strings(&container["args"]);
        let argument = |name: &str| {
            let value = arguments.iter().find_map(|text| text.strip_prefix(&format!("--{name}=")));
            value.unwrap_or_else(|| panic!("no --{name}"))
        };

        // A Pod that is asked to end has longer than it takes.
        let grace: u64 = argument("grace").parse().expect("seconds");
        assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64() > Some(grace));
        // The certificate may take 15 seconds; the kubelet kills after three failures of ten seconds each.
        let live = &container["livenessProbe"];
        assert!(live["periodSeconds"].is_null() && live["failureThreshold"].is_null(), "the defaults");
        // Probes ask the admin port, from outside the Pod.
        let ports = container["ports"].as_array().expect("ports");
        let port = |name: &str| ports.iter().find(|port| port["name"] == name).expect(name)["containerPort"].clone();
        assert_eq!(argument("admin-listen"), format!("[::]:{}", port("admin")));
        assert_eq!(argument("listen"), format!("[::]:{}", port("reviews")));
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let asked = &container[probe]["httpGet"];
            assert_eq!((asked["path"].as_str(), asked["port"].as_str()), (Some(path), Some("admin")), "{probe}");
        }

        // Service, disruption budget and Deployment mean the same Pods, and one of them always stays.
        let labels = &pod["metadata"]["labels"];
        let (service, budget) = (one(&objects, "Service"), one(&objects, "PodDisruptionBudget"));
        for selector in [&service["spec"]["selector"], &budget["spec"]["selector"]["matchLabels"]] {
            assert_eq!(selector, labels);
        }
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "reviews");
        assert!(budget["spec"]["minAvailable"].as_u64() < deployment["spec"]["replicas"].as_u64());
        if deployment["kind"] == "Deployment" {
            assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        }
        // What the priority class needs outside kube-system, and never less than a rollout takes.
        let quota = &one(&objects, "ResourceQuota")["spec"];
        assert_eq!(quota["hard"], json!({"pods": "100"}));
        let class = &pod["spec"]["priorityClassName"];
        let scope = json!([{"scopeName": "PriorityClass", "operator": "In", "values": [class]}]);
        assert_eq!(quota["scopeSelector"]["matchExpressions"], scope);
        reaches(&one(&objects, "NetworkPolicy")["spec"], &port("reviews"), &port("admin"), overlay);

        // What is mounted is what is read, and the configuration of the overlay is the one in its ConfigMap.
        let map = &one(&objects, "ConfigMap")["data"];
        assert_eq!(map["config.yaml"].as_str(), Some(configuration(overlay).as_str()));
        assert_eq!(argument("config"), "/etc/portcullis/config.yaml");
        let role = documents(&std::fs::read_to_string(repository("deploy/base/rbac.yaml")).expect("RBAC"));
        let secret = argument("self-managed-certificate").split_once('/').expect("NAMESPACE/NAME");
        assert_eq!(one(&role, "Role")["metadata"]["namespace"], secret.0);
        assert!(one(&role, "Role")["rules"].to_string().contains(&format!("\"{}\"", secret.1)));
    }
}

/// Asserts what the NetworkPolicy allows. In: reviews from anywhere, since no label matches an API server's address,
/// and metrics for labelled namespaces. Out: DNS, API servers and the sinks of the configuration.
fn reaches(policy: &Value, reviews: &Value, admin: &Value, overlay: &str) {
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["podSelector"], json!({}));
    let ingress = policy["ingress"].as_array().expect("ingress");
    assert_eq!(ingress[0], json!({"ports": [{"port": reviews}]}));
    assert_eq!(ingress[1]["ports"], json!([{"port": admin}]));
    let scrapers = json!([{"namespaceSelector": {"matchLabels": {"portcullis.dev/metrics": "true"}}}]);
    assert_eq!(ingress[1]["from"], scrapers);
    assert_eq!(ingress.len(), 2);

    let [names, servers, sinks @ ..] = policy["egress"].as_array().expect("egress").as_slice() else {
        panic!("{policy}")
    };
    assert_eq!(names["ports"], json!([{"port": 53, "protocol": "UDP"}, {"port": 53}]));
    let dns = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    });
    assert_eq!(names["to"], json!([dns, {"ipBlock": {"cidr": "169.254.20.10/32"}}]));
    assert_eq!(servers["ports"], json!([{"port": 443}, {"port": 6443}]));
    // Nothing is open to everywhere, and clouds keep their metadata at link-local addresses.
    for to in servers["to"].as_array().expect("addresses") {
        let except = &to["ipBlock"]["except"][0];
        assert!(except == "169.254.0.0/16" || except == "fe80::/10", "{to}");
    }
    let configuration: Value = serde_saphyr::from_str(&configuration(overlay)).expect("YAML");
    let named = configuration["trail"]["sinks"].as_array().map_or(0, Vec::len);
    assert_eq!(sinks.len(), named, "a way out for each sink that {overlay} names");
}

#[test]
fn an_api_server_takes_every_overlay() {
    let plane = Plane::start(&["--with-controller-manager=false"]);
    // What is not there yet can hold nothing, not even in a dry run.
    kubectl(&plane, &["apply", "-f", "deploy/base/namespace.yaml"]);
    for overlay in OVERLAYS {
        let said = kubectl(&plane, &["apply", "--dry-run=server", "-k", overlay]);
        assert!(said.contains(".apps/portcullis created (server dry run)"), "{said}");
        assert_eq!(said.lines().count(), rendered(overlay).len(), "{said}");
    }
    for overlay in OVERLAYS {
        let said = kubectl(&plane, &["apply", "-k", overlay]);
        assert_eq!(said.lines().count(), rendered(overlay).len(), "{said}");
    }
}
