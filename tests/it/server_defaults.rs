//! Defaults set on `/mutate`, in each mode: the answer, and the event beside it.

use serde_json::{Value, json};

use crate::bad::ask;
use crate::serve::{HARDENED, Serve, good_pod, review};

/// Fields that `defaults: safe` sets in [`deployment`].
const SAFE: [(&str, &str); 3] = [
    (
        "default-seccomp-profile",
        "set spec.template.spec.securityContext.seccompProfile to {\"type\":\"RuntimeDefault\"}",
    ),
    (
        "default-no-privilege-escalation",
        "set spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation to false",
    ),
    ("default-no-token-automount", "set spec.template.spec.automountServiceAccountToken to false"),
];

/// A Deployment that says little.
fn deployment(uid: &str, namespace: &str) -> String {
    let container = json!({"name": "web", "image": "web:1", "securityContext": {"runAsUser": 7}});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}});
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}});
    let mut asked = review(uid, namespace, &object);
    asked["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    asked["request"]["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    asked.to_string()
}

/// Policy, mode and message of each finding of an event.
fn findings(event: &Value) -> Vec<(String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().expect(key).to_owned();
    let findings = event["findings"].as_array().expect("findings").iter();
    findings.map(|one| (text(one, "policy"), text(one, "mode"), text(one, "message"))).collect()
}

fn expected(mode: &str, would: &str) -> Vec<(String, String, String)> {
    let row = |(policy, message): &(&str, &str)| ((*policy).to_owned(), mode.to_owned(), format!("{would}{message}"));
    SAFE.iter().map(row).collect()
}

#[test]
fn what_is_set_is_in_the_patch_and_in_the_event() {
    let mut server = Serve::new(&format!("{HARDENED}defaults: safe\n")).start();
    let outcome = ask(&mut server, "/mutate", "set", deployment("set", "default"));
    assert_eq!((&outcome.response["allowed"], &outcome.response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!((&outcome.event["decision"], &outcome.event["endpoint"]), (&json!("patch"), &json!("mutate")));
    assert_eq!(
        outcome.event["patch"],
        json!([
            "/spec/template/spec/securityContext",
            "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
            "/spec/template/spec/automountServiceAccountToken"
        ])
    );
    assert_eq!(findings(&outcome.event), expected("enforce", ""));
    let counted = "portcullis_decisions_total{decision=\"patch\",endpoint=\"mutate\",operation=\"CREATE\"}";
    assert_eq!(server.metric(counted), Some(1.0), "{}", server.get("/metrics").1);
}

#[test]
fn below_enforce_what_would_be_set_is_recorded_and_nothing_patched() {
    for (ceiling, warnings) in [("audit", 0), ("warn", 3)] {
        let mut server = Serve::new(&format!("{HARDENED}defaults: safe\nceiling: {ceiling}\n")).start();
        let outcome = ask(&mut server, "/mutate", ceiling, deployment(ceiling, "default"));
        let response = outcome.response;
        assert_eq!(
            (&response["allowed"], &response["patch"], &response["patchType"]),
            (&json!(true), &json!(null), &json!(null))
        );
        assert_eq!(response["warnings"].as_array().map_or(0, Vec::len), warnings, "{response}");
        assert_eq!((&outcome.event["decision"], &outcome.event["patch"]), (&json!("would-patch"), &json!([])));
        assert_eq!(findings(&outcome.event), expected(ceiling, "would "));
        for finding in outcome.event["findings"].as_array().expect("findings") {
            assert_eq!(finding["configured"], "enforce", "what a ceiling lowered");
        }
    }
}

#[test]
fn each_namespace_has_its_own_defaults() {
    let config = format!(
        "{HARDENED}defaults: safe\nnamespaces:\n- {{match: {{names: [free]}}, defaults: off, relax: true}}\n\
         - {{match: {{names: [try]}}, ceiling: audit, relax: true}}\n"
    );
    let mut server = Serve::new(&config).start();
    for (namespace, decision) in [("default", "patch"), ("free", "unchanged"), ("try", "would-patch")] {
        let outcome = ask(&mut server, "/mutate", namespace, deployment(namespace, namespace));
        assert_eq!(outcome.event["decision"], decision, "{namespace}");
        assert_eq!(outcome.response["patch"].is_null(), decision != "patch", "{namespace}");
    }
}

/// A policy that asks the cluster is never passed over where nobody can be asked.
#[test]
fn without_a_cluster_it_is_unknown_who_is_isolated() {
    let mut server =
        Serve::new("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\n").start();
    let outcome = ask(&mut server, "/validate", "alone", review("alone", "default", &good_pod()).to_string());
    assert_eq!(outcome.response["allowed"], false);
    let found = findings(&outcome.event);
    assert_eq!(found.len(), 2, "one for each direction: {found:?}");
    for (policy, mode, message) in found {
        assert_eq!((policy.as_str(), mode.as_str()), ("unisolated-pods", "enforce"));
        assert!(message.contains("those of namespace \"default\" could not be read"), "{message}");
    }
}
