//! `plaintext-connections` on ConfigMaps and workloads.

use serde_json::{Value, json};

use super::objects::{holder, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[test]
fn a_plaintext_connection_is_refused_warned_of_and_inherited() {
    let plane = Plane::shared();
    let (space, watched) = (Space::new(plane, "it-connections"), Space::new(plane, "it-connections-watched"));
    let bad = json!({"app.yaml": "db:\n  url: postgres://app@db.example.com/shop\n"});
    space.create("configmaps", &map("old", &bad)).admitted();
    let configuration = "profile: hardened\npolicies:\n  plaintext-connections: {mode: enforce}\n\
                         namespaces:\n- {match: {names: [it-connections-watched]}, ceiling: warn, relax: true}\n";
    let portcullis = Portcullis::guard(plane, &[&space, &watched], configuration, &[]);

    for answer in [space.create("configmaps", &map("new", &bad)), space.create_dry("configmaps", &map("new", &bad))] {
        let message = answer.refused();
        assert!(message.starts_with("plaintext-connections: data[app.yaml] must demand TLS"), "{message}");
        assert!(!message.contains("db.example.com"), "{message}");
    }
    assert_eq!(portcullis.decision("ConfigMap", "new")["decision"], "deny");
    let good = json!({"app.yaml": "db:\n  url: postgres://app@db.example.com/shop?sslmode=verify-full\n"});
    let answer = space.create("configmaps", &map("good", &good));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    let answer = watched.create("configmaps", &map("new", &bad));
    assert!(answer.warns("plaintext-connections: data[app.yaml] "), "{answer:#?}");
    answer.admitted();

    // What was there before can change elsewhere, and gets no worse.
    let answer = space.patch("configmaps", "old", &json!({"data": {"port": "8080"}}));
    assert!(answer.warns("plaintext-connections: data[app.yaml] "), "{answer:#?}");
    answer.admitted();
    space.patch("configmaps", "old", &json!({"data": {"cache": "redis://cache.example.com"}})).refused();

    let mut template = spec();
    template["containers"][0]["env"] = json!([{"name": "KAFKA_SECURITY_PROTOCOL", "value": "PLAINTEXT"}]);
    let answer = space.create("deployments", &holder("Deployment", "web", template));
    let message = answer.refused();
    assert!(message.starts_with("plaintext-connections: spec.template.spec.containers[0].env[0].value "), "{message}");
}
