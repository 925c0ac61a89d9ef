//! What must not be remembered: taken out of texts before they are chained, in this one place.
//!
//! Values that somebody wrote reach the trail quoted in messages, in paths (keys of annotations) and in settings. What
//! looks like a secret, a token, an authorization, an e-mail address or a US social security number is replaced by a
//! word for it. What looks like none of these is not found: the trail quotes as little as it can to begin with.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use regex::Regex;

use crate::config::{Problem, Weaker};
use crate::digest::hex;

/// Bytes of a pseudonym's HMAC that are kept.
const PSEUDONYM: usize = 16;
/// The least that a key for pseudonyms may have.
const KEY: usize = 32;

/// A pattern, and what stands for what it finds; `$k` is kept.
struct Pattern {
    found: Regex,
    instead: &'static str,
}

/// Words that say in a name that its value is a secret.
const NAME: &str = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|private|account|signing|encryption|client|shared)[_-]?key|credentials?)";
/// Words that say so where they are the last of a name. Innocent ones begin or end like them: `bypass`, `author`.
const LAST: &str = r"(?:(?:admin|db|pg|require|root|user)?pass|auth|cookie|signature|j?session[_-]?id|phpsessid)";
/// Where a word begins, which may be after the letter of an escape.
const EDGE: &str = r"(?:^|[^A-Za-z]|\\[nrt0])";
/// Space, escaped or not.
const SPACE: &str = r"(?:\s|\\[nrt])";
/// A value in quotation marks: as they are, escaped once or more often, or cut off.
const QUOTED: &str = r#""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\\"(?:[^"\\]|\\{3}["\\]|\\{2}[^"\\]|\\[^"\\])*(?:\\")?|\\'(?:[^'\\]|\\{3}['\\]|\\{2}[^'\\]|\\[^'\\])*(?:\\')?|\\{2,}["'][^"']*"#;
/// A value without them: everything to the next space, quotation mark or escaped line end. What only closes brackets or
/// lists is left.
const BARE: &str = r#"(?:[^\s"'\\\]},;&]|[\]},;&]+[^\s"'\\\]},;&]|\\[^"'nrt])+"#;
/// What stands for a value already.
const DONE: &str = r"\[redacted[a-z -]*\]";

/// In the order in which they are applied: the more telling first. A value may be escaped, so that the character before a
/// secret may be the letter of an escape, and it may be cut off (`...`).
static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let value = format!("(?:{DONE}|{QUOTED}|{BARE})");
    // Headers: to the end of the line, over what is quoted in it.
    let header = r#"(?i)(?P<k>authorization\\*["']?\s*[=:]\s*\\*["']?|cookie(?:\s*:\s+\\*["']?|\\*["']?\s*:\s*\\*["']|:[\w.-]+=))(?:="[^\s"'\\,;:)}\]][^"'\\\r\n]*"?|=\\+"[^\s"'\\,;:)}\]][^"'\\\r\n]*(?:\\+")?|\\*'\w|[^"'\\\r\n]|\\[^"'nr])+"#;
    let named = format!(r#"(?i)(?P<k>[\w.-]*{NAME}[\w-]*\\*["']?\s*[=:]{SPACE}*){value}"#);
    // `auth:1.4` is an image, `"auth": it` a name and what is said of it.
    let word = format!("(?:{EDGE}{LAST}|(?-i:[a-z]Pass))");
    let last = format!(
        r#"(?i)(?:(?P<k>{word}(?:\\*["']?\s*=|\s*:{SPACE}){SPACE}*|{EDGE}sig=){value}|(?P<q>{word}\\*["']?\s*:{SPACE}*)(?:{QUOTED}))"#
    );
    let option = format!(r"(?i)(?P<k>--(?:[\w.-]*{NAME}[\w-]*|(?:[\w.-]*[_.-])?{LAST}){SPACE}+){value}");
    // Of `curl` and others; `-u 1000:1000` are numbers of a user and a group, `-u https://` is an address.
    let name = r#"[a-z_][^\s:"'\\]*:"#;
    let user = format!(
        r#"(?i)(?P<k>(?:^|[^\w-]|\\[nrt0])(?:-u|--(?:proxy-)?user)(?:=|{SPACE})+)(?:(?P<d>\\*"{name})/?(?:[^"\\/]|\\+[^"\\])(?:[^"\\]|\\+[^"\\])*|(?P<s>\\*'{name})/?(?:[^'\\/]|\\+[^'\\])(?:[^'\\]|\\+[^'\\])*|(?P<n>{name})(?:{DONE}|/?[^\s"'\\/](?:[^\s"'\\]|\\[^"'nrt])*))"#
    );
    // Prefixes that words end in too, or names begin with.
    let apart = format!(
        r"(?P<k>{EDGE})(?:(?:sk|pypi)-(?:\w{{20,}}[\w-]*|\w*\.\.\.)|sk-(?:ant|proj|svcacct|or-v1)-(?:[\w-]{{10,}}|[\w-]*\.\.\.)|hf_(?:[A-Za-z0-9]{{20,}}|[A-Za-z0-9]*\.\.\.))"
    );
    let rows: [(&str, &'static str); 14] = [
        // PEM, whole or cut off.
        (
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
            "[redacted key]",
        ),
        (header, "$k[redacted]"),
        (&named, "$k[redacted]"),
        (&last, "$k$q[redacted]"),
        (&option, "$k[redacted]"),
        (&user, "$k$d$s$n[redacted]"),
        // JSON Web Tokens (RFC 7519).
        (r"eyJ(?:[A-Za-z0-9_-]{6,}(?:\.{1,2}[A-Za-z0-9_-]+){0,4}|[A-Za-z0-9_-]*\.\.\.)", "[redacted token]"),
        // Tokens by the prefixes that their issuers give them.
        (
            r"(?:AKIA|ASIA)(?:[0-9A-Z]{12,}|[0-9A-Z]*\.\.\.)|(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|[rs]k_(?:live|test)_|npm_|ya29\.|hv[bs]\.|dop_v1_|dckr_pat_|pypi-AgE|shpat_|ATATT|AGE-SECRET-KEY-1)(?:[\w-]{10,}|[\w-]*\.\.\.)|SG\.(?:[\w-]{16,}(?:\.[\w-]+)?|[\w-]*\.\.\.)",
            "[redacted token]",
        ),
        (&apart, "$k[redacted token]"),
        (r"(?P<k>hooks\.slack\.com/(?:services|triggers|workflows)/)[\w/-]+", "$k[redacted]"),
        // Credentials schemes (RFC 9110, 11.4).
        (r"(?i)(?P<k>(?:bearer|basic|negotiate)\s+)[A-Za-z0-9+/=._~-]{4,}", "$k[redacted]"),
        // The user information of a URL (RFC 3986, 3.2.1).
        (
            r#"(?P<k>[A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#\s"':@]*[:@][^/?#\s"']*\.\.\.|[^/?#\s"']+(?P<e>@))"#,
            "$k[redacted]$e",
        ),
        (r"(?P<k>\\[nrt]|)[\w.%+-]+@(?:(?:[\w-]+\.)+[\w-]{2,}|[\w.-]*\.\.\.)", "$k[redacted e-mail]"),
        (r"(?P<k>^|[^0-9])[0-9]{3}-(?:[0-9]{2}-[0-9]{4}|[0-9]{0,2}(?:-[0-9]{0,3})?\.\.\.)", "$k[redacted number]"),
    ];
    let compiled =
        rows.into_iter().filter_map(|(found, instead)| Some(Pattern { found: Regex::new(found).ok()?, instead }));
    compiled.collect()
});

/// The text without what must not be remembered.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for pattern in PATTERNS.iter() {
        if let Cow::Owned(clean) = pattern.found.replace_all(&text, pattern.instead) {
            text = Cow::Owned(clean);
        }
    }
    text
}

/// What becomes of texts and names before they are chained.
#[derive(Default)]
pub struct Redaction {
    is_off: bool,
    /// What makes pseudonyms of identities.
    pseudonyms: Option<hmac::Key>,
}

impl Redaction {
    /// Redaction of texts unless it is off, and pseudonyms for identities with the key in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds too little.
    pub fn new(is_off: bool, key: Option<&Path>) -> Result<Self, String> {
        // The first decision should not wait until the patterns are compiled, which takes a while.
        LazyLock::force(&PATTERNS);
        let Some(file) = key else { return Ok(Self { is_off, pseudonyms: None }) };
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let bytes = bytes.trim_ascii_end();
        if bytes.len() < KEY {
            return Err(format!("{}: must hold at least {KEY} bytes: openssl rand -hex 32 makes some", file.display()));
        }
        Ok(Self { is_off, pseudonyms: Some(hmac::Key::new(HMAC_SHA256, bytes)) })
    }

    /// A text that quotes what somebody wrote.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_off { Cow::Borrowed(text) } else { redact(text) }
    }

    /// Whether identities become pseudonyms.
    pub fn makes_pseudonyms(&self) -> bool {
        self.pseudonyms.is_some()
    }

    /// A text that quotes what somebody wrote about these names: where they are pseudonyms, they are that in its
    /// quotation marks and brackets too.
    pub fn quoting<'t>(&self, text: &'t str, names: &[&str]) -> Cow<'t, str> {
        let text = self.text(text);
        if self.pseudonyms.is_none() { text } else { Cow::Owned(self.replaced(&text, names)) }
    }

    fn replaced(&self, text: &str, names: &[&str]) -> String {
        let mut replaced = String::with_capacity(text.len());
        let (mut is_quoted, mut last) = (false, ' ');
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
            let begins = |name: &&&str| {
                let after = rest.strip_prefix(**name).map(|after| after.chars().next());
                !name.is_empty() && after.is_some_and(|after| !is_word(after) || !is_word(name.chars().last()))
            };
            let is_apart = |name: &&&str| !is_word(Some(last)) || !is_word(name.chars().next());
            let found = names.iter().filter(begins).filter(is_apart).max_by_key(|name| name.len());
            if let (true, Some(name)) = (is_quoted, found) {
                replaced += &self.identity(name);
                last = name.chars().last().unwrap_or(' ');
                rest = &rest[name.len()..];
                continue;
            }
            match next {
                '"' if last != '\\' => is_quoted = !is_quoted,
                '[' => is_quoted = true,
                ']' => is_quoted = false,
                _ => {}
            }
            replaced.push(next);
            last = next;
            rest = &rest[next.len_utf8()..];
        }
        replaced
    }

    /// What a change of the configuration made weaker: it quotes settings, whatever they hold, and names namespaces.
    pub fn weaker(&self, weaker: &Weaker) -> Weaker {
        let namespace = if weaker.namespace == "*" { "*".into() } else { self.identity(&weaker.namespace) };
        Weaker {
            namespace: namespace.into_owned(),
            from: self.text(&weaker.from).into_owned(),
            to: self.text(&weaker.to).into_owned(),
            ..weaker.clone()
        }
    }

    /// What is wrong with a configuration. The field and the message are looked at one by one: the name of a field does
    /// not make a secret of our words.
    pub fn problem(&self, problem: &Problem) -> String {
        let (field, message) = (self.text(&problem.field).into_owned(), self.text(&problem.message).into_owned());
        Problem { field, message, ..problem.clone() }.to_string()
    }

    /// A name: of a user, a group, a namespace or an object.
    pub fn identity<'t>(&self, name: &'t str) -> Cow<'t, str> {
        match &self.pseudonyms {
            Some(key) if !name.is_empty() => {
                let tag = hmac::sign(key, name.as_bytes());
                Cow::Owned(format!("hmac:{}", hex(&tag.as_ref()[..PSEUDONYM])))
            }
            _ => Cow::Borrowed(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PATTERNS, redact};

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 14);
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
            ("AKIAIOSFODNN7EXAMPLE", "[redacted token]"),
            ("mail jane.doe+k8s@example.co.uk now", "mail [redacted e-mail] now"),
            ("ssn 123-45-6789.", "ssn [redacted number]."),
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
        ] {
            assert_eq!(redact(kept), kept);
        }
    }
}
