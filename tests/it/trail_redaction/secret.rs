//! Secrets of every form that redaction knows, and the texts around them.

use proptest::prelude::*;
use proptest::string::string_regex;

/// A secret that must not reach the trail: the canary, and the text that contains it.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) canary: String,
    pub(super) text: String,
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
pub(super) fn secret() -> impl Strategy<Value = Secret> {
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
pub(super) fn fragment() -> impl Strategy<Value = String> {
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

/// The texts before and after a secret in a value, separated from it.
pub(super) fn around() -> impl Strategy<Value = (String, String)> {
    let before = prop::sample::select(vec!["", "value ", "a\n", "x\ty\n", "(", "url ", "[", "\u{7}"]);
    let after = prop::sample::select(vec!["", " and more", "\nnext: line", ")", " ]"]);
    (before, after).prop_map(|(before, after)| (before.to_owned(), after.to_owned()))
}
