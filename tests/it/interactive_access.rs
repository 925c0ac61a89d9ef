//! Who may enter what runs: by namespace, group, user and ServiceAccount; and what is said, sent and recorded of it.

use portcullis::decision::Decision;
use portcullis::webhooks::{Target, validating};
use serde_json::{Value, json};

use crate::bad::ask;
use crate::golden;
use crate::judging::{answer, configured, world};
use crate::serve::{Serve, review};

const SETTINGS: &str =
    "{groups: [sre], users: [jane], serviceAccounts: [{namespace: ci, name: runner}], namespaces: [sandbox]}";

fn enforcing(settings: &str) -> String {
    format!("policies: {{interactive-access: {{mode: enforce, settings: {settings}}}}}\n")
}

/// A CONNECT by somebody.
fn connect((resource, subresource, kind): (&str, &str, &str), namespace: &str, user: &str, groups: &[&str]) -> Value {
    let mut asked = review("one", namespace, &json!({"apiVersion": "v1", "kind": kind}));
    let request = &mut asked["request"];
    request["operation"] = json!("CONNECT");
    request["subResource"] = json!(subresource);
    request["kind"] = json!({"group": "", "version": "v1", "kind": kind});
    request["resource"] = json!({"group": "", "version": "v1", "resource": resource});
    request["userInfo"] = json!({"username": user, "groups": groups});
    asked
}

const CONNECTS: [(&str, &str, &str); 6] = [
    ("pods", "exec", "PodExecOptions"),
    ("pods", "attach", "PodAttachOptions"),
    ("pods", "portforward", "PodPortForwardOptions"),
    ("pods", "proxy", "PodProxyOptions"),
    ("services", "proxy", "ServiceProxyOptions"),
    ("nodes", "proxy", "NodeProxyOptions"),
];

fn decided(settings: &str, asked: &Value) -> Decision {
    answer(&configured(&enforcing(settings)), asked, &world(""))
}

#[test]
fn access_is_left_to_exact_names() {
    for connected in CONNECTS {
        for (namespace, user, groups, is_left) in [
            ("shop", "joe", &["sre"][..], true),
            ("shop", "joe", &["developers", "sre"], true),
            ("shop", "jane", &[], true),
            ("sandbox", "joe", &[], true),
            ("shop", "system:serviceaccount:ci:runner", &["system:serviceaccounts", "system:authenticated"], true),
            ("shop", "joe", &["SRE", "sre ", "sre-2", "system:authenticated"], false),
            ("shop", "system:serviceaccount:ci:runner2", &[], false),
            ("shop", "system:serviceaccount:shop:runner", &[], false),
            ("shop", "runner", &[], false),
            ("ci", "sre", &["system:masters"], false),
            ("sandbox2", "Jane", &[], false),
            ("shop", "", &[], false),
        ] {
            let asked = connect(connected, namespace, user, groups);
            let is_node = connected.0 == "nodes";
            let decision = decided(SETTINGS, &asked);
            assert_eq!(decision.findings.is_empty(), is_left, "{connected:?} {namespace} {user} {groups:?}");
            assert_eq!(decision.allowed, is_left || is_node, "{connected:?} {namespace} {user} {groups:?}");
        }
        let anybody = connect(connected, "shop", "joe", &["system:masters"]);
        assert_eq!(decided("{}", &anybody).findings.len(), 1, "nobody is named");
        assert!(!decided("{nodes: enforce}", &anybody).allowed, "{connected:?}");
    }
}

#[test]
fn only_a_new_ephemeral_container_is_an_access() {
    let container = |name: &str| json!({"name": name, "image": "busybox"});
    let pod = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| container(name)).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {
            "containers": [container("web")], "ephemeralContainers": containers}})
    };
    for (old, new, found) in [
        (&[][..], &["a"][..], &["spec.ephemeralContainers[0].name"][..]),
        (&["a"], &["a"], &[]),
        (&["a"], &["a", "b"], &["spec.ephemeralContainers[1].name"]),
        (&["a"], &["b", "a", "c"], &["spec.ephemeralContainers[0].name", "spec.ephemeralContainers[2].name"]),
    ] {
        let mut asked = review("one", "shop", &pod(new));
        asked["request"]["operation"] = json!("UPDATE");
        asked["request"]["oldObject"] = pod(old);
        for (subresource, found) in [("ephemeralcontainers", found), ("resize", &[]), ("", &[])] {
            asked["request"]["subResource"] = json!(subresource);
            let decision = decided("{groups: [sre]}", &asked);
            let places: Vec<String> = decision.findings.iter().map(|finding| finding.place.shown()).collect();
            assert_eq!(
                (places.as_slice(), decision.allowed),
                (&*found.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>(), found.is_empty())
            );
        }
    }
}

#[test]
fn options_that_cannot_be_read_are_refused_by_mode_and_recorded_as_an_error() {
    for (settings, field, value, allowed) in [
        (SETTINGS, "command", json!("sh"), false),
        (SETTINGS, "command", json!([1]), false),
        (SETTINGS, "tty", json!("yes"), false),
        (SETTINGS, "container", json!({}), false),
    ] {
        let mut server =
            Serve::new(&format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n{}", enforcing(settings)))
                .start();
        for (connected, allowed) in [(CONNECTS[0], allowed), (CONNECTS[5], true)] {
            let mut asked = connect(connected, "shop", "jane", &[]);
            let uid = connected.2;
            asked["request"]["uid"] = json!(uid);
            asked["request"]["object"][field] = value.clone();
            let outcome = ask(&mut server, "/validate", uid, asked.to_string());
            let said = (&outcome.response["allowed"], &outcome.event["decision"], outcome.event.get("access"));
            assert_eq!(said, (&json!(allowed), &json!("error"), None), "{connected:?} {field}");
        }
        let mut asked = connect(CONNECTS[0], "shop", "jane", &[]);
        asked["request"]["object"] = Value::Null;
        assert_eq!(ask(&mut server, "/validate", "one", asked.to_string()).response["allowed"], false);
    }
}

#[test]
fn an_access_is_recorded_with_its_command() {
    let server = Serve::new(crate::serve::HARDENED).start();
    let recorded = |uid: &str, connected, fields: Value| {
        let mut asked = connect(connected, "shop", "joe", &[]);
        asked["request"]["uid"] = json!(uid);
        for (field, value) in fields.as_object().expect("a map") {
            asked["request"]["object"][field] = value.clone();
        }
        let answer = server.post("/validate", asked.to_string());
        assert_eq!(answer.response()["auditAnnotations"]["uid"], uid);
        server.event(uid)["access"].clone()
    };
    let words: Vec<String> = (0..40).map(|word| format!("w{word}")).collect();
    for (uid, connected, options, access) in [
        (
            "a",
            CONNECTS[0],
            json!({"container": "web", "command": ["sh", "-c", "TOKEN=hunter2 id"], "stdin": true, "tty": true}),
            json!({"container": "web", "command": ["sh", "-c", "TOKEN=[redacted] id"], "stdin": true, "tty": true}),
        ),
        (
            "b",
            CONNECTS[0],
            json!({"command": words}),
            json!({"command": words[..32], "commandOmitted": 8, "stdin": false, "tty": false}),
        ),
        (
            "c",
            CONNECTS[1],
            json!({"container": "web", "stdin": true}),
            json!({"container": "web", "stdin": true, "tty": false}),
        ),
        ("d", CONNECTS[2], json!({"ports": [80]}), json!({"ports": [80], "stdin": false, "tty": false})),
        (
            "e",
            CONNECTS[5],
            json!({"path": "/run/a/b/c?token=hunter2"}),
            json!({"path": "/run/a/b/c?token=[redacted]", "stdin": false, "tty": false}),
        ),
    ] {
        assert_eq!(recorded(uid, connected, options), access, "{uid}");
    }
    assert!(!server.stdout().contains("hunter2") && !server.stderr().contains("hunter2"));
    let page = std::fs::read_to_string(golden::repository("deploy/trail.md")).expect("the page");
    for field in ["container", "command", "commandOmitted", "stdin", "tty", "path", "ports", "others", "othersOmitted"]
    {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
}

/// Name, `failurePolicy` and the resources of each webhook entry.
fn entries(configuration: &str) -> Vec<(String, String, Vec<String>)> {
    let webhooks = validating(&configured(configuration), &Target::service()).webhooks.unwrap_or_default();
    let entry = |webhook: k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
        let rules = webhook.rules.into_iter().flatten();
        let resources = rules.flat_map(|rule| rule.resources.into_iter().flatten()).collect();
        (webhook.name, webhook.failure_policy.unwrap_or_default(), resources)
    };
    webhooks.into_iter().map(entry).collect()
}

#[test]
fn nodes_are_in_no_webhook_that_fails_unless_that_is_set() {
    let of_nodes = |configuration: &str| -> Vec<(String, String)> {
        let entries = entries(configuration).into_iter();
        let entries = entries.filter(|(.., resources)| resources.iter().any(|name| name == "nodes/proxy"));
        entries.map(|(name, failure, _)| (name, failure)).collect()
    };
    let owned = |name: &str, failure: &str| vec![(name.to_owned(), failure.to_owned())];
    assert_eq!(of_nodes(&enforcing(SETTINGS)), owned("observe-nodes-proxy.portcullis.dev", "Ignore"));
    assert_eq!(of_nodes(&enforcing("{nodes: enforce}")), owned("enforce-nodes-proxy.portcullis.dev", "Fail"));
    let inside = "namespaces: [{match: {names: [pay]}, policies: {interactive-access: {mode: enforce}}}]\n";
    assert_eq!(of_nodes(inside), [], "what lives in no namespace is governed by the top");
    assert_eq!(of_nodes("profile: hardened\n")[0].1, "Ignore");
}

#[test]
fn every_access_is_sent_by_one_entry_in_each_namespace() {
    let raised = "profile: hardened\nceiling: audit\nnamespaces: [{match: {names: [pay]}, ceiling: enforce}]\n";
    for (configuration, ephemeral) in [
        ("profile: hardened\n".to_owned(), 1),
        (enforcing(SETTINGS), 1),
        (format!("profile: hardened\n{}", enforcing(SETTINGS)), 1),
        // Policies on Pods refuse in one namespace and record elsewhere; interactive-access refuses nowhere.
        (raised.to_owned(), 2),
    ] {
        let entries = entries(&configuration);
        assert!(entries.iter().all(|(.., resources)| !resources.is_empty()), "{entries:#?}");
        let sent = |resource: &str| {
            let all = entries.iter().flat_map(|(.., resources)| resources);
            all.filter(|name| *name == resource).count()
        };
        for resource in ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"]
        {
            assert_eq!(sent(resource), 1, "{resource}: {entries:#?}");
        }
        assert_eq!(sent("pods/ephemeralcontainers"), ephemeral, "{entries:#?}");
    }
}
