//! `long-lived-tokens` and `unmanaged-secrets`: what is sent, found and recorded of Secrets and of requests for tokens.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;
use portcullis::decision::Decision;
use portcullis::webhooks::{Target, validating};
use serde_json::{Value, json};

use crate::bad::CANARY;
use crate::judging::{HEAD, answer, configured, world};
use crate::serve::{HARDENED, Serve, review, run};

const TOKENS: &str = "long-lived-tokens: {mode: warn}";
const TYPE: &str = "object.?type.orValue(\"\") == \"kubernetes.io/service-account-token\"";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn secret(kind: &str, metadata: Value) -> Value {
    let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "type": kind,
        "data": {"password": CANARY}, "stringData": {CANARY: CANARY}});
    secret["metadata"].as_object_mut().expect("a map").extend(metadata.as_object().expect("a map").clone());
    secret
}

/// A review about a Secret by somebody.
fn written(operation: &str, secret: &Value, user: &str, groups: &[&str]) -> Value {
    let mut asked = review("one", "shop", secret);
    let request = &mut asked["request"];
    request["operation"] = json!(operation);
    request["kind"] = json!({"group": "", "version": "v1", "kind": "Secret"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "secrets"});
    request["userInfo"] = json!({"username": user, "groups": groups});
    if operation == "UPDATE" {
        request["oldObject"] = secret.clone();
        request["oldObject"]["metadata"]["labels"] = json!({"old": "label"});
    }
    asked
}

/// A review about a request for a token.
fn asked_for(spec: &Value) -> Value {
    let mut asked =
        review("one", "shop", &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}));
    let request = &mut asked["request"];
    request["subResource"] = json!("token");
    request["name"] = json!("web");
    request["kind"] = json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "serviceaccounts"});
    asked
}

fn decided(policies: &str, asked: &Value) -> Decision {
    answer(&configured(&format!("policies: {{{policies}}}\n")), asked, &world(""))
}

fn messages(decision: &Decision) -> Vec<String> {
    decision.findings.iter().map(|finding| format!("{}: {}", finding.place.shown(), finding.message)).collect()
}

/// The webhooks that send a resource.
fn sending(configuration: &str, resource: &str) -> Vec<ValidatingWebhook> {
    let webhooks = validating(&configured(configuration), &Target::service()).webhooks.unwrap_or_default();
    let names = |webhook: &ValidatingWebhook| -> Vec<String> {
        webhook.rules.iter().flatten().flat_map(|rule| rule.resources.clone().unwrap_or_default()).collect()
    };
    let sends = |webhook: &ValidatingWebhook| names(webhook).iter().any(|name| name == resource);
    let found: Vec<ValidatingWebhook> = webhooks.into_iter().filter(sends).collect();
    assert!(found.iter().all(|webhook| names(webhook).len() == 1), "it is alone: {found:#?}");
    found
}

/// Name, `failurePolicy` and the last condition of each.
fn told(configuration: &str, resource: &str) -> Vec<(String, String, String)> {
    let told = |webhook: ValidatingWebhook| {
        let condition = webhook.match_conditions.unwrap_or_default().pop().expect("a condition");
        let name = webhook.name.strip_suffix(".portcullis.dev").expect("its name").to_owned();
        (name, webhook.failure_policy.unwrap_or_default(), condition.expression)
    };
    sending(configuration, resource).into_iter().map(told).collect()
}

#[test]
fn secrets_are_sent_by_one_webhook_of_their_type_alone_where_that_is_enough() {
    const ALL: &str = "request.userInfo.username != \"system:apiserver\"";
    let named = "required-metadata: {mode: enforce, settings: {instances: [{name: a, kinds: [{kind: Secret}], labels: {a: '.+'}}]}}";
    let row =
        |name: &str, failure: &str, condition: &str| vec![(name.to_owned(), failure.to_owned(), condition.to_owned())];
    for (configuration, expected) in [
        ("profile: hardened\n".to_owned(), row("observe-secrets", "Ignore", TYPE)),
        ("profile: hardened\npodSecurityLabels: tighten\n".to_owned(), row("observe-secrets", "Ignore", TYPE)),
        ("policies: {long-lived-tokens: {mode: enforce}}\n".to_owned(), row("enforce-secrets", "Fail", TYPE)),
        ("policies: {unmanaged-secrets: {mode: warn}}\n".to_owned(), row("observe-secrets", "Ignore", ALL)),
        (
            format!("policies: {{{TOKENS}, unmanaged-secrets: {{mode: audit}}}}\n"),
            row("observe-secrets", "Ignore", ALL),
        ),
        (
            format!("policies: {{{TOKENS}, unmanaged-secrets: {{mode: enforce}}}}\n"),
            row("enforce-secrets", "Fail", ALL),
        ),
        (format!("policies: {{{TOKENS}, {named}}}\n"), row("enforce-secrets.core", "Fail", ALL)),
        ("profile: pss-restricted\n".to_owned(), Vec::new()),
    ] {
        assert_eq!(told(&configuration, "secrets"), expected, "{configuration}");
    }
    let raised = format!(
        "policies: {{{TOKENS}}}\nnamespaces: [{{match: {{names: [pay]}}, policies: {{unmanaged-secrets: {{mode: enforce}}}}}}]\n"
    );
    let expected = [row("enforce-secrets", "Fail", ALL), row("observe-secrets", "Ignore", ALL)].concat();
    assert_eq!(told(&raised, "secrets"), expected, "in pay, and elsewhere");
}

#[test]
fn requests_for_tokens_are_sent_alone_without_those_of_kubelets() {
    let kubelets = "!(request.userInfo.username.startsWith(\"system:node:\") && \"system:nodes\" in request.userInfo.?groups.orValue([]))";
    for (configuration, name, failure) in [
        ("profile: hardened\n", "observe-serviceaccounts-token", "Ignore"),
        (
            "profile: hardened\npolicies: {default-service-accounts: {mode: enforce}}\n",
            "observe-serviceaccounts-token",
            "Ignore",
        ),
        ("policies: {long-lived-tokens: {mode: enforce}}\n", "enforce-serviceaccounts-token", "Fail"),
    ] {
        let expected = [(name.to_owned(), failure.to_owned(), kubelets.to_owned())];
        assert_eq!(told(configuration, "serviceaccounts/token"), expected, "{configuration}");
    }
    let rules = sending("profile: hardened\n", "serviceaccounts/token").remove(0).rules.expect("rules");
    assert_eq!(
        (rules[0].api_groups.clone(), rules[0].operations.clone()),
        (Some(vec![String::new()]), Some(vec!["CREATE".to_owned()]))
    );
}

#[test]
fn a_token_ends_within_the_hours_that_are_set() {
    let of_pod = json!({"kind": "Pod", "apiVersion": "v1", "name": "web"});
    for (hours, spec, is_found) in [
        (24, json!({}), false),
        (24, json!({"expirationSeconds": null}), false),
        (24, json!({"expirationSeconds": 86_400}), false),
        (24, json!({"expirationSeconds": 86_401}), true),
        (24, json!({"expirationSeconds": i64::MAX}), true),
        (1, json!({"expirationSeconds": 3607}), false),
        (1, json!({"expirationSeconds": 3608}), true),
        (24, json!({"expirationSeconds": 3607, "boundObjectRef": of_pod}), true),
        (24, json!({"expirationSeconds": 3606, "boundObjectRef": of_pod}), false),
        // Only what is bound to a Pod is extended.
        (
            24,
            json!({"expirationSeconds": 3607, "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "web"}}),
            false,
        ),
    ] {
        let policy = format!("long-lived-tokens: {{mode: enforce, settings: {{maxHours: {hours}}}}}");
        let decision = decided(&policy, &asked_for(&spec));
        assert_eq!((decision.findings.len(), decision.allowed), (usize::from(is_found), !is_found), "{hours} {spec}");
    }
}

#[test]
fn an_update_inherits_the_token_of_an_account_and_not_that_of_another() {
    let account = |name: &str| {
        secret(
            "kubernetes.io/service-account-token",
            json!({"annotations": {"kubernetes.io/service-account.name": name}}),
        )
    };
    let policy = "long-lived-tokens: {mode: enforce}";
    assert!(!decided(policy, &written("CREATE", &account("web"), "jane", &[])).allowed);
    let mut update = written("UPDATE", &account("web"), "jane", &[]);
    let decision = decided(policy, &update);
    assert!(decision.allowed && decision.findings[0].inherited);
    update["request"]["object"] = account("admin");
    assert!(!decided(policy, &update).allowed);
    assert!(decided(policy, &written("CREATE", &secret("Opaque", json!({})), "jane", &[])).findings.is_empty());
}

#[test]
fn a_secret_is_written_by_exact_names_in_updates_too() {
    let policy = "unmanaged-secrets: {mode: enforce, settings: {users: [jane], groups: [sre], serviceAccounts: [{namespace: cert-manager, \
                  name: cert-manager}], controllers: [{namespace: store, name: store}], types: [helm.sh/release.v1]}}";
    let owner = |version: &str, kind: &str, controller: bool| json!({"ownerReferences": [{"apiVersion": version, "kind": kind, "name": "db", "uid": "1", "controller": controller}]});
    let store = "system:serviceaccount:store:store";
    let external = owner("external-secrets.io/v1beta1", "ExternalSecret", true);
    for (user, groups, kind, metadata, is_left) in [
        ("jane", &[][..], "Opaque", json!({}), true),
        ("Jane", &[], "Opaque", json!({}), false),
        ("joe", &["sre"], "Opaque", json!({}), true),
        ("joe", &["system:masters", "sre-2"], "Opaque", json!({}), false),
        ("", &[], "Opaque", json!({}), false),
        ("joe", &[], "helm.sh/release.v1", json!({}), true),
        ("joe", &[], "helm.sh/release.v11", json!({}), false),
        (
            "system:serviceaccount:cert-manager:cert-manager",
            &["system:serviceaccounts"],
            "kubernetes.io/tls",
            json!({}),
            true,
        ),
        ("system:serviceaccount:shop:cert-manager", &["system:serviceaccounts"], "kubernetes.io/tls", json!({}), false),
        ("system:kube-controller-manager", &[], "kubernetes.io/service-account-token", json!({}), true),
        ("system:serviceaccount:kube-system:generic-garbage-collector", &[], "Opaque", json!({}), true),
        ("system:serviceaccount:kube-system:default", &[], "Opaque", json!({}), false),
        (store, &[], "Opaque", json!({}), false),
        (store, &[], "Opaque", external.clone(), true),
        (store, &[], "Opaque", owner("bitnami.com/v1alpha1", "SealedSecret", true), true),
        (store, &[], "Opaque", owner("external-secrets.io/v1", "ExternalSecret", false), false),
        (store, &[], "Opaque", owner("external-secrets.io.example.com/v1", "ExternalSecret", true), false),
        (store, &[], "Opaque", owner("v1", "ExternalSecret", true), false),
        (store, &[], "Opaque", owner("external-secrets.io/v1", "SealedSecret", true), false),
        ("joe", &[], "Opaque", external, false),
    ] {
        let secret = secret(kind, metadata);
        for operation in ["CREATE", "UPDATE"] {
            let decision = decided(policy, &written(operation, &secret, user, groups));
            assert_eq!(decision.allowed, is_left, "{operation} {user} {kind}: {:?}", messages(&decision));
            assert!(decision.findings.iter().all(|finding| !finding.inherited), "{operation} {user}");
        }
    }
    let nobody = "unmanaged-secrets: {mode: enforce}";
    assert!(!decided(nobody, &written("CREATE", &secret("Opaque", json!({})), "jane", &["system:masters"])).allowed);
}

#[test]
fn an_update_that_changes_nothing_or_lets_a_secret_end_is_nobodys_write() {
    let policy = "unmanaged-secrets: {mode: enforce}";
    let mut asked = written("UPDATE", &secret("Opaque", json!({"finalizers": ["example.com/a"]})), "joe", &[]);
    asked["request"]["oldObject"] = asked["request"]["object"].clone();
    assert!(decided(policy, &asked).findings.is_empty(), "it changes nothing");
    asked["request"]["object"]["metadata"]["finalizers"] = json!([]);
    assert!(!decided(policy, &asked).allowed, "it is not being deleted");
    for object in ["object", "oldObject"] {
        asked["request"][object]["metadata"]["deletionTimestamp"] = "2027-01-01T00:00:00Z".into();
    }
    assert!(decided(policy, &asked).findings.is_empty(), "it is");
}

#[test]
fn the_copy_that_kubectl_keeps_is_a_warning_whoever_writes_it() {
    for (copy, is_found) in [
        (format!(r#"{{"data":{{"a":"{CANARY}"}}}}"#), true),
        (format!(r#"{{"stringData":{{"a":"{CANARY}"}},"data":{{}}}}"#), true),
        (format!(r#"{{"\u0064ata":{{"a":"{CANARY}"}}}}"#), true),
        (format!(r#"{{"data":{{"a":"{CANARY}"}},"data":{{}}}}"#), true),
        (r#"{"data":{},"stringData":null,"type":"Opaque"}"#.to_owned(), false),
        (r#"{"metadata":{"data":{"a":"b"}}}"#.to_owned(), false),
        (CANARY.to_owned(), false),
        ("[".repeat(100_000), false),
        (String::new(), false),
    ] {
        let secret = secret("Opaque", json!({"annotations": {LAST_APPLIED: copy}}));
        for operation in ["CREATE", "UPDATE"] {
            let decision = decided(
                "unmanaged-secrets: {mode: enforce, settings: {users: [jane]}}",
                &written(operation, &secret, "jane", &[]),
            );
            let expected = format!("metadata.annotations[{LAST_APPLIED}]: must not hold the values of the Secret");
            let expected: Vec<String> = is_found.then_some(expected).into_iter().collect();
            assert_eq!((messages(&decision), decision.allowed), (expected, true));
        }
    }
}

#[test]
fn a_record_has_no_digest_of_a_secret_and_tells_which_token_was_asked_for() {
    let server = Serve::new(HARDENED).start();
    let recorded = |uid: &str, mut asked: Value| {
        asked["request"]["uid"] = json!(uid);
        server.post("/validate", asked.to_string());
        server.event(uid)
    };
    let of_secret =
        recorded("a", written("CREATE", &secret("kubernetes.io/service-account-token", json!({})), "jane", &[]));
    assert_eq!((&of_secret["object"], &of_secret["decision"]), (&Value::Null, &json!("warn")), "{of_secret:#}");
    let mut broken = written("CREATE", &secret("Opaque", json!({})), "jane", &[]);
    broken["request"]["object"]["metadata"]["annotations"] = json!({"a": 7});
    let broken = recorded("b", broken);
    assert_eq!((&broken["object"], &broken["decision"]), (&Value::Null, &json!("error")), "{broken:#}");
    let spec = json!({"expirationSeconds": 172_800, "audiences": ["vault", "a", "b", "c", "d"],
        "boundObjectRef": {"kind": "Pod", "name": "web"}});
    let of_token = recorded("c", asked_for(&spec));
    let access = json!({"expirationSeconds": 172_800, "audiences": ["vault", "a", "b", "c"], "boundTo": "Pod/web"});
    assert_eq!((&of_token["access"], &of_token["decision"]), (&access, &json!("warn")), "{of_token:#}");
    assert!(of_token["object"].is_string(), "{of_token:#}");
    assert_eq!(recorded("d", asked_for(&json!({})))["access"], json!({"expirationSeconds": 3600}));
    assert!(!server.stdout().contains(CANARY) && !server.stderr().contains(CANARY));
    let page = std::fs::read_to_string(crate::golden::repository("deploy/trail.md")).expect("the page");
    for field in ["expirationSeconds", "audiences", "boundTo"] {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
}

#[test]
fn a_check_of_files_says_the_type_and_the_copy_and_no_value() {
    let copy = json!({"data": {"password": CANARY}}).to_string();
    let secret = secret("kubernetes.io/service-account-token", json!({"annotations": {LAST_APPLIED: copy}}));
    let folder = tempfile::TempDir::new().expect("a folder");
    let config = folder.path().join("portcullis.yaml");
    let policies = "policies: {long-lived-tokens: {mode: enforce}, unmanaged-secrets: {mode: enforce}}\n";
    std::fs::write(&config, format!("{HEAD}{policies}")).expect("written");
    let config = config.to_str().expect("UTF-8");
    for format in ["text", "json"] {
        let (code, stdout, stderr) = run(&["check", "-", "--config", config, "--format", format], &secret.to_string());
        assert_eq!(code, Some(1), "{format}: {stdout}{stderr}");
        assert!(
            stdout.contains("long-lived-tokens") && stdout.contains("must not hold the values"),
            "{format}: {stdout}"
        );
        assert!(!stdout.contains("must be written by"), "nobody is named in a file: {stdout}");
        assert!(!stdout.contains(CANARY) && !stderr.contains(CANARY), "{format}: {stdout}{stderr}");
    }
}
