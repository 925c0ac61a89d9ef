//! `required-metadata` and `allowed-values` on a real API server: Kubernetes' own kinds, and those of a CustomResourceDefinition.

use axum::http::Method;
use serde_json::{Value, json};

use super::discovery::CRDS;
use super::eventually;
use super::objects::{holder, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// With the policies of `hardened`, since a Pod is asked about until the webhooks are in force.
fn house() -> String {
    let required = json!([
        {"name": "owner", "kinds": [{"kind": "Deployment"}, {"kind": "Secret"}], "labels": {"team": "[a-z]+"}},
        {"name": "cost", "kinds": [{"kind": "ConfigMap"}], "annotations": {"example.com/cost": "[0-9]+"}, "mode": "warn"},
    ]);
    let report = |kind: &str, resource: &str| json!({"group": "openreports.io", "kind": kind, "resource": resource});
    let allowed = json!([
        {"name": "families", "kinds": [{"kind": "Service"}], "path": "spec.ports[*].appProtocol", "pattern": "http|grpc",
            "absent": "refuse"},
        {"name": "replicas", "kinds": [{"kind": "Deployment"}], "path": "spec.replicas", "values": [1, 2]},
        {"name": "sources", "kinds": [report("Report", "reports"), report("ClusterReport", "clusterreports")],
            "path": "source", "values": ["trivy"], "absent": "refuse"},
    ]);
    format!(
        "profile: hardened\npolicies:\n  required-metadata: {{mode: enforce, settings: {}}}\n  \
         allowed-values: {{mode: enforce, settings: {}}}\n",
        json!({"instances": required}),
        json!({"instances": allowed}),
    )
}

fn deployment(name: &str, labels: Value, replicas: u32) -> Value {
    let mut deployment = holder("Deployment", name, spec());
    deployment["metadata"]["labels"] = labels;
    deployment["spec"]["replicas"] = replicas.into();
    deployment
}

#[test]
fn an_object_without_its_label_is_refused_and_an_old_one_changes_elsewhere() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-required-metadata");
    space.create("deployments", &deployment("old", json!({}), 5)).admitted();
    let portcullis = Portcullis::guard(plane, &[&space], &house(), &[]);

    let message =
        "required-metadata: metadata.labels[team] must be set, to a value that matches \"[a-z]+\" (instance owner)";
    let none = deployment("new", json!({}), 1);
    for answer in [space.create_dry("deployments", &none), space.create("deployments", &none)] {
        assert!(answer.refused().starts_with(message), "{answer:#?}");
    }
    let record = portcullis.decision("Deployment", "new");
    assert_eq!((&record["decision"], &record["findings"][0]["policy"]), (&"deny".into(), &"required-metadata".into()));
    assert!(record["findings"][0]["message"].as_str().expect("a message").contains("instance owner"), "{record}");
    let wrong = deployment("new", json!({"team": "SHOP"}), 3);
    let answer = space.create("deployments", &wrong);
    let said = answer.refused();
    assert!(
        said.contains("(instance owner): it is \"SHOP\"") && said.contains("(instance replicas): it is 3"),
        "{said}"
    );
    let answer = space.create("deployments", &deployment("new", json!({"team": "shop"}), 2));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    assert_eq!(portcullis.decision("Deployment", "new")["decision"], "allow");

    // An old one changes elsewhere, in its template too, and gets no worse.
    for change in [
        json!({"metadata": {"annotations": {"a": "b"}}}),
        json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}),
    ] {
        let answer = space.patch("deployments", "old", &change);
        assert!(answer.warns("required-metadata: ") && answer.warns("allowed-values: "), "{answer:#?}");
        answer.admitted();
    }
    assert_eq!(portcullis.decision("Deployment", "old")["findings"][0]["inherited"], true);
    space.patch("deployments", "old", &json!({"metadata": {"labels": {"team": "X"}}})).refused();
    space.patch("deployments", "old", &json!({"spec": {"replicas": 6}})).refused();
    // Whoever scales is not asked: autoscalers and a drained node go on.
    space.patch("deployments", "old/scale", &json!({"spec": {"replicas": 7}})).admitted();
    space.patch("deployments", "old", &json!({"metadata": {"labels": {"team": "shop"}}})).admitted();
    space.patch("deployments", "old", &json!({"metadata": {"labels": {"team": null}}})).refused();
    space.delete("deployments", "old").admitted();
}

#[test]
fn a_value_is_refused_or_warned_of_and_a_secret_is_not_repeated() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-allowed-values");
    let portcullis = Portcullis::guard(plane, &[&space], &house(), &[]);
    let service = |protocol: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [
            {"name": "a", "port": 80, "appProtocol": "http"}, {"name": "b", "port": 81, "appProtocol": protocol}]}})
    };
    let answer = space.create("services", &service(json!("https")));
    let place = "allowed-values: spec.ports[1].appProtocol must be a value that matches \"http|grpc\" (instance families): it is \
                 \"https\"";
    assert!(answer.refused().starts_with(place), "{answer:#?}");
    assert!(
        space.create_dry("services", &service(Value::Null)).refused().contains("spec.ports[1].appProtocol must be set")
    );
    space.create("services", &service(json!("grpc"))).admitted();
    assert_eq!(portcullis.decision("Service", "web")["decision"], "allow");

    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
    let answer = space.create("configmaps", &map);
    assert!(answer.warns("required-metadata: metadata.annotations[example.com/cost] must be set"), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("ConfigMap", "web")["decision"], "warn");

    let canary = "Canary-of-a-Secret";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web", "labels": {"team": canary}},
        "stringData": {"password": canary}});
    let answer = space.create("secrets", &secret);
    assert!(answer.refused().contains("(instance owner)"), "{answer:#?}");
    assert!(!format!("{answer:?}{}", portcullis.decision("Secret", "web")).contains(canary));
}

#[test]
fn an_object_of_a_custom_resource_is_judged_in_and_outside_of_namespaces() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-custom-values");
    let kinds = ["reports", "clusterreports"];
    let portcullis = Portcullis::guard(plane, &[&space], &house(), &[]);
    // Nothing of it is judged, and it is said.
    eventually("both kinds are missed", || {
        let ready = portcullis.admin("/readyz?verbose");
        (ready.contains("openreports.io Report: ") && ready.contains("openreports.io ClusterReport: ")).then_some(())
    });
    for kind in kinds {
        let file = crate::golden::repository(&format!("../shared/crds/openreports-{kind}.yaml"));
        let text = std::fs::read_to_string(file).expect("a CustomResourceDefinition");
        let crd = crate::judging::documents(&text).remove(0);
        plane.admin.call(Method::POST, CRDS, Some(&crd)).admitted();
    }
    eventually("both kinds are served", || portcullis.admin("/readyz?verbose").contains("[+]workloads ").then_some(()));
    let report = |kind: &str, source: Value| {
        json!({"apiVersion": "openreports.io/v1alpha1", "kind": kind, "metadata": {"name": "web"}, "source": source,
            "results": [{"policy": "a"}]})
    };
    let path = format!("/apis/openreports.io/v1alpha1/namespaces/{}/reports", space.name);
    let call = |method, path: &str, object: &Value| plane.admin.call(method, path, Some(object));
    let place = "allowed-values: source must be \"trivy\" (instance sources): it is \"other\"";
    assert!(call(Method::POST, &path, &report("Report", json!("other"))).refused().starts_with(place));
    call(Method::POST, &format!("{path}?dryRun=All"), &report("Report", Value::Null)).refused();
    call(Method::POST, &path, &report("Report", json!("trivy"))).admitted();
    assert_eq!(portcullis.decision("Report", "web")["decision"], "allow");
    let mut stored = plane.admin.call(Method::GET, &format!("{path}/web"), None).admitted();
    stored["source"] = "other".into();
    call(Method::PUT, &format!("{path}/web"), &stored).refused();
    stored["source"] = "trivy".into();
    stored["results"] = json!([{"policy": "b"}]);
    call(Method::PUT, &format!("{path}/web"), &stored).admitted();

    let path = "/apis/openreports.io/v1alpha1/clusterreports?dryRun=All";
    let admin = plane.admin_of(&space);
    let create = |source| admin.call(Method::POST, path, Some(&report("ClusterReport", source)));
    assert!(create(json!("other")).refused().starts_with(place));
    create(json!("trivy")).admitted();
    // Nobody else's is judged here.
    call(Method::POST, path, &report("ClusterReport", json!("other"))).admitted();
    for kind in kinds {
        plane.admin.call(Method::DELETE, &format!("{CRDS}/{kind}.openreports.io"), None).admitted();
    }
}
