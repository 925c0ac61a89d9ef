//! `forbidden-settings` and `required-settings` in what a cluster stores.

use serde_json::{Value, json};

use super::objects::{holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;
use crate::fixtures::enforced;

fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[test]
fn settings_are_refused_warned_of_and_inherited() {
    let plane = Plane::shared();
    let (space, watched) = (Space::new(plane, "it-settings"), Space::new(plane, "it-settings-watched"));
    let bad = json!({"MOCK_PAYMENTS": "true"});
    space.create("configmaps", &map("old", &bad)).admitted();
    let configuration = format!(
        "profile: hardened\npolicies:\n  forbidden-settings: {}\n  required-settings: {}\n\
         namespaces:\n- {{match: {{names: [it-settings-watched]}}, ceiling: warn, relax: true}}\n",
        enforced("forbidden-settings"),
        enforced("required-settings")
    );
    let portcullis = Portcullis::guard(plane, &[&space, &watched], &configuration, &[]);

    for answer in [space.create("configmaps", &map("new", &bad)), space.create_dry("configmaps", &map("new", &bad))] {
        let message = answer.refused();
        assert!(message.starts_with("forbidden-settings: data[MOCK_PAYMENTS] must not give the variable"), "{message}");
    }
    assert_eq!(portcullis.decision("ConfigMap", "new")["decision"], "deny");
    let answer = watched.create("configmaps", &map("new", &bad));
    assert!(answer.warns("forbidden-settings: data[MOCK_PAYMENTS] "), "{answer:#?}");
    answer.admitted();
    // What was there before can change elsewhere, and gets no worse.
    let answer = space.patch("configmaps", "old", &json!({"data": {"PORT": "8080"}}));
    assert!(answer.warns("forbidden-settings: data[MOCK_PAYMENTS] "), "{answer:#?}");
    answer.admitted();
    space.patch("configmaps", "old", &json!({"data": {"REMOTE_DEBUG_PORT": "9229"}})).refused();

    // A workload without a variable, then with it; the API server keeps both entries of one name.
    let mut template = spec();
    template["containers"][0]["name"] = "shop".into();
    let answer = space.create("deployments", &holder("Deployment", "shop", template.clone()));
    let message = answer.refused();
    assert!(
        message.starts_with("required-settings: spec.template.spec.containers[0].env must set the variable"),
        "{message}"
    );
    template["containers"][0]["env"] =
        json!([{"name": "AUTH_ENABLED", "value": "false"}, {"name": "AUTH_ENABLED", "value": "True"}]);
    let answer = space.create("deployments", &holder("Deployment", "shop", template.clone()));
    assert!(!answer.warns("required-settings"), "{answer:#?}");
    answer.admitted();
    template["containers"][0]["env"] = json!([{"name": "AUTH_ENABLED", "value": "false"}]);
    let answer = space.create_dry("pods", &pod("shop", template));
    assert!(
        answer.refused().starts_with("required-settings: spec.containers[0].env[0].value must give"),
        "{answer:#?}"
    );
}
