//! Redaction: no secret of a known form reaches the trail, and what an auditor needs stays.

use std::fs;

use portcullis::redaction::redact;
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Value, json};

use crate::golden::{names_in, repository};
use crate::serve::{AUDIT, Serve, bad_pod, good_pod, review, until};

/// What nobody may find in a trail: the canary, and the text that it stands in.
#[derive(Debug, Clone)]
struct Secret {
    canary: String,
    text: String,
}

/// Words that say in a name that the value is a secret.
const NAMES: [&str; 30] = [
    "password",
    "passwd",
    "DB_PASSWORD",
    "passphrase",
    "pwd",
    "secret",
    "client_secret",
    "token",
    "authToken",
    "API_KEY",
    "apikey",
    "api-key",
    "aws_access_key",
    "private-key",
    "accountKey",
    "signing_key",
    "credential",
    "credentials",
    "my.app.secret",
    "SECRET_KEY_BASE",
    "DB_PASS",
    "mysql-pass",
    "pass",
    "PGPASS",
    "auth",
    "SMTP_AUTH",
    "sessionid",
    "JSESSIONID",
    "signature",
    "X-Amz-Signature",
];

fn matching(pattern: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(pattern).expect("a pattern")
}

/// The canary is what the strategy makes; `$` in the frame stands for it.
fn framed(pattern: &str, frame: &'static str) -> BoxedStrategy<Secret> {
    let secret = move |canary: String| Secret { text: frame.replace('$', &canary), canary };
    matching(pattern).prop_map(secret).boxed()
}

/// A name and a value, in every way that one writes them.
fn named() -> BoxedStrategy<Secret> {
    // Names that hold such a word anywhere need no space after a colon.
    let holds_word =
        |name: &&str| !["pass", "auth", "session", "sig"].iter().any(|last| name.to_lowercase().contains(last));
    let words = [vec!["password", "passwd", "passphrase", "authToken"], NAMES.into_iter().filter(holds_word).collect()]
        .concat();
    let glued = ["N:$", "shop/N:$", "N:v1.0-$", "N:1.2$", "N:latest$", "system:serviceaccount:a:N:$"];
    let frames = [
        "N=$",
        "N: $",
        "N = $",
        "\"N\": \"$\"",
        "'N': '$'",
        "N=\"$ $\"",
        "N: '$ $'",
        "x;N=$",
        "--N $",
        "{N: $}",
        "system:serviceaccount:a:N=$",
        "system:serviceaccount:N: $",
        "N=v1.0-$",
        "N: 1.2$",
        "N=latest$",
    ];
    let either = prop_oneof![
        3 => (prop::sample::select(NAMES.to_vec()), prop::sample::select(frames.to_vec())),
        1 => (prop::sample::select(words), prop::sample::select(glued.to_vec())),
    ];
    (either, matching("[A-Za-z0-9#%/+,;&}\\]!^~]{3,30}[a-z]{6}"))
        .prop_map(|((name, frame), canary)| Secret {
            text: frame.replace('N', name).replace('$', &canary),
            canary: canary[canary.len() - 6..].to_owned(),
        })
        .boxed()
}

/// A secret, in every form that is recognised. A password that begins with `//` and a host is none: with the user before it,
/// it is a URL (`app://example.com/x@nginx`).
fn secret() -> impl Strategy<Value = Secret> {
    let url = regex::Regex::new(r"app://[\w.~:%@-]*([/?#]|$)").expect("a pattern");
    any_secret().prop_filter("a URL", move |secret| !url.is_match(&secret.text))
}

fn any_secret() -> impl Strategy<Value = Secret> {
    prop_oneof![
        framed("eyJ[A-Za-z0-9_-]{10,40}\\.eyJ[A-Za-z0-9_-]{10,40}\\.[A-Za-z0-9_-]{10,40}", "$"),
        framed("[A-Za-z0-9+/]{30,64}", "-----BEGIN RSA PRIVATE KEY-----\n$\n-----END RSA PRIVATE KEY-----"),
        framed("[A-Za-z0-9+/]{30,64}", "-----BEGIN PRIVATE KEY-----\n$"),
        framed("(AKIA|ASIA)[0-9A-Z]{16}", "$"),
        framed("gh[pousr]_[A-Za-z0-9]{36}", "$"),
        framed("github_pat_[A-Za-z0-9_]{40}", "$"),
        framed("glpat-[A-Za-z0-9_-]{20}", "$"),
        framed("xox[abprs]-[0-9]{10}-[A-Za-z0-9]{24}", "$"),
        framed("AIza[A-Za-z0-9_-]{35}", "$"),
        framed("[rs]k_(live|test)_[A-Za-z0-9]{24}", "$"),
        framed("npm_[A-Za-z0-9]{36}", "$"),
        framed("hvs\\.[A-Za-z0-9_-]{24}", "$"),
        framed("sk-(ant-api03|proj|svcacct)-[A-Za-z0-9_-]{40}", "$"),
        framed("sk-[A-Za-z0-9]{32,48}", "$"),
        framed("hf_[A-Za-z0-9]{34}", "$"),
        framed("dckr_pat_[A-Za-z0-9_-]{27}", "$"),
        framed("pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40}", "$"),
        framed("pypi-[A-Za-z0-9]{30}", "$"),
        framed("shpat_[0-9a-f]{32}", "$"),
        framed("hvb\\.[A-Za-z0-9_-]{40}", "$"),
        framed("ATATT3xFf[A-Za-z0-9_-]{40}", "$"),
        framed("[0-9A-Z]{58}", "AGE-SECRET-KEY-1$"),
        framed("T[0-9A-Z]{8}/B[0-9A-Z]{8}/[A-Za-z0-9]{24}", "https://hooks.slack.com/services/$"),
        framed("[A-Za-z0-9%]{20,44}", "https://account.blob.core.windows.net/c/b?sv=2022-11-02&sr=b&sig=$"),
        framed("[A-Za-z0-9%=;._ -]{20,40}[a-z]{6}", "Cookie: session=$"),
        framed("[A-Za-z0-9%]{20,40}", "Set-Cookie: first=\"1\"; session=$"),
        framed("[A-Za-z0-9!#%&*+@:^~/-]{1,12}[a-z0-9]{14}", "curl -u admin:$"),
        framed("[A-Za-z0-9 !#%&*+@:^~-]{1,12}[a-z0-9]{14}", "curl --user 'admin:$'"),
        framed("[A-Za-z0-9 !#%&*+@:^~'-]{1,12}[a-z0-9]{14}", "curl --user \"admin:$\""),
        framed("[A-Za-z0-9._~+/-]{12,40}", "Bearer $"),
        framed("[A-Za-z0-9+/]{12,40}={0,2}", "authorization: Basic $"),
        framed("[A-Za-z0-9!$%&*+@:]{6,20}", "postgres://app:$@db.example.com:5432/shop"),
        framed("[A-Za-z0-9!$%&*+@:/,;=(~-]{6,20}[a-z]{8}", "app:$@nginx"),
        framed("[A-Za-z0-9!$%&*+@:/,;=(~-]{6,20}[a-z]{8}", "registry.example.com:5000/app:$@nginx:1.25"),
        framed("[a-z][a-z0-9._%+-]{1,12}@[a-z]{2,8}(\\.[a-z]{2,6}){1,2}", "$"),
        framed("[0-9]{3}-[0-9]{2}-[0-9]{4}", "$"),
        named(),
    ]
}

/// A word that some rule looks for, something that ends a value or begins one, or a value.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "password=",
        "password: ",
        "\"token\":",
        "authorization: ",
        "Authorization: Basic ",
        "Bearer ",
        "cookie: ",
        "--pass ",
        "curl -u ",
        "-u admin:",
        "https://",
        "user:",
        "@nginx",
        "sig=",
        "auth:",
        "\"auth\":",
        "eyJ",
        "sk-",
        "AKIA",
        "ghp_",
        "a@b.example.com",
        "123-45-6789",
        "@sha256:",
        "-----BEGIN PRIVATE KEY",
        "hooks.slack.com/services/",
        "[redacted]",
        "[redacted token]",
        "system:serviceaccount:",
        "token:v1.2",
    ];
    let marks = [
        " ", "\n", "\\n", "\\t", "\"", "'", "\\\"", "\\\\", "\\", "(", ")", "[", "]", ",", ";", "=", "/", "&", "...",
        "{", "}", ":", "@",
    ];
    let either = words.iter().chain(&marks).map(|&text| text.to_owned()).collect::<Vec<_>>();
    prop_oneof![4 => prop::sample::select(either), 1 => "[a-zA-Z0-9]{1,12}", 1 => "[a-zA-Z0-9]{16,30}", 1 => "[!-~]{1,6}"]
}

/// What stands around a secret in a value, apart from it.
fn around() -> impl Strategy<Value = (String, String)> {
    let before = prop::sample::select(vec!["", "value ", "a\n", "x\ty\n", "(", "url ", "[", "\u{7}"]);
    let after = prop::sample::select(vec!["", " and more", "\nnext: line", ")", " ]"]);
    (before, after).prop_map(|(before, after)| (before.to_owned(), after.to_owned()))
}

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
