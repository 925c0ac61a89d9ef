//! Services and Ingresses on a real API server: refused, warned of, and worked with when they are old.

use serde_json::{Value, json};

use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// With the policies of `hardened`, since a Pod is asked about until the webhooks are in force.
const BOTH: &str =
    "profile: hardened\npolicies:\n  exposed-services: {mode: enforce}\n  ingress-snippets: {mode: enforce}\n";

fn service(name: &str, mut spec: Value) -> Value {
    spec["ports"] = json!([{"port": 443}]);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

fn ingress(name: &str, annotations: Value) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"tls": [{"hosts": ["web.example.com"], "secretName": "web"}], "rules": [{
            "host": "web.example.com",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }]},
    })
}

#[test]
fn an_exposed_service_is_refused_and_an_old_one_gets_no_worse() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-exposed-services");
    space.create("services", &service("old", json!({"type": "NodePort"}))).admitted();
    let portcullis = Portcullis::guard(plane, &[&space], BOTH, &[]);

    let answer = space.create_dry("services", &service("new", json!({"type": "NodePort"})));
    assert!(answer.refused().starts_with("exposed-services: spec.type must not be NodePort"), "{answer:#?}");
    let open = service("new", json!({"type": "LoadBalancer"}));
    let place = "exposed-services: spec.loadBalancerSourceRanges must list ";
    assert!(space.create("services", &open).refused().starts_with(place));
    assert_eq!(portcullis.decision("Service", "new")["decision"], "deny");
    let closed = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]});
    let answer = space.create("services", &service("new", closed));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    let answer = space.patch("services", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(answer.warns("exposed-services: "), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Service", "old")["findings"][0]["inherited"], true);
    let balancer = json!({"spec": {"type": "LoadBalancer"}});
    assert!(space.patch("services", "old", &balancer).refused().starts_with(place));
    space.patch("services", "old", &json!({"spec": {"type": "ClusterIP"}})).admitted();
    space.patch("services", "old", &json!({"spec": {"type": "NodePort"}})).refused();
    space.delete("services", "old").admitted();
}

#[test]
fn hardened_warns_of_an_exposed_service_and_of_a_snippet() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-exposure-warned");
    let portcullis = Portcullis::hardened(plane, &space);
    let answer = space.create("services", &service("web", json!({"type": "NodePort"})));
    assert!(answer.warns("exposed-services: spec.type must not be NodePort"), "{answer:#?}");
    answer.admitted();
    let snippet = json!({"nginx.ingress.kubernetes.io/configuration-snippet": "return 204;"});
    let answer = space.create("ingresses", &ingress("web", snippet));
    assert!(answer.warns("ingress-snippets: metadata.annotations["), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Ingress", "web")["decision"], "warn");
}

#[test]
fn cve_2020_8554_a_service_takes_no_traffic_of_an_external_address() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-cve-2020-8554");
    space.create("services", &service("old", json!({}))).admitted();
    let _portcullis = Portcullis::guard(plane, &[&space], BOTH, &[]);
    let taking = json!({"externalIPs": ["192.0.2.7"]});
    let answer = space.create("services", &service("new", taking.clone()));
    assert!(answer.refused().starts_with("exposed-services: spec.externalIPs[0] must not name "), "{answer:#?}");
    space.patch("services", "old", &json!({"spec": taking})).refused();
}

#[test]
fn cve_2021_25742_no_annotation_is_pasted_into_the_controller() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-cve-2021-25742");
    let canary = "alias /var/run/secrets/kubernetes.io/serviceaccount/token;";
    let snippets = json!({"nginx.ingress.kubernetes.io/configuration-snippet": canary});
    space.create("ingresses", &ingress("old", snippets.clone())).admitted();
    space.create("ingresses", &ingress("clean", json!({}))).admitted();
    let portcullis = Portcullis::guard(plane, &[&space], BOTH, &[]);

    let answer = space.create("ingresses", &ingress("new", snippets));
    let message = answer.refused();
    assert!(message.contains("nginx.ingress.kubernetes.io/configuration-snippet"), "{message}");
    assert!(!message.contains("serviceaccount/token"), "{message}");
    assert!(!portcullis.decision("Ingress", "new").to_string().contains("serviceaccount/token"));

    let answer = space.patch("ingresses", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(answer.warns("ingress-snippets: "), "{answer:#?}");
    answer.admitted();
    let more = json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/server-snippet": canary}}});
    for name in ["old", "clean"] {
        space.patch("ingresses", name, &more).refused();
        // An update of the status keeps annotations.
        space.patch("ingresses", &format!("{name}/status"), &more).refused();
    }
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}});
    space.patch("ingresses", "old/status", &status).admitted();
}
