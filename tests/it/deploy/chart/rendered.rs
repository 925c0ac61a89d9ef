//! The chart renders the objects of `deploy/`, and its own values files render and pass what they install.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{OVERLAYS, assert_described};
use super::{CHART, CI, ci, helm, objects, template, template_all};
use crate::golden::repository;
use crate::serve::run;

/// Labels that only the chart sets.
const LABELS: [&str; 4] =
    ["app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"];

/// The objects by kind: there is one of each.
fn by_kind(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let count = objects.len();
    let map: BTreeMap<_, _> =
        objects.into_iter().map(|object| (object["kind"].as_str().expect("a kind").to_owned(), object)).collect();
    assert_eq!(map.len(), count);
    map
}

/// Takes away the differences that are meant, each once and no other.
fn level(chart: &mut BTreeMap<String, Value>, kustomize: &mut BTreeMap<String, Value>) {
    // helm does not own the namespace that it installs into.
    kustomize.remove("Namespace").expect("a namespace");
    for (kind, object) in chart.iter_mut() {
        let labels = object["metadata"]["labels"].as_object_mut().expect("labels");
        for label in LABELS {
            assert!(labels.remove(label).is_some(), "{kind} {label}");
        }
        // Every object has the name as its label; in deploy/ only the workload does.
        assert_eq!(labels["app.kubernetes.io/name"], "portcullis");
        let theirs = kustomize.get_mut(kind).unwrap_or_else(|| panic!("deploy/ has no {kind}"));
        theirs["metadata"]["labels"] = json!(labels);
    }
    // Each has the digest of its own file.
    for side in [&mut *chart, &mut *kustomize] {
        let map = side["ConfigMap"].clone();
        for (_, object) in side.iter_mut().filter(|(kind, _)| kind.ends_with("WebhookConfiguration")) {
            assert_described(object, &map);
            object["metadata"]["annotations"] = Value::Null;
        }
    }
    // The chart's namespace may have other Pods in it.
    let selector = json!({"matchLabels": {"app.kubernetes.io/name": "portcullis"}});
    let policy = kustomize.get_mut("NetworkPolicy").expect("a NetworkPolicy");
    assert_eq!(std::mem::replace(&mut policy["spec"]["podSelector"], selector), json!({}));
    // The configuration has no comments, and its keys another order.
    for side in [chart, kustomize] {
        let file = &mut side.get_mut("ConfigMap").expect("a ConfigMap")["data"]["config.yaml"];
        *file = serde_saphyr::from_str(file.as_str().expect("a file")).expect("YAML");
    }
}

#[test]
fn the_chart_renders_the_objects_of_each_overlay() {
    for overlay in OVERLAYS {
        let name = overlay.rsplit('/').next().expect("a name");
        let mut chart = by_kind(template(&["--values", &ci(name)]));
        let mut kustomize = by_kind(super::super::rendered(overlay));
        level(&mut chart, &mut kustomize);
        assert_eq!(chart.keys().collect::<Vec<_>>(), kustomize.keys().collect::<Vec<_>>(), "{overlay}");
        for (kind, object) in &chart {
            assert_eq!(object, &kustomize[kind], "{kind} of {overlay}");
        }
    }
}

#[test]
fn the_rights_for_repairs_are_those_of_the_component() {
    let text = std::fs::read_to_string(repository("deploy/repair/rbac.yaml")).expect("RBAC");
    let without = template(&[]);
    let added = |arguments: &[&str]| {
        let with = template(arguments);
        let new = |object: &Value| !without.iter().any(|other| is_same(other, object));
        with.into_iter().filter(new).collect::<Vec<_>>()
    };
    let repair = ["--set", "configuration.webhooks.drift=repair"];
    let mut ours = added(&repair);
    for object in &mut ours {
        assert!(object["metadata"].as_object_mut().expect("metadata").remove("labels").is_some());
    }
    let mut theirs = super::super::documents(&text);
    for list in [&mut ours, &mut theirs] {
        list.sort_by_key(|object| object["kind"].to_string());
    }
    assert_eq!(ours, theirs);
    assert_eq!(added(&["--set", "configuration.webhooks.drift=report"]), [] as [Value; 0]);
    // With a certificate of others, the right to patch is there for repairs alone.
    let role = |arguments: &[&str]| by_role(template(arguments))["rules"].to_string();
    let files =
        ["--set", "certificate.mode=secret,certificate.secretName=s,certificate.caBundle=-----BEGIN CERTIFICATE-----"];
    assert!(!role(&files).contains("patch") && role(&[files, repair].concat()).contains("patch"));
}

fn by_role(objects: Vec<Value>) -> Value {
    objects.into_iter().find(|object| object["kind"] == "ClusterRole").expect("a ClusterRole")
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["kind"] == other["kind"] && one["metadata"]["name"] == other["metadata"]["name"]
}

#[test]
fn the_default_is_audit_only() {
    assert_eq!(template(&[]), template(&["--values", &ci("audit-only")]));
}

#[test]
fn every_values_file_passes_lint_and_what_it_installs() {
    for name in CI {
        let file = ci(name);
        let output = helm(&["lint", "--strict", CHART, "--values", &file]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("0 chart(s) failed"), "{name}: {said}");
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{name}: {said}");

        let dir = tempfile::tempdir().expect("a folder");
        let (all, config) = (dir.path().join("all.yaml"), dir.path().join("config.yaml"));
        let objects = template_all(&["--values", &file]);
        let written: Vec<String> = objects.iter().map(ToString::to_string).collect();
        std::fs::write(&all, written.join("\n---\n")).expect("written");
        let map = objects.iter().find(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
        std::fs::write(&config, map["data"]["config.yaml"].as_str().expect("a file")).expect("written");
        let all = all.to_str().expect("UTF-8");
        let strictest = ["check", all, "--profile", "hardened", "--cluster-from", all];
        for arguments in [strictest.as_slice(), &["check", all, "--config", config.to_str().expect("UTF-8")]] {
            let (code, out, errors) = run(arguments, "");
            assert_eq!(code, Some(0), "{name}: {out}{errors}");
        }
    }
}

#[test]
fn each_value_reaches_its_field() {
    let mut objects = template(&["--values", &ci("every-value")]);
    // The rights for repairs, which have a test of their own.
    objects.retain(|object| object["metadata"]["name"] != "portcullis-webhooks");
    let objects = by_kind(objects);
    let pod = &objects["StatefulSet"]["spec"]["template"];
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].to_string();
    for mount in ["/etc/portcullis-siem", "/etc/portcullis-key", "/etc/portcullis-certificate", "/var/lib/portcullis"] {
        assert!(mounts.contains(&format!("\"mountPath\":\"{mount}\"")), "{mounts}");
    }
    for (kind, pointer, value) in [
        ("StatefulSet", "/spec/replicas", json!(3)),
        ("StatefulSet", "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", json!("Delete")),
        ("StatefulSet", "/spec/volumeClaimTemplates/0/spec/storageClassName", json!("fast")),
        ("StatefulSet", "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", json!("5Gi")),
        ("StatefulSet", "/spec/template/metadata/annotations/example.com~1owner", json!("platform")),
        ("StatefulSet", "/spec/template/metadata/labels/example.com~1team", json!("platform")),
        ("StatefulSet", "/spec/template/spec/imagePullSecrets/0/name", json!("registry-credentials")),
        ("StatefulSet", "/spec/template/spec/nodeSelector/kubernetes.io~1os", json!("linux")),
        ("StatefulSet", "/spec/template/spec/tolerations/0/operator", json!("Exists")),
        ("StatefulSet", "/spec/template/spec/topologySpreadConstraints/0/minDomains", json!(2)),
        (
            "StatefulSet",
            "/spec/template/spec/topologySpreadConstraints/1/labelSelector/matchLabels/app.kubernetes.io~1name",
            json!("portcullis"),
        ),
        ("StatefulSet", "/spec/template/spec/containers/0/imagePullPolicy", json!("Always")),
        ("StatefulSet", "/spec/template/spec/containers/0/resources/limits/memory", json!("1Gi")),
        ("ServiceAccount", "/metadata/annotations/example.com~1role", json!("audit")),
        ("PodDisruptionBudget", "/spec/minAvailable", json!(2)),
        ("NetworkPolicy", "/spec/ingress/0/from/0/ipBlock/cidr", json!("192.0.2.0/24")),
        ("NetworkPolicy", "/spec/egress/1/ports/0/port", json!(8443)),
        ("Certificate", "/spec/issuerRef/name", json!("internal")),
        ("Certificate", "/spec/renewBefore", json!("240h")),
    ] {
        assert_eq!(objects[kind].pointer(pointer), Some(&value), "{kind} {pointer}");
    }
    assert!(pod["spec"]["affinity"]["podAntiAffinity"].is_object() && pod["spec"]["priorityClassName"].is_null());
    // The quota is for classes of the system, and an issuer of ours is not needed beside another.
    assert!(!objects.contains_key("ResourceQuota") && !objects.contains_key("Issuer"));
    let off = "podDisruptionBudget.enabled=false,networkPolicy.enabled=false,replicas=1";
    let fewer = by_kind(template(&["--set", off]));
    assert!(!fewer.contains_key("PodDisruptionBudget") && !fewer.contains_key("NetworkPolicy"));
}

#[test]
fn a_namespace_of_another_name_is_the_one_of_everything() {
    let output = helm(&["template", "gate", CHART, "--namespace", "guard", "--set", &super::image()]);
    let objects = objects(&output);
    assert!(!objects.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    for object in &objects {
        let kind = object["kind"].as_str().expect("a kind");
        let is_of_cluster = kind.starts_with("Cluster") || kind.ends_with("WebhookConfiguration");
        assert_eq!(object["metadata"]["namespace"].as_str(), (!is_of_cluster).then_some("guard"), "{kind}");
        assert!(!object.to_string().contains("\"namespace\":\"portcullis\""), "{object}");
    }
    let text = serde_json::to_string(&objects).expect("JSON");
    assert!(text.contains("--self-managed-certificate=guard/portcullis-certificate"));
}

#[test]
fn the_network_policy_follows_the_sinks() {
    let egress = |arguments: &[&str]| {
        let objects = template(arguments);
        let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").expect("a NetworkPolicy");
        policy["spec"]["egress"].as_array().expect("egress")[2..].to_vec()
    };
    let to = |cidr: &str, port: u16| json!({"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": port}]});
    let anywhere = |port: u16| {
        let blocks = json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
            {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}}]);
        json!({"to": blocks, "ports": [{"port": port}]})
    };
    assert_eq!(egress(&[]), [] as [Value; 0]);
    assert_eq!(egress(&["--values", &ci("air-gap")]), [to("192.0.2.30/32", 443), to("192.0.2.20/32", 9000)]);

    let sinks = json!([
        {"name": "out", "type": "stdout"},
        {"name": "db", "type": "postgres", "host": "2001:db8::7", "database": "audit", "user": "portcullis"},
        {"name": "db2", "type": "postgres", "host": "db.example.com", "port": 6432, "database": "audit", "user": "portcullis"},
        {"name": "bus", "type": "kafka", "brokers": ["192.0.2.8:9093", "kafka.example.com:9094", "[2001:db8::8]:9095"],
            "topic": "audit"},
        {"name": "logs", "type": "otlp", "endpoint": "http://collector.example.com:4318", "insecure": true},
        {"name": "plain", "type": "otlp", "endpoint": "http://collector.example.com", "insecure": true},
        {"name": "hidden", "type": "webhook", "urlFile": "/etc/portcullis-siem/url", "secretFile": "/etc/portcullis-siem/key"},
        {"name": "aws", "type": "s3", "bucket": "audit"},
    ]);
    let values = json!({"persistence": {"enabled": true},
        "configuration": {"trail": {"spool": {"directory": "/var/lib/portcullis/spool"}, "sinks": sinks}}});
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("values.json");
    std::fs::write(&file, values.to_string()).expect("written");
    let expected = [
        to("2001:db8::7/128", 5432),
        anywhere(6432),
        to("192.0.2.8/32", 9093),
        anywhere(9094),
        to("2001:db8::8/128", 9095),
        anywhere(4318),
        anywhere(80),
        anywhere(443),
        anywhere(443),
    ];
    assert_eq!(egress(&["--values", file.to_str().expect("UTF-8")]), expected);
}
