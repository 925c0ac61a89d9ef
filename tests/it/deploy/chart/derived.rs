//! The webhooks of the chart are those that the program derives from the configuration in the ConfigMap beside them.

use serde_json::{Value, json};

use super::super::{assert_described, documents};
use super::configurations::{CONFIGURATIONS, KINDS};
use super::{CI, ci, template};
use crate::serve::run;

/// The kinds that the program prints, in its order.
const KIND: [&str; 2] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];

/// What a rendering installs, and what the program derives: webhooks and problems.
struct Derived {
    installed: Vec<Value>,
    printed: Vec<Value>,
}

impl Derived {
    #[track_caller]
    fn of(objects: &[Value], namespace: &str) -> Self {
        let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect(kind);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, one("ConfigMap")["data"]["config.yaml"].as_str().expect("a file")).expect("written");
        let file = file.to_str().expect("UTF-8");
        let (code, out, errors) = run(&["webhooks", "--config", file, "--namespace", namespace], "");
        assert_eq!(code, Some(0), "{errors}");
        let printed = documents(&out);
        for object in printed.iter().chain(KIND.map(one)) {
            assert_described(object, one("ConfigMap"));
        }
        let webhooks = |object: &Value| object["webhooks"].clone();
        Self {
            installed: KIND.iter().map(|kind| webhooks(one(kind))).collect(),
            printed: printed.iter().map(webhooks).collect(),
        }
    }
}

/// Renders a configuration, in a namespace.
fn rendered(configuration: &str, namespace: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("values.yaml");
    // A spool needs a volume, and only the trail has one.
    std::fs::write(&file, format!("configuration: {configuration}\n")).expect("written");
    template(&["--values", file.to_str().expect("UTF-8"), "--namespace", namespace])
}

#[test]
fn every_configuration_leads_to_the_webhooks_that_the_program_prints() {
    let mut seen = std::collections::BTreeSet::new();
    for configuration in CONFIGURATIONS {
        for namespace in ["portcullis", "kube-system"] {
            let derived = Derived::of(&rendered(configuration, namespace), namespace);
            assert_eq!(derived.installed, derived.printed, "{configuration} in {namespace}");
            seen.extend(derived.installed.iter().map(Value::to_string));
        }
    }
    // They differ from each other, or they would prove little.
    assert!(seen.len() > 50, "{}", seen.len());
}

#[test]
fn every_values_file_leads_to_the_webhooks_that_the_program_prints() {
    for name in CI {
        let objects = template(&["--values", &ci(name)]);
        let mut derived = Derived::of(&objects, "portcullis");
        // The certificate of others is not in the configuration.
        for webhook in derived.installed.iter_mut().flat_map(|list| list.as_array_mut().expect("webhooks")) {
            let is_given = webhook["clientConfig"].as_object_mut().expect("an address").remove("caBundle").is_some();
            assert_eq!(is_given, name == "air-gap", "{webhook}");
        }
        assert_eq!(derived.installed, derived.printed, "{name}");
    }
}

#[test]
fn the_resource_of_a_kind_is_guessed_alike() {
    let rows =
        KINDS.split_whitespace().map(|kind| json!({"group": "example.org", "kind": kind, "path": "/spec/template"}));
    let configuration = json!({"profile": "hardened", "workloads": rows.collect::<Vec<_>>()}).to_string();
    let derived = Derived::of(&rendered(&configuration, "portcullis"), "portcullis");
    assert!(derived.printed[0].to_string().contains("\"sandboxes\""));
    assert_eq!(derived.installed, derived.printed);
}
