//! `literal-secrets` on ConfigMaps and annotations; Pods and templates are in `validators`.

use serde_json::{Value, json};

use super::objects::{holder, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[test]
fn a_credential_in_a_config_map_is_refused_warned_of_and_inherited() {
    let plane = Plane::shared();
    let (space, watched) = (Space::new(plane, "it-config-maps"), Space::new(plane, "it-config-maps-watched"));
    let bad = json!({"app.yaml": "db:\n  password: correct-horse\n"});
    space.create("configmaps", &map("old", &bad)).admitted();
    let configuration = "profile: hardened\npolicies:\n  literal-secrets: {mode: enforce}\n\
                         namespaces:\n- {match: {names: [it-config-maps-watched]}, ceiling: warn, relax: true}\n";
    let portcullis = Portcullis::guard(plane, &[&space, &watched], configuration, &[]);

    for answer in [space.create("configmaps", &map("new", &bad)), space.create_dry("configmaps", &map("new", &bad))] {
        let message = answer.refused();
        assert!(message.starts_with("literal-secrets: data[app.yaml] must not hold a credential"), "{message}");
        assert!(!message.contains("correct-horse"), "{message}");
    }
    assert_eq!(portcullis.decision("ConfigMap", "new")["decision"], "deny");
    let answer =
        space.create("configmaps", &map("good", &json!({"app.yaml": "db:\n  passwordFile: /run/secrets/db\n"})));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();

    let answer = watched.create("configmaps", &map("new", &bad));
    assert!(answer.warns("literal-secrets: data[app.yaml] "), "{answer:#?}");
    answer.admitted();

    // What was there before can change elsewhere, and gets no worse.
    let answer = space.patch("configmaps", "old", &json!({"data": {"port": "8080"}}));
    assert!(answer.warns("literal-secrets: data[app.yaml] "), "{answer:#?}");
    answer.admitted();
    space.patch("configmaps", "old", &json!({"data": {"api-token": "q8Zt4Lw9Xk2Rv7Nc5Bd1"}})).refused();

    let mut deployment = holder("Deployment", "web", spec());
    deployment["metadata"]["annotations"] = json!({"example.com/db-password": "correct-horse"});
    let answer = space.create("deployments", &deployment);
    let message = answer.refused();
    assert!(message.starts_with("literal-secrets: metadata.annotations[example.com/db-password] "), "{message}");
}
