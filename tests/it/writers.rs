//! Who writes: whom `ad-hoc-edits` and `routine-admins` find, what they leave to Kubernetes itself, and what is sent and recorded.

use portcullis::decision::{Decision, Endpoint, decide_at_once};
use portcullis::snapshot::Snapshot;
use portcullis::trail::Class;
use portcullis::webhooks::{Target, validating};
use serde_json::{Value, json};

use crate::judging::{answer, configured, with_review, world};
use crate::serve::{Serve, good_pod};

const EDITS: &str = "policies: {ad-hoc-edits: {mode: enforce, settings: {namespaces: [shop, pay], writers: {groups: [on-call], users: \
                     [jane], serviceAccounts: [{namespace: argocd, name: controller}]}}}}\n";
const ADMINS: &str = "breakGlass: {groups: [on-call]}\npolicies: {routine-admins: {mode: enforce}}\n";
const MASTERS: &[&str] = &["system:masters", "system:authenticated"];

/// The creation of an object in the namespace `shop`.
fn creation(object: &Value, user: &str, groups: &[&str]) -> Value {
    let api_version = object["apiVersion"].as_str().expect("a version");
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "one", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": {"group": group, "version": version, "kind": object["kind"]},
        "resource": {"group": group, "version": version, "resource": "any"},
        "userInfo": {"username": user, "groups": groups}, "object": object,
    }})
}

fn update(old: &Value, object: &Value, user: &str, groups: &[&str]) -> Value {
    let mut asked = creation(object, user, groups);
    asked["request"]["operation"] = json!("UPDATE");
    asked["request"]["oldObject"] = old.clone();
    asked
}

fn config_map(greeting: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "resourceVersion": "1"}, "data": {"greeting": greeting}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
}

/// A ReplicaSet that says that somebody controls it.
fn owned() -> Value {
    let pod = good_pod();
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "ownerReferences": [{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": true}]},
        "spec": {"template": {"metadata": {}, "spec": pod["spec"]}}})
}

fn decided(snapshot: &Snapshot, asked: &Value) -> Decision {
    answer(snapshot, asked, &world(""))
}

#[test]
fn the_listed_writers_and_kubernetes_itself_write_and_nobody_else_does() {
    let snapshot = configured(EDITS);
    let account = |name: &str| format!("system:serviceaccount:{name}");
    for (user, groups, may) in [
        ("jane", &[][..], true),
        ("joe", &["developers", "on-call"], true),
        (&account("argocd:controller"), &["system:serviceaccounts"], true),
        ("joe", &["developers"], false),
        ("Jane", &["On-call", "on-call "], false),
        ("", &[], false),
        ("admin", MASTERS, false),
        (&account("shop:controller"), &[], false),
        ("system:apiserver", MASTERS, true),
        ("system:kube-controller-manager", &[], true),
        (&account("kube-system:deployment-controller"), &[], true),
        (&account("kube-system:generic-garbage-collector"), &[], true),
        (&account("kube-system:operator"), &[], false),
        (&account("shop:deployment-controller"), &[], false),
        ("system:node:worker", &["system:nodes"], true),
        ("system:node:worker", &[], false),
        ("worker", &["system:nodes"], false),
    ] {
        for object in [good_pod(), owned(), service(), config_map("a")] {
            let mut asked = creation(&object, user, groups);
            let decision = decided(&snapshot, &asked);
            assert_eq!((decision.findings.is_empty(), decision.allowed), (may, may), "{user} {groups:?} {object:#}");
            asked["request"]["namespace"] = json!("elsewhere");
            assert!(decided(&snapshot, &asked).findings.is_empty(), "another namespace");
        }
    }
}

#[test]
fn what_is_not_written_is_not_judged() {
    let (edits, admins) = (configured(EDITS), configured(ADMINS));
    for snapshot in [&edits, &admins] {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "web"}});
        assert!(decided(snapshot, &creation(&lease, "admin", MASTERS)).findings.is_empty(), "of no judged kind");
        let mut asked = update(&good_pod(), &good_pod(), "admin", MASTERS);
        asked["request"]["object"]["metadata"]["labels"] = json!({"a": "b"});
        for (subresource, found) in
            [("", 1), ("resize", 1), ("ephemeralcontainers", 1), ("status", 0), ("binding", 0), ("eviction", 0)]
        {
            asked["request"]["subResource"] = json!(subresource);
            assert_eq!(decided(snapshot, &asked).findings.len(), found, "{subresource}");
        }
        let mut asked = creation(&config_map("a"), "admin", MASTERS);
        asked["request"]["operation"] = json!("DELETE");
        asked["request"]["oldObject"] = asked["request"]["object"].take();
        assert!(decided(snapshot, &asked).findings.is_empty(), "a deletion");
        let mut asked = creation(&config_map("a"), "", &[]);
        asked["request"].as_object_mut().expect("a map").remove("userInfo");
        assert!(decided(snapshot, &asked).findings.is_empty(), "nobody sends a file");
    }
}

#[test]
fn an_object_of_a_kind_with_pods_is_judged_without_a_template_too() {
    let snapshot =
        configured(&(EDITS.to_owned() + "workloads: [{group: argoproj.io, kind: Rollout, path: /spec/template}]\n"));
    let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    assert!(!decided(&snapshot, &creation(&rollout, "joe", &[])).allowed);
    assert!(decided(&snapshot, &creation(&rollout, "jane", &[])).findings.is_empty());
}

#[test]
fn each_write_is_judged_by_itself() {
    let snapshot = configured(EDITS);
    let (old, new) = (config_map("a"), config_map("b"));
    let decision = decided(&snapshot, &update(&old, &new, "joe", &[]));
    assert!(!decision.allowed && !decision.findings[0].inherited, "the old object had the same finding");
    assert!(decided(&snapshot, &update(&old, &new, "jane", &[])).findings.is_empty());

    // The template is the same, and a controller owns it.
    let mut labelled = owned();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let decision = decided(&snapshot, &update(&owned(), &labelled, "joe", &[]));
    assert!(!decision.allowed, "{:?}", decision.findings);
    assert!(decided(&snapshot, &update(&owned(), &labelled, "system:kube-controller-manager", &[])).allowed);

    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    let mut role = account.clone();
    role["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"});
    for asked in [creation(&account, "joe", &[]), update(&account, &role, "joe", &[])] {
        let decision = decided(&snapshot, &asked);
        assert_eq!((decision.findings.len(), decision.allowed), (1, true), "ServiceAccounts are never refused");
    }
}

#[test]
fn an_update_that_changes_nothing_is_no_change() {
    let snapshot = configured(EDITS);
    let with = |field: &str, value: Value| {
        let mut object = service();
        *object.pointer_mut(field).unwrap_or_else(|| panic!("{field}")) = value;
        object
    };
    let mut old = service();
    old["metadata"] = json!({"name": "web", "resourceVersion": "1", "managedFields": [], "finalizers": ["a/b"]});
    old["status"] = json!({"loadBalancer": {}});
    let changed = |field: &str, value: Value| {
        let mut object = old.clone();
        object["metadata"][field] = value;
        object
    };
    let mut reached = old.clone();
    reached["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    for (new, found) in [
        (old.clone(), 0),
        (changed("resourceVersion", json!("2")), 0),
        (changed("managedFields", json!([{"manager": "kubectl"}])), 0),
        (reached, 0),
        (changed("finalizers", json!([])), 1),
        (changed("labels", json!({"a": "b"})), 1),
        (changed("ownerReferences", json!([])), 1),
        (with("/spec/ports/0/port", json!(81)), 1),
    ] {
        assert_eq!(decided(&snapshot, &update(&old, &new, "joe", &[])).findings.len(), found, "{new:#}");
    }
    let deleted = changed("deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    let mut released = deleted.clone();
    released["metadata"]["finalizers"] = json!([]);
    assert!(decided(&snapshot, &update(&deleted, &released, "joe", &[])).findings.is_empty(), "the end of an object");
    released["metadata"]["labels"] = json!({"a": "b"});
    assert!(!decided(&snapshot, &update(&deleted, &released, "joe", &[])).allowed);
}

#[test]
fn administrators_are_the_groups_of_the_settings_and_of_break_glass() {
    let set =
        "breakGlass: {groups: [on-call]}\npolicies: {routine-admins: {mode: enforce, settings: {groups: [admins]}}}\n";
    for (configuration, groups, found) in [
        (ADMINS, MASTERS, 1),
        (ADMINS, &["on-call"][..], 1),
        (ADMINS, &["developers"], 0),
        (ADMINS, &["admins"], 0),
        (set, &["admins"], 1),
        (set, &["on-call"], 1),
        (set, MASTERS, 0),
        ("policies: {routine-admins: {mode: enforce}}\n", &["on-call"], 0),
    ] {
        let snapshot = configured(configuration);
        for (old, new) in [(None, service()), (Some(config_map("a")), config_map("b"))] {
            let asked = match &old {
                Some(old) => update(old, &new, "root", groups),
                None => creation(&new, "root", groups),
            };
            let decision = decided(&snapshot, &asked);
            assert_eq!((decision.findings.len(), decision.allowed), (found, found == 0), "{groups:?} {new:#}");
            with_review(&snapshot, &asked, |request| {
                let class = |endpoint| Class::of(request, endpoint, &decide_at_once(&snapshot, request, &world("")));
                let expected = if found == 1 { Class::Access } else { Class::Allow };
                assert_eq!(class(Endpoint::Validate), expected, "{groups:?}");
            });
        }
        for user in ["system:apiserver", "system:kube-controller-manager"] {
            assert!(decided(&snapshot, &creation(&service(), user, groups)).findings.is_empty(), "{user}");
        }
    }
    // With a reason it is what break-glass is for, and is recorded all the same.
    let mut reasoned = service();
    reasoned["metadata"]["annotations"] = json!({"portcullis.dev/reason": "INC-7"});
    let decision = decided(&configured(ADMINS), &creation(&reasoned, "root", &["on-call"]));
    assert!(decision.allowed && decision.break_glass().is_some() && decision.is_of_administrator);
}

#[test]
fn a_write_by_an_administrator_is_warned_of_by_the_profile_and_found_from_the_audit_log() {
    let server = Serve::new(crate::serve::HARDENED).start();
    let asked = creation(&config_map("a"), "root", MASTERS);
    let answer = server.post("/validate", asked.to_string());
    let response = answer.response();
    let warning = response["warnings"][0].as_str().expect("a warning");
    assert!(
        warning.starts_with("routine-admins: . must come from a user who is no administrator, and not from \"root\""),
        "{warning}"
    );
    assert_eq!((&response["allowed"], &response["auditAnnotations"]["uid"]), (&json!(true), &json!("one")));
    assert_eq!(server.event("one")["findings"][0]["policy"], "routine-admins");
}

/// The webhooks with a rule on that resource: name, `failurePolicy`, and operator and values of the selector.
fn sending(configuration: &str, resource: &str) -> Vec<(String, String, String, Vec<String>)> {
    let webhooks = validating(&configured(configuration), &Target::service()).webhooks.unwrap_or_default();
    let sends = |webhook: &k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
        let mut rules = webhook.rules.iter().flatten();
        rules.any(|rule| rule.resources.iter().flatten().any(|name| name == resource))
    };
    let row = |webhook: k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
        let selector =
            webhook.namespace_selector.and_then(|selector| selector.match_expressions?.pop()).expect("a selector");
        let name = webhook.name.trim_end_matches(".portcullis.dev").to_owned();
        (name, webhook.failure_policy.unwrap_or_default(), selector.operator, selector.values.unwrap_or_default())
    };
    webhooks.into_iter().filter(sends).map(row).collect()
}

#[test]
fn webhooks_fail_for_writers_in_the_namespaces_of_the_settings_alone() {
    let row = |name: &str, failure: &str, operator: &str, values: &[&str]| {
        (
            name.to_owned(),
            failure.to_owned(),
            operator.to_owned(),
            values.iter().map(|name| (*name).to_owned()).collect(),
        )
    };
    for resource in ["pods", "deployments", "configmaps", "roles"] {
        assert_eq!(sending(EDITS, resource), [row("enforce", "Fail", "In", &["pay", "shop"])], "{resource}");
    }
    assert_eq!(
        sending(EDITS, "serviceaccounts"),
        [row("observe-serviceaccounts", "Ignore", "In", &["pay", "shop"])],
        "they are never refused"
    );
    for resource in ["leases", "nodes", "events", "secrets", "clusterroles", "namespaces"] {
        assert_eq!(sending(EDITS, resource), [], "{resource}");
    }
    // An entry of the configuration lowers one of them.
    let lowered = format!("{EDITS}namespaces: [{{match: {{names: [pay, bank]}}, ceiling: warn, relax: true}}]\n");
    let sent = sending(&lowered, "configmaps");
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!((&*sent[0].1, &sent[0].3), ("Fail", &vec!["shop".to_owned()]));
    assert_eq!((&*sent[1].1, &sent[1].3), ("Ignore", &vec!["pay".to_owned()]));
    // What waits for the policy in `warn` waits for nobody who does not answer.
    for resource in ["configmaps", "services", "serviceaccounts"] {
        let sent = sending("policies: {routine-admins: {mode: warn}}\n", resource);
        assert!(sent.len() == 1 && sent[0].1 == "Ignore", "{resource}: {sent:?}");
    }
    let failing = |resource| sending("policies: {routine-admins: {mode: enforce}}\n", resource).remove(0).1;
    assert_eq!((failing("pods"), failing("serviceaccounts")), ("Fail".to_owned(), "Ignore".to_owned()));
    assert_eq!(
        sending("policies: {ad-hoc-edits: {mode: enforce}}\n", "pods"),
        [],
        "without settings nothing is judged"
    );
}
