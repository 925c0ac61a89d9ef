//! Redaction: no secret of a known form reaches the trail, and what an auditor needs stays.

mod secret;

use std::fs;

use portcullis::redaction::redact;
use proptest::prelude::*;
use serde_json::{Value, json};

use self::secret::{around, fragment, secret};
use crate::golden::{names_in, repository};
use crate::serve::{AUDIT, Serve, bad_pod, good_pod, review, until};

/// As messages of policies quote a value.
fn quoted(value: &str) -> String {
    portcullis::policy::quoted(value).to_string()
}

proptest! {
    #[test]
    fn no_secret_stays_in_a_text_or_in_a_quoted_value(secret in secret(), (before, after) in around()) {
        let value = format!("{before}{}{after}", secret.text);
        for text in [value.clone(), format!("must not be {}: it is not allowed", value.escape_debug())] {
            let clean = redact(&text);
            prop_assert!(!clean.contains(&secret.canary), "{text}\n  {clean}");
        }
    }

    #[test]
    fn redaction_is_idempotent(secrets in prop::collection::vec((secret(), around()), 1..4)) {
        let text: String = secrets.iter().map(|(secret, (before, after))| format!("{before}{}{after} ", secret.text)).collect();
        for text in [text.clone(), quoted(&text)] {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once), once.as_str(), "{}", text);
        }
    }

    #[test]
    fn redaction_of_fragments_in_any_order_is_idempotent(parts in prop::collection::vec(fragment(), 1..10)) {
        let text = parts.concat();
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str(), "{}", text);
    }

    #[test]
    fn a_secret_that_is_cut_in_its_middle_goes_too(secret in secret(), shown in 14_usize..24) {
        // An e-mail address without its host is a word like any other.
        let secret_begins = secret.text.find(&secret.canary).unwrap_or_default();
        let shown = if secret.canary.contains('@') && !secret.text.contains("://") {
            secret.canary.find('@').unwrap_or_default() + 2
        } else {
            shown.min(secret.canary.len() - 1)
        };
        // 125 characters are shown of a longer value.
        let head = 125_usize.saturating_sub(secret_begins + shown);
        let value = format!("{} {}{}", "x".repeat(head.saturating_sub(1)), secret.text, "y".repeat(60));
        let text = format!("must not be {}: it is not allowed", quoted(&value));
        prop_assert!(text.contains("...\""), "{}", text);
        let clean = redact(&text);
        let seen = &secret.canary[..shown];
        prop_assert!(!clean.contains(seen), "{}\n  {}\n  {}", text, clean, seen);
    }

    #[test]
    fn what_an_auditor_needs_stays(
        digest in "[0-9a-f]{64}", repository in "[a-z]{2,8}(/[a-z0-9]{2,8}){1,3}", tag in "[a-z0-9.-]{1,12}",
        namespace in "[a-z][a-z0-9-]{1,20}[a-z]", number in 0_usize..20,
    ) {
        for text in [
            format!("must be pinned, as in \"registry.example.com:5000/{repository}:{tag}@sha256:{digest}\""),
            format!("spec.template.spec.containers[{number}].securityContext.capabilities.drop"),
            format!("none in namespace \"{namespace}\" selects it"),
            format!("system:serviceaccount:{namespace}:deployer"),
            format!("must not be \"/var/lib/{repository}\""),
            format!("must not be \"net.ipv4.{namespace}\""),
        ] {
            prop_assert_eq!(redact(&text), text.as_str());
        }
    }
}

#[test]
fn innocent_words_stay() {
    for text in [
        "bypass: true",
        "passthrough=1",
        "pass.through=1",
        "passes: 3",
        "compass=3",
        "authority: x",
        "author=alice",
        "authentication: none",
        "design: x",
        "design=x",
        "sig-network: yes",
        "signatures: 2",
        "cookies: 3",
        "session_idle_timeout=30",
        "runAsUser: 1000",
        "docker run --user 1000:1000 -u 0:0",
        "fetch -u https://example.com/web --user \"https://example.com\"",
        "task-processor-for-very-long-names-5d9f8c7b6d",
        "sk-team-backend-production-cluster",
        "pypi-mirror-of-the-whole-company",
        "hf_models_of_the_whole_company",
        "https://hooks.slack.com/docs",
        "registry.example.com/shop/auth:1.4.2",
        "registry.example.com/shop/cookie:1.4.2",
        "system:serviceaccount:auth:pass",
        "must be pinned: \"registry.example.com/auth\": it has no tag",
        "must not be \"user-pass\": it is not allowed",
        "must not be \"set-cookie\": it is not allowed",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn the_words_of_policies_stay_as_they_are() {
    let mut lines = 0;
    for policy in names_in("tests/policies") {
        let Ok(expected) = fs::read_to_string(repository(&format!("tests/policies/{policy}/expected.txt"))) else {
            continue;
        };
        for line in expected.lines() {
            for part in line.splitn(3, ": ") {
                assert_eq!(redact(part), part, "{policy}: {line}");
                lines += 1;
            }
        }
    }
    assert!(lines > 500, "{lines}");
}

/// Canaries of forms that objects and configurations may hold.
pub(crate) const CANARIES: [(&str, &str); 13] = [
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl", "eyJ"),
    ("AKIACANARYCANARYCANA", "AKIA"),
    ("ghp_canarycanarycanarycanarycanary123456", "ghp_"),
    ("Bearer canary.bearer-of-something", "canary.bearer"),
    ("https://user:canary-pass@registry.example.com/web", "canary-pass"),
    ("canary:canary-pass@nginx", "canary-pass"),
    ("shop/canary:c@nary/p,ass@nginx:1.25", "nary/p,ass"),
    ("password=canary-password", "canary-password"),
    ("DB_PASS=canary-pass-word", "canary-pass-word"),
    ("sk-ant-canary-canary-canary", "sk-ant"),
    ("curl -u admin:canary-of-curl", "canary-of-curl"),
    ("canary@people.example.com", "canary@"),
    ("123-45-6789", "123-45"),
];

/// A Pod that holds a text wherever policies quote.
pub(crate) fn pod_with(canary: &str) -> Value {
    let mut pod = bad_pod();
    pod["metadata"]["annotations"] =
        json!({format!("container.apparmor.security.beta.kubernetes.io/{canary}"): format!("localhost {canary}")});
    pod["spec"]["containers"][0]["image"] = json!(canary);
    pod["spec"]["containers"][0]["securityContext"] = json!({
        "seccompProfile": {"type": "Localhost", "localhostProfile": canary},
        "capabilities": {"add": [canary]}, "procMount": canary, "seLinuxOptions": {"type": canary, "user": canary},
        "appArmorProfile": {"type": canary, "localhostProfile": canary}});
    pod["spec"]["securityContext"] =
        json!({"sysctls": [{"name": canary, "value": canary}], "seccompProfile": {"type": canary}});
    pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": canary}}]);
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"host": canary, "port": 1}});
    pod
}

/// The trail of a server that was asked about all canaries, and whose configuration was changed to hold them.
fn trail_of(redaction: &str) -> String {
    let config = format!("{AUDIT}trail: {{file: trail.jsonl{redaction}}}\n");
    let server = Serve::new(&config).start();
    for (turn, (canary, _)) in CANARIES.iter().enumerate() {
        let padded = format!("{}{canary}", "p ".repeat(56));
        for (path, object) in
            [("/validate", pod_with(canary)), ("/mutate", pod_with(canary)), ("/validate", pod_with(&padded))]
        {
            server.post(path, review(&format!("uid-{turn}"), "default", &object).to_string()).response();
        }
    }
    server.post("/validate", review("good", "default", &good_pod()).to_string()).response();
    for (turn, (canary, _)) in CANARIES.iter().enumerate() {
        let quoted = json!(canary).to_string();
        for refused in [
            format!("profile: {quoted}\n{quoted}: 1\n"),
            format!(
                "policies: {{{quoted}: {{mode: {quoted}}}, root-users: {{mode: warn, settings: {{{quoted}: {quoted}}}}}}}\n"
            ),
            format!("namespaces:\n- match: {{names: [{quoted}]}}\n  {quoted}: {quoted}\n"),
            format!("trail: {{sinks: [{{name: {quoted}, type: {quoted}}}], sample: {quoted}, {quoted}: 2}}\n"),
        ] {
            let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
            let count = |text: &str| text.matches("\"record\":\"configuration-refused\"").count();
            let file = server.path("trail.jsonl");
            let before = count(&fs::read_to_string(&file).expect("read"));
            fs::write(server.path("config.yaml"), format!("{head}# {turn}\n{refused}")).expect("written");
            until("the refusal", || (count(&fs::read_to_string(&file).expect("read")) > before).then_some(()));
        }
    }
    let (_, _, _, folder, _) = server.stop();
    fs::read_to_string(folder.path().join("trail.jsonl")).expect("read")
}

#[test]
fn no_canary_reaches_the_trail_of_a_served_program() {
    let trail = trail_of("");
    for (_, canary) in CANARIES {
        let line = trail.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary}: {}", line.unwrap_or_default());
    }
    assert!(trail.contains("[redacted") && trail.contains("\"name\":\"alice\"") && trail.contains("developers"));
}

#[test]
fn redaction_that_is_off_keeps_what_was_quoted() {
    let trail = trail_of(", redaction: off");
    for (_, canary) in CANARIES {
        assert!(trail.contains(canary), "{canary}");
    }
    assert!(!trail.contains("[redacted"));
}
