//! User and password in what looks like an image reference, or like a URL without its scheme: `user:hunter2@nginx`.
//!
//! It is distinguished from an image with tag and digest by the text after the `@`, and its colon from that of a port by the
//! text around it. Both need more lookahead than a regular expression has.

use std::borrow::Cow;

use crate::bound::{CUT, Limit, prefix};

/// Replacement for user and password.
const INSTEAD: &str = "[redacted]";
/// Characters that are never part of a user's name; the text before them is kept.
const APART: &[char] = &['(', '[', '{', '<', ',', ';', '=', '/', '|', '&'];
/// Schemes of URLs in places where a password could stand, too, as in `url:https://example.com`.
pub(super) const SCHEMES: &[&str] = &[
    "http",
    "https",
    "oci",
    "docker",
    "git",
    "ssh",
    "ftp",
    "file",
    "s3",
    "tcp",
    "unix",
    "postgres",
    "postgresql",
    "mysql",
    "mongodb",
    "redis",
    "amqp",
    "kafka",
];
/// Characters after a cut that are searched for an `@`. No image tag is longer.
const AHEAD: usize = 1_024;

/// The text with every user and password replaced.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::new();
    let mut kept = 0;
    let mut start = 0;
    for word in text.split_inclusive(ends) {
        if let Some((from, to)) = credentials(word) {
            clean.push_str(&text[kept..start + from]);
            clean.push_str(INSTEAD);
            kept = start + to;
        }
        start += word.len();
    }
    if kept == 0 { Cow::Borrowed(text) } else { Cow::Owned(clean + &text[kept..]) }
}

/// The text if it has at most `most` characters; otherwise its beginning and [`CUT`], `most` characters together. A
/// password that the cut would split is left out whole: its first half would not be recognised as one.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if prefix(text, Limit::Characters(most)).len() == text.len() {
        return Cow::Borrowed(text);
    }
    let end = prefix(text, Limit::Characters(most.saturating_sub(CUT.len()))).len();
    let (shown, rest) = text.split_at(end);
    let start = shown.rfind(ends).map_or(0, |last| last + 1);
    let ahead = prefix(rest, Limit::Characters(AHEAD)).len();
    let word_end = rest[..ahead].find(ends).unwrap_or(ahead);
    let word = &text[start..end + word_end];
    // If the `@` itself is shown, redaction recognises the password without help.
    let is_hidden = match credentials(word) {
        Some((_, at)) => start + at >= end,
        None => word_end == ahead && ahead < rest.len(),
    };
    let colon = colon(word).filter(|colon| is_hidden && start + colon < end);
    let end = colon.map_or(end, |colon| start + colon + 1);
    Cow::Owned(format!("{}{CUT}", &text[..end]))
}

fn ends(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'')
}

/// Byte positions in a word of the user name and of the `@` after the password.
fn credentials(word: &str) -> Option<(usize, usize)> {
    let mut head = word;
    let at = loop {
        let at = head.rfind('@')?;
        if !is_digest(&head[at + 1..]) {
            break at;
        }
        head = &head[..at];
    };
    let colon = colon(&word[..at]).filter(|colon| colon + 1 < at)?;
    let from = start_of_name(&word[..colon]);
    // Already redacted.
    (word[from..at] != *INSTEAD).then_some((from, at))
}

/// Byte position at which a user's name begins, in the text before its colon: after what is never part of one, or after an
/// escaped space. The rules on headers and names end at an escaped space, too, so nothing that they redacted is touched again.
fn start_of_name(before: &str) -> usize {
    let apart = before.rfind(APART).map_or(0, |last| last + 1);
    let escaped = ["\\n", "\\r", "\\t"].iter().filter_map(|escape| before.rfind(escape)).max();
    apart.max(escaped.map_or(0, |escape| escape + 2))
}

/// Byte position of the colon between user and password. A URL with a scheme is matched by another pattern.
fn colon(word: &str) -> Option<usize> {
    if is_url(word) {
        return None;
    }
    word.match_indices(':').map(|(colon, _)| colon).find(|colon| !is_port(&word[..*colon], &word[colon + 1..]))
}

/// True if the word holds a URL with a scheme (RFC 3986, 3): behind a colon only one that is in common use, since a password may
/// look like any other.
fn is_url(word: &str) -> bool {
    let Some((before, rest)) = word.split_once("://") else { return false };
    let is_of_scheme = |character: char| character.is_ascii_alphanumeric() || "+.-".contains(character);
    let (ahead, scheme) = before.split_at(before.trim_end_matches(is_of_scheme).len());
    let is_scheme = if ahead.ends_with(':') {
        SCHEMES.contains(&scheme)
    } else {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    let is_of_authority = |character: char| character.is_ascii_alphanumeric() || "._~%-[]:@".contains(character);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    is_scheme && authority.chars().all(is_of_authority)
}

/// True if the text after an `@` is the digest of an image, or the beginning of one that was cut.
fn is_digest(text: &str) -> bool {
    if let Some((algorithm, _)) = text.split_once(':') {
        return ["sha256", "sha384", "sha512"].contains(&algorithm);
    }
    let rest = text.trim_end_matches(|last: char| ends(last) || last == '\\');
    rest.strip_suffix(CUT).is_some_and(|begun| !begun.is_empty() && "sha".starts_with(&begun[..begun.len().min(3)]))
}

/// True if a colon separates a registry's host from its port.
fn is_port(before: &str, after: &str) -> bool {
    let host = before.rfind(APART).map_or(before, |last| &before[last + 1..]);
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    (host.contains('.') || host == "localhost") && (1..=5).contains(&digits) && after[digits..].starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::{redact, shortened};

    #[test]
    fn a_password_that_a_cut_goes_through_is_cut_off_whole() {
        let long = "x".repeat(300);
        for (text, shown) in [
            (format!("user:{long}@nginx"), "user:...".to_owned()),
            (format!("a b/user:{}@nginx", "y".repeat(40)), format!("a b/user:{}...", "")),
            (format!("user:hunter2@{long}"), format!("user:hunter2@{}...", &long[..16])),
            (format!("web:{}@sha256:{long}", "1".repeat(20)), format!("web:{}@sha2...", "1".repeat(20))),
            (format!("web:{}", &long[..100]), format!("web:{}...", &long[..25])),
            (format!("web:{}", "x".repeat(2_000)), "web:...".to_owned()),
        ] {
            assert_eq!(shortened(&text, 32), shown, "{text}");
        }
        assert_eq!(shortened("short", 32), "short");
        assert_eq!(redact(&shortened(&format!("user:hunter2@{long}"), 32)), format!("[redacted]@{}...", &long[..16]));
    }
}
