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

/// In the order in which they are applied: the more telling first.
static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let rows: [(&str, &'static str); 9] = [
        // PEM, whole or cut off.
        (r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)", "[redacted key]"),
        // JSON Web Tokens (RFC 7519), whole or cut off.
        (r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){0,2}", "[redacted token]"),
        // Tokens by the prefixes that their issuers give them.
        (
            r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bxox[abeoprs]-[\w-]{10,}|\bAIza[\w-]{30,}|\b[rs]k_(?:live|test)_\w{16,}|\bnpm_[A-Za-z0-9]{30,}|\bya29\.[\w-]{16,}|\bhvs\.[\w-]{16,}|\bdop_v1_[0-9a-f]{32,}|\bSG\.[\w-]{16,}\.[\w-]{16,}",
            "[redacted token]",
        ),
        // Credentials schemes (RFC 9110, 11.4).
        (r"(?i)(?P<k>\b(?:bearer|basic|negotiate|digest)\s+)[A-Za-z0-9+/=._~-]{4,}", "$k[redacted]"),
        // The user information of a URL (RFC 3986, 3.2.1).
        (r"(?P<k>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s@]+@", "$k[redacted]@"),
        // Name and value.
        (
            r#"(?i)(?P<k>\b[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization)[\w-]*\\*["']?\s*[=:]\s*\\*["']?)[^\s"'\\,;&}\]]+"#,
            "$k[redacted]",
        ),
        // The same with quotation marks around a value that has spaces.
        (
            r#"(?i)(?P<k>\b[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key)[\w-]*\s*[=:]\s*)\\?"[^"]*"?"#,
            "$k[redacted]",
        ),
        (r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", "[redacted e-mail]"),
        (r"\b\d{3}-\d{2}-\d{4}\b", "[redacted number]"),
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
        assert_eq!(PATTERNS.len(), 9);
    }

    #[test]
    fn secrets_go_and_what_an_auditor_needs_stays() {
        for (text, expected) in [
            ("must not be \"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\"", "must not be \"[redacted token]\""),
            ("must not be \"eyJhbGciOiJIUzI1...\"", "must not be \"[redacted token]...\""),
            ("Authorization: Bearer abc.def-123", "Authorization: [redacted] [redacted]"),
            ("\"Basic dXNlcjpwYXNz\"", "\"Basic [redacted]\""),
            ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=[redacted] next"),
            ("{\\\"apiKey\\\": \\\"abc123\\\"}", "{\\\"apiKey\\\": \\\"[redacted]\\\"}"),
            ("password: \"two words\"", "password: [redacted]"),
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
