//! Tables of the traps.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use serde_json::{Value, json};

use super::{Critical, Needs, Reached, Seen, needed, traps};
use crate::config::compile_at;
use crate::snapshot::Snapshot;
use crate::webhooks::Target;

fn snapshot(config: &str) -> Snapshot {
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n";
    let calm = "namespaces: [{match: {names: [kube-system]}, ceiling: audit, relax: true}]\n";
    let calm = if config.contains("namespaces:") { "" } else { calm };
    compile_at("test", &format!("{head}{calm}{config}"), None, now()).expect("compiles").snapshot
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().expect("a time")
}

fn parsed<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).expect("an object")
}

fn pod(name: &str, is_ready: bool) -> Value {
    json!({"metadata": {"name": name, "labels": {"app.kubernetes.io/name": "portcullis"}},
        "status": {"conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]}})
}

/// A change that sets a trap.
type Change = Box<dyn Fn(&mut Seen)>;

/// A cluster without a trap.
fn clean() -> Seen {
    let labels = json!({"app.kubernetes.io/name": "portcullis"});
    Seen {
        target: Target::service(),
        now: now(),
        version: Some((1, 37)),
        validating: Vec::new(),
        mutating: Vec::new(),
        namespaces: vec![
            parsed(json!({"metadata": {"name": "shop"}})),
            parsed(json!({"metadata": {"name": "portcullis"}})),
        ],
        deployments: vec![parsed(json!({"metadata": {"name": "portcullis"}, "spec": {"replicas": 2,
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}))],
        stateful_sets: Vec::new(),
        pods: vec![parsed(pod("one", true)), parsed(pod("two", true))],
        budgets: vec![parsed(
            json!({"metadata": {"name": "portcullis"}, "spec": {"selector": {"matchLabels": labels}}}),
        )],
        service: Some(parsed(json!({"metadata": {"name": "portcullis"}, "spec": {"ports": [{"port": 443}]}}))),
        endpoints: vec![parsed(json!({"metadata": {"name": "portcullis-1"}, "addressType": "IPv4", "ports": [],
            "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}}]}))],
        reached: Reached::Answered,
        denied: Vec::new(),
        critical: Vec::new(),
        missing: Vec::new(),
    }
}

fn rule(group: &str, resource: &str) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(vec!["*".to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        scope: None,
    }
}

fn validating(name: &str, webhook: ValidatingWebhook) -> ValidatingWebhookConfiguration {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ValidatingWebhookConfiguration { metadata, webhooks: Some(vec![webhook]) }
}

fn mutating(name: &str, timeout: Option<i32>, rules: Vec<RuleWithOperations>) -> MutatingWebhookConfiguration {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    // It leaves our namespace out.
    let requirement = LabelSelectorRequirement {
        key: "kubernetes.io/metadata.name".to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec!["portcullis".to_owned()]),
    };
    let selector = LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() };
    let webhook = MutatingWebhook {
        name: "inject.example.com".to_owned(),
        rules: Some(rules),
        timeout_seconds: timeout,
        namespace_selector: Some(selector),
        ..MutatingWebhook::default()
    };
    MutatingWebhookConfiguration { metadata, webhooks: Some(vec![webhook]) }
}

fn ids(seen: &Seen, config: &str) -> Vec<&'static str> {
    traps(seen, &snapshot(config)).into_iter().map(|trap| trap.id).collect()
}

#[test]
fn a_clean_cluster_has_no_trap() {
    assert_eq!(ids(&clean(), ""), [""; 0]);
}

#[test]
fn each_trap_is_named_alone() {
    let pods = || ValidatingWebhook {
        name: "x".to_owned(),
        rules: Some(vec![rule("", "pods")]),
        ..ValidatingWebhook::default()
    };
    let critical =
        || Critical { namespace: "cni".to_owned(), name: "agent".to_owned(), refused_by: vec!["host-namespaces"] };
    let table: Vec<(&str, Change)> = vec![
        ("old-api-server", Box::new(|seen| seen.version = Some((1, 33)))),
        ("node-critical-pods", Box::new(move |seen| seen.critical = vec![critical()])),
        ("not-installed", Box::new(|seen| (seen.deployments, seen.pods) = (Vec::new(), Vec::new()))),
        ("single-replica", Box::new(|seen| seen.deployments[0].spec.replicas = Some(1))),
        ("single-replica", Box::new(|seen| seen.pods[1] = parsed(pod("two", false)))),
        ("no-disruption-budget", Box::new(|seen| seen.budgets.clear())),
        ("no-service", Box::new(|seen| seen.service = None)),
        ("no-service", Box::new(|seen| seen.service = Some(parsed(json!({"spec": {"ports": [{"port": 8443}]}}))))),
        ("no-endpoint", Box::new(|seen| seen.endpoints.clear())),
        ("unreachable-service", Box::new(|seen| seen.reached = Reached::Failed("status 503".to_owned()))),
        ("webhook-on-our-pods", Box::new(move |seen| seen.validating = vec![validating("gate", pods())])),
        (
            "other-mutating-webhook",
            Box::new(|seen| seen.mutating = vec![mutating("mesh", Some(5), vec![rule("", "pods")])]),
        ),
        ("missing-right", Box::new(|seen| seen.denied = needed(Needs::default())[..1].to_vec())),
        ("missing-kind", Box::new(|seen| seen.missing = vec!["a.b Rollout".to_owned()])),
    ];
    for (id, set) in table {
        let mut seen = clean();
        set(&mut seen);
        assert_eq!(ids(&seen, ""), [id]);
        // An audit-only configuration locks nobody out.
        let harmless = ["old-api-server", "missing-right", "missing-kind"].contains(&id);
        assert_eq!(ids(&seen, "ceiling: audit\n"), if harmless { vec![id] } else { Vec::new() });
    }
}

#[test]
fn what_the_configuration_itself_sets_is_named() {
    let seen = clean();
    assert_eq!(ids(&seen, "namespaces: []\n"), ["enforced-system-namespace"]);
    let exception = |end: &str| {
        format!(
            "exceptions: [{{name: old, policies: [root-users], match: {{namespace: shop, kind: Pod, name: web}}, \
             reason: old, owner: shop, expires: {end}}}]\n"
        )
    };
    assert_eq!(ids(&seen, &exception("2026-06-08T00:00:00Z")), ["ending-exception"]);
    assert_eq!(ids(&seen, &exception("2026-06-08T00:00:01Z")), [""; 0]);
}

#[test]
fn timeouts_add_up_one_by_one_and_the_longest_of_those_at_once() {
    let mut seen = clean();
    let webhook = |timeout| ValidatingWebhook {
        name: "x".to_owned(),
        rules: Some(vec![rule("*", "*")]),
        failure_policy: Some("Ignore".to_owned()),
        timeout_seconds: timeout,
        ..ValidatingWebhook::default()
    };
    seen.validating = vec![validating("one", webhook(Some(14))), validating("two", webhook(Some(13)))];
    seen.mutating = vec![mutating("a", Some(10), vec![rule("", "pods")]), mutating("b", None, vec![rule("*", "*/*")])];
    // 10 + 10 + 14: not over 34. Our own mutators do not act here.
    assert!(!ids(&seen, "").contains(&"webhook-timeouts"), "{:?}", ids(&seen, ""));
    // Ours takes 1 s, and once more.
    assert!(ids(&seen, "defaults: safe\n").contains(&"webhook-timeouts"));
    seen.mutating.pop();
    assert!(!ids(&seen, "defaults: safe\n").contains(&"webhook-timeouts"));
}

#[test]
fn a_webhook_that_leaves_our_pods_out_is_no_trap() {
    let selecting = |namespaces: Value, objects: Value| ValidatingWebhook {
        name: "x".to_owned(),
        rules: Some(vec![rule("", "pods")]),
        namespace_selector: Some(parsed(namespaces)),
        object_selector: Some(parsed(objects)),
        ..ValidatingWebhook::default()
    };
    let of = |operator: &str| json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": operator, "values": ["portcullis"]}]});
    for (webhook, is_trap) in [
        (selecting(of("NotIn"), json!({})), false),
        (selecting(of("In"), json!({})), true),
        (selecting(json!({}), json!({"matchLabels": {"app.kubernetes.io/name": "other"}})), false),
        (selecting(json!({}), json!({"matchLabels": {"app.kubernetes.io/name": "portcullis"}})), true),
        (ValidatingWebhook { failure_policy: Some("Ignore".to_owned()), ..selecting(of("In"), json!({})) }, false),
    ] {
        let mut seen = clean();
        seen.validating = vec![validating("gate", webhook)];
        assert_eq!(ids(&seen, "") == ["webhook-on-our-pods"], is_trap, "{:?}", seen.validating);
    }
}

#[test]
fn our_own_webhooks_lead_to_our_service_and_have_a_certificate_to_trust() {
    let webhook = |service: &str, bundle: &str| {
        parsed::<ValidatingWebhook>(
            json!({"name": "enforce.portcullis.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": "portcullis", "name": service, "port": 443}, "caBundle": bundle}}),
        )
    };
    for (service, bundle, expected) in [
        ("portcullis", "cGVt", vec![]),
        ("other", "cGVt", vec!["webhooks-elsewhere"]),
        ("portcullis", "", vec!["untrusted-certificate"]),
    ] {
        let mut seen = clean();
        seen.validating = vec![validating("portcullis", webhook(service, bundle))];
        assert_eq!(ids(&seen, ""), expected);
    }
}
