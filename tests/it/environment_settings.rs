//! `forbidden-settings` and `required-settings`: ConfigMaps, what no request shows, work that is bounded, and values that are not
//! repeated.

use std::time::{Duration, Instant};

use portcullis::request::Source;
use serde_json::{Value, json};

use crate::judging::{configured, create, only, world};
use crate::literal_secrets::found;
use crate::serve::run;

fn pod(container: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [container]}})
}

#[test]
fn keys_of_a_config_map_are_variables() {
    let snapshot = only("forbidden-settings");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {
        "MOCK_PAYMENTS": "TRUE\n", "MOCK_MAILS": "false", "REMOTE_DEBUG_PORT": "", "LOG_LEVEL": "debug", "app.yaml": "MOCK_PAYMENTS: true"},
        "binaryData": {"MOCK_STOCK": "dHJ1ZQ=="}});
    let places: Vec<String> = found(&snapshot, &map).into_iter().map(|(place, _)| place).collect();
    // A kubelet takes no variables from binaryData, and an entry with containers is not about ConfigMaps.
    assert_eq!(places, ["data[MOCK_PAYMENTS]", "data[REMOTE_DEBUG_PORT]"]);
}

#[test]
fn what_no_request_shows_counts_unless_settings_say_otherwise() {
    let settings = "variables: [{name: AUTH, values: ['true']}, {name: KEY, from: secretKeyRef}]";
    let reference = |kind: &str| json!({(kind): {"name": "web", "key": "key"}});
    for (container, seen, unseen) in [
        (json!({"envFrom": [{"secretRef": {"name": "web"}}]}), 0, 2),
        (json!({"envFrom": [{"configMapRef": {"name": "web"}}]}), 1, 2),
        (json!({"envFrom": [{"secretRef": {"name": "web", "optional": true}}]}), 2, 2),
        (json!({"envFrom": null, "env": null}), 2, 2),
        (
            json!({"env": [{"name": "AUTH", "valueFrom": reference("configMapKeyRef")},
                {"name": "KEY", "valueFrom": reference("secretKeyRef")}]}),
            0,
            1,
        ),
        (
            json!({"env": [{"name": "AUTH", "value": "$(UNKNOWN)"}, {"name": "KEY", "valueFrom": reference("secretKeyRef")}]}),
            0,
            1,
        ),
        (
            json!({"env": [{"name": "AUTH", "value": "$$(true)"}, {"name": "KEY", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]}),
            2,
            2,
        ),
    ] {
        let mut container = container;
        container["name"] = "web".into();
        let pod = pod(container);
        for (counts, expected) in [(true, seen), (false, unseen)] {
            let snapshot = configured(&format!(
                "policies: {{required-settings: {{mode: enforce, settings: {{{settings}, countsUnseen: {counts}}}}}}}\n"
            ));
            let found = found(&snapshot, &pod);
            assert_eq!(found.len(), expected, "{counts}: {pod}: {found:#?}");
        }
    }
}

#[test]
fn many_variables_are_judged_in_time() {
    let names: Vec<Value> =
        (0..256).map(|number| json!({"name": format!("*A{number}*B*"), "values": ["*a*b*c*"]})).collect();
    let snapshot = configured(&format!(
        "policies: {{forbidden-settings: {{mode: enforce, settings: {{variables: {}}}}}}}\n",
        Value::from(names)
    ));
    let variables: Vec<Value> =
        (0..4_000).map(|number| json!({"name": format!("AAAAAAAA{number}"), "value": "$(AAAAAAAA0)"})).collect();
    let start = Instant::now();
    let pod = pod(json!({"name": "web", "env": variables}));
    let decision = create(&snapshot, &pod, &world(""), Source::ApiServer).expect("readable");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(decision.allowed && decision.findings.is_empty(), "{decision:?}");
}

#[test]
fn a_value_that_grows_is_not_followed() {
    let snapshot = only("forbidden-settings");
    let mut variables = vec![json!({"name": "A0", "value": "true true"})];
    for number in 1..64 {
        let before = format!("$(A{})", number - 1);
        variables.push(json!({"name": format!("A{number}"), "value": format!("{before}{before}")}));
    }
    variables.push(json!({"name": "MOCK_A", "value": "$(A63)"}));
    assert_eq!(found(&snapshot, &pod(json!({"name": "web", "env": variables}))), []);
}

#[test]
fn no_output_repeats_a_value_of_a_variable() {
    const CANARY: &str = "canary-7c3e";
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies:\n  forbidden-settings: {{mode: enforce, settings: \
         {{variables: [{{name: A, values: ['{CANARY}*']}}, {{name: B}}]}}}}\n  required-settings: {{mode: enforce, settings: \
         {{variables: [{{name: A, values: [other]}}, {{name: B, from: secretKeyRef}}]}}}}\n"
    );
    std::fs::write(path("config.yaml"), config).expect("written");
    let value = format!("{CANARY}-value");
    let pod = pod(json!({"name": "web", "env": [{"name": "A", "value": value}, {"name": "B", "value": value}]}));
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"A": value, "B": value}});
    std::fs::write(path("set.yaml"), format!("{pod}\n---\n{map}\n")).expect("written");
    for command in ["check", "scan"] {
        for format in ["text", "json"] {
            let (code, out, err) =
                run(&[command, "--config", &path("config.yaml"), "--format", format, &path("set.yaml")], "");
            assert_eq!(code, Some(1), "{out}{err}");
            assert!(out.contains("forbidden-settings") && !(out + &err).contains(CANARY), "{command} {format}");
        }
    }
}
