//! Redacts secrets in every text before it leaves the program: responses, records, logs and command-line output.
//!
//! Messages, paths (keys of annotations) and errors quote user input. Text that looks like a secret, a token, an
//! authorization header, an e-mail address or a US social security number is replaced by a word for it. Secrets that look
//! like none of these are not recognised: messages quote as little as possible to begin with.

mod command;
mod credentials;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

pub(crate) use command::command;
pub(crate) use credentials::shortened;

/// One step of a redaction.
enum Rule {
    /// A pattern and the replacement of its matches; the group `$k` is kept. A match with a group `whole` stays as it is.
    Pattern {
        found: Regex,
        instead: &'static str,
        /// Matches every text that the pattern can match, and is quicker to tell.
        holds: Option<Regex>,
    },
    /// User and password in an image reference, or in a URL without a scheme.
    Credentials,
}

/// Words that, anywhere in a name, mark its value as a secret.
const NAME: &str = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|private|account|signing|encryption|client|shared)[_-]?key|credentials?)";
/// Words that do so only at the end of a name: harmless ones begin or end like them (`bypass`, `author`).
const LAST: &str = r"(?:(?:admin|db|pg|require|root|user)?pass|auth|cookie|signature|j?session[_-]?id|phpsessid)";
/// Start of a word, which may follow the letter of an escape.
const EDGE: &str = r"(?:^|[^A-Za-z]|\\[nrt0])";
/// Space, escaped or not.
const SPACE: &str = r"(?:\s|\\[nrt])";
/// A value in quotation marks: as they are, escaped once or more often, or cut off.
const QUOTED: &str = r#""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\\"(?:[^"\\]|\\{3}["\\]|\\{2}[^"\\]|\\[^"\\])*(?:\\")?|\\'(?:[^'\\]|\\{3}['\\]|\\{2}[^'\\]|\\[^'\\])*(?:\\')?|\\{2,}["'][^"']*"#;
/// A value without quotation marks: everything to the next space, quotation mark or escaped line break, except closing
/// brackets and separators at its end.
const BARE: &str = r#"(?:[^\s"'\\\]},;&]|[\]},;&]+[^\s"'\\\]},;&]|\\[^"'nrt])+"#;
/// The tag of an image that names a version or a branch.
const TAG: &str = r"(?:v?[0-9]{1,4}(?:\.[0-9]{1,6}){1,3}(?:-(?:alpha|beta|rc|alpine|debian|slim|distroless)[\w.]{0,12})?|latest|stable|main|master|edge|nightly)";
/// The digest of an image.
const DIGEST: &str = "@sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})";
/// End of a word that is kept, as it is of a bare value.
const END: &str = r#"(?:[\]},;)]*(?:[\s"']|\\["'nrt]|$))"#;
/// A value that is redacted already.
const DONE: &str = r"\[redacted[a-z -]*\]";

/// In the order in which they are applied: the more telling first. A value may be escaped, so that the character before a
/// secret may be the letter of an escape, and it may be cut off (`...`).
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let value = format!("(?:{DONE}|{QUOTED}|{BARE})");
    // Headers: to the end of the line, over what is quoted in it.
    let header = r#"(?i)(?P<k>authorization\\*["']?\s*[=:]\s*\\*["']?|cookie(?:\s*:\s+\\*["']?|\\*["']?\s*:\s*\\*["']|:[\w.-]+=))(?:="[^\s"'\\,;:)}\]][^"'\\\r\n]*"?|=\\+"[^\s"'\\,;:)}\]][^"'\\\r\n]*(?:\\+")?|\\*'\w|[^"'\\\r\n]|\\[^"'nr])+"#;
    // Names that hold such a word and are followed by something else: a service account's namespace, an image with its tag, and
    // a quoted value with a sentence of our own.
    let whole = format!(
        r#"system:serviceaccounts?:[a-z0-9-]+(?::[a-z0-9.-]+)?{END}|(?:[\w.:-]+/)+[\w.-]*{NAME}[\w.-]*:[\w.-]+{DIGEST}{END}|[\w.-]*{NAME}[\w.-]*(?::{TAG}(?:{DIGEST})?{END}|\\*["']: it )"#
    );
    let named = format!(r#"(?i)(?P<whole>{whole})|(?P<k>[\w.-]*{NAME}[\w-]*\\*["']?\s*[=:]{SPACE}*){value}"#);
    // `auth:1.4` is an image, `"auth": it` a name and what is said of it.
    let word = format!("(?:{EDGE}{LAST}|(?-i:[a-z]Pass))");
    let last = format!(
        r#"(?i)(?:(?P<k>{word}(?:\\*["']?\s*=|\s*:{SPACE}){SPACE}*|{EDGE}sig=){value}|(?P<q>{word}\\*["']?\s*:{SPACE}*)(?:{QUOTED}))"#
    );
    let option = format!(r"(?i)(?P<k>--(?:[\w.-]*{NAME}[\w-]*|(?:[\w.-]*[_.-])?{LAST}){SPACE}+){value}");
    // Of `curl` and others; `-u 1000:1000` are numbers of a user and a group, `-u https://` is an address.
    let name = r#"[a-z_][^\s:"'\\]*:"#;
    let option_user = format!(r"(?:^|[^\w-]|\\[nrt0])(?:-u|--(?:proxy-)?user)(?:=|{SPACE})+");
    let schemes = credentials::SCHEMES.join("|");
    let user = format!(
        r#"(?i)(?P<whole>{option_user}\\*["']?(?:{schemes})://)|(?P<k>{option_user})(?:(?P<d>\\*"{name})(?:[^"\\]|\\+[^"\\])+|(?P<s>\\*'{name})(?:[^'\\]|\\+[^'\\])+|(?P<n>{name})(?:{DONE}|[^\s"'\\](?:[^\s"'\\]|\\[^"'nrt])*))"#
    );
    // Prefixes that words end in too, or names begin with.
    let apart = format!(
        r"(?P<k>{EDGE})(?:(?:sk|pypi)-(?:\w{{20,}}[\w-]*|\w*\.\.\.)|sk-(?:ant|proj|svcacct|or-v1)-(?:[\w-]{{10,}}|[\w-]*\.\.\.)|hf_(?:[A-Za-z0-9]{{20,}}|[A-Za-z0-9]*\.\.\.))"
    );
    let rules = [
        // PEM, whole or cut off.
        pattern(
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
            "[redacted key]",
        ),
        pattern(header, "$k[redacted]"),
        // Few texts hold such a word.
        guarded(&named, "$k[redacted]", &format!("(?i){NAME}")),
        pattern(&last, "$k$q[redacted]"),
        pattern(&option, "$k[redacted]"),
        pattern(&user, "$k$d$s$n[redacted]"),
        // JSON Web Tokens (RFC 7519).
        pattern(r"eyJ(?:[A-Za-z0-9_-]{6,}(?:\.{1,2}[A-Za-z0-9_-]+){0,4}|[A-Za-z0-9_-]*\.\.\.)", "[redacted token]"),
        // Tokens by the prefixes that their issuers give them.
        pattern(
            r"(?:AKIA|ASIA)(?:[0-9A-Z]{12,}|[0-9A-Z]*\.\.\.)|(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|[rs]k_(?:live|test)_|npm_|ya29\.|hv[bs]\.|dop_v1_|dckr_pat_|pypi-AgE|shpat_|ATATT|AGE-SECRET-KEY-1)(?:[\w-]{10,}|[\w-]*\.\.\.)|SG\.(?:[\w-]{16,}(?:\.[\w-]+)?|[\w-]*\.\.\.)",
            "[redacted token]",
        ),
        pattern(&apart, "$k[redacted token]"),
        pattern(r"(?P<k>hooks\.slack\.com/(?:services|triggers|workflows)/)[\w/-]+", "$k[redacted]"),
        // Credentials schemes (RFC 9110, 11.4).
        pattern(r"(?i)(?P<k>(?:bearer|basic|negotiate)\s+)[A-Za-z0-9+/=._~-]{4,}", "$k[redacted]"),
        // The user information of a URL (RFC 3986, 3.2.1).
        pattern(
            r#"(?P<k>[A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#\s"':@]*[:@][^/?#\s"']*\.\.\.|[^/?#\s"']+(?P<e>@))"#,
            "$k[redacted]$e",
        ),
        Some(Rule::Credentials),
        pattern(r"(?P<k>\\[nrt]|)[\w.%+-]+@(?:(?:[\w-]+\.)+[\w-]{2,}|[\w.-]*\.\.\.)", "$k[redacted e-mail]"),
        pattern(
            r#"(?P<k>^|[^0-9])[0-9]{3}-(?:[0-9]{2}-[0-9]{4}|[0-9]{0,2}(?:-[0-9]{0,3})?(?P<e>\.\.\.(?:["'\\]|\s|$)))"#,
            "$k[redacted number]$e",
        ),
    ];
    rules.into_iter().flatten().collect()
});

/// The rule of a pattern; `None` if it does not compile.
fn pattern(found: &str, instead: &'static str) -> Option<Rule> {
    Some(Rule::Pattern { found: Regex::new(found).ok()?, instead, holds: None })
}

/// The same for texts that `holds` matches alone.
fn guarded(found: &str, instead: &'static str, holds: &str) -> Option<Rule> {
    Some(Rule::Pattern { found: Regex::new(found).ok()?, instead, holds: Some(Regex::new(holds).ok()?) })
}

/// Matches every text that some rule might change, in one quick pass. Other texts are returned as they are.
static SUSPECT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = [
        "[:=@]|--|\\.\\.\\.|[0-9]{3}-|private key|bearer|basic|negotiate|hooks\\.slack",
        "|eyj|akia|asia|gh[pousr]_|github_pat_|glpat-|xox|aiza|k_live_|k_test_|npm_|ya29\\.|hv[bs]\\.|dop_v1_|dckr_pat_",
        "|pypi-|shpat_|atatt|age-secret-|sg\\.|sk-|hf_|-u\\s",
    ];
    Regex::new(&format!("(?i-u){}", parts.concat())).ok()
});

/// Passes after which a text has to stay the same. Two are enough for most: one that redacts, and one that finds no more.
const PASSES: usize = 8;
/// Replacement for a text that every pass changed.
const UNSETTLED: &str = "[redacted]";

/// The text without secrets.
///
/// A replaced secret may uncover another one beside it, so the rules are applied until they change nothing. That makes
/// the function idempotent: a text that was redacted stays as it is. A text that has not settled after a fixed number of
/// passes is replaced whole.
pub fn redact(text: &str) -> Cow<'_, str> {
    if SUSPECT.as_ref().is_some_and(|suspect| !suspect.is_match(text)) {
        return Cow::Borrowed(text);
    }
    let mut clean = pass(text);
    for _ in 1..PASSES {
        let Cow::Owned(before) = &clean else { return clean };
        let after = pass(before);
        if after == before.as_str() {
            return clean;
        }
        clean = Cow::Owned(after.into_owned());
    }
    Cow::Borrowed(UNSETTLED)
}

/// The text after every rule was applied once.
fn pass(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for rule in RULES.iter() {
        let clean = match rule {
            Rule::Pattern { holds: Some(holds), .. } if !holds.is_match(&text) => continue,
            Rule::Pattern { found, instead, .. } => replaced(found, instead, &text),
            Rule::Credentials => credentials::redact(&text),
        };
        match clean {
            Cow::Owned(clean) if clean != text => text = Cow::Owned(clean),
            _ => {}
        }
    }
    text
}

/// The text with every match replaced that has no group `whole`.
fn replaced<'t>(found: &Regex, instead: &str, text: &'t str) -> Cow<'t, str> {
    found.replace_all(text, |found: &Captures<'_>| match found.name("whole") {
        Some(whole) => whole.as_str().to_owned(),
        None => {
            let mut clean = String::new();
            found.expand(instead, &mut clean);
            clean
        }
    })
}

/// The text without secrets, unless redaction is off.
pub(crate) fn clean(text: &str, redacts: bool) -> Cow<'_, str> {
    if redacts { redact(text) } else { Cow::Borrowed(text) }
}

/// Compiles the patterns, which takes a while: the first decision should not wait for it.
pub(crate) fn prepare() {
    LazyLock::force(&RULES);
    LazyLock::force(&SUSPECT);
    command::prepare();
}

#[cfg(test)]
mod tests {
    use super::{RULES, Rule, SUSPECT, redact};

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(RULES.len(), 15);
        assert!(SUSPECT.is_some());
        assert_eq!(RULES.iter().filter(|rule| matches!(rule, Rule::Pattern { holds: Some(_), .. })).count(), 1);
    }

    #[test]
    fn secrets_go_and_what_an_auditor_needs_stays() {
        for (text, expected) in [
            ("must not be \"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\"", "must not be \"[redacted token]\""),
            ("must not be \"eyJhbGciOiJIUzI1...\"", "must not be \"[redacted token]...\""),
            ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
            ("\"Basic dXNlcjpwYXNz\"", "\"Basic [redacted]\""),
            ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=[redacted] next"),
            ("{\\\"apiKey\\\": \\\"abc 123\\\"}", "{\\\"apiKey\\\": [redacted]}"),
            ("password: \"two words\", kept", "password: [redacted], kept"),
            ("DB_PASS=hunter2 next", "DB_PASS=[redacted] next"),
            ("MYSQL_PASS: hunter2, x", "MYSQL_PASS: [redacted], x"),
            ("{\\\"auth\\\":\\\"hunter2\\\"}", "{\\\"auth\\\":[redacted]}"),
            ("value\\npass=hunter2\\nnext", "value\\npass=[redacted]\\nnext"),
            ("run --pass hunter2 --port 1", "run --pass [redacted] --port 1"),
            ("https://a.example.com/b?sv=1&sig=aB%2B3%3D \"x\"", "https://a.example.com/b?sv=1&sig=[redacted] \"x\""),
            ("Cookie: a=\"b\"; session=hunter2\nHost: x", "Cookie: [redacted]\nHost: x"),
            ("curl -u admin:hunter2 https://x", "curl -u admin:[redacted] https://x"),
            ("curl --user 'admin:two words' x", "curl --user 'admin:[redacted]' x"),
            ("curl -u \\\"admin:it\\'s\\\" x", "curl -u \\\"admin:[redacted]\\\" x"),
            ("https://hooks.slack.com/services/T0/B0/abc, x", "https://hooks.slack.com/services/[redacted], x"),
            ("login --password hunter2 --user web", "login --password [redacted] --user web"),
            ("postgres://app:s3cret@db.example.com/x", "postgres://[redacted]@db.example.com/x"),
            ("user:hunter2@nginx", "[redacted]@nginx"),
            ("must be pinned: \"shop/user:hunter2@nginx:1.25\"", "must be pinned: \"shop/[redacted]@nginx:1.25\""),
            ("metadata.annotations[user:hunter2@nginx]", "metadata.annotations[[redacted]@nginx]"),
            ("user:p@ss/w,rd@nginx@sha256:8adb", "[redacted]@nginx@sha256:8adb"),
            ("--image=:hunter2@redis", "--image=[redacted]@redis"),
            ("password=hun:ter2@nginx", "password=[redacted]"),
            ("AKIAIOSFODNN7EXAMPLE", "[redacted token]"),
            ("mail jane.doe+k8s@example.co.uk now", "mail [redacted e-mail] now"),
            ("db-token:hunter2 token:v1.2hunter#2", "db-token:[redacted] token:[redacted]"),
            ("password:1.2secret token:v1.0-5f2b-9c", "password:[redacted] token:[redacted]"),
            ("password:latest\\xhunter2 token:latest\\\\nhunter2", "password:[redacted] token:[redacted]"),
            ("system:serviceaccount:password=hunter2", "system:serviceaccount:password=[redacted]"),
            ("system:serviceaccount:shop:api_key=hunter2", "system:serviceaccount:shop:api_key=[redacted]"),
            ("password:hunter2@sha256:8adb", "password:[redacted]"),
            ("jdbc:postgresql://app:hunter2@db/x", "jdbc:postgresql://[redacted]@db/x"),
            ("ssn 123-45-6789.", "ssn [redacted number]."),
            ("123-45-6789123-45-6789", "[redacted number][redacted number]"),
            ("\"Basic dXNlcg== a\\napp:hunter2@nginx\"", "\"Basic [redacted] a\\n[redacted]@nginx\""),
            ("-----BEGIN EC PRIVATE KEY-----\nMHc...", "[redacted key]"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
        for kept in [
            "must be pinned: \"registry.example.com:5000/web:1.4.2@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc\"",
            "spec.containers[0].securityContext.runAsNonRoot",
            "must be true, here or in the pod's securityContext",
            "system:serviceaccount:shop:deployer",
            "spec.automountServiceAccountToken",
            "must not mount the token of service account \"web\"",
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/web]",
            "2026-11-22T16:41:22.657752Z",
            "must be pinned, as in \"nginx:1.25@sha256:<digest>\"",
            "registry.example.com:5000/web:1.4.2@sha256:8adbdcb9...",
            "registry.example.com:5000/web@latest",
            "csi-secrets-store/secrets-store-driver:v1.4.0 names a tag",
            "must end in a digest: \"token:latest\" names the tag latest",
            "shop/vault-secrets-webhook:edge-1@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc",
            "system:serviceaccount:secrets-store:deployer",
            "must not be \"web-token\": it is not allowed",
        ] {
            assert_eq!(redact(kept), kept);
        }
    }
}
