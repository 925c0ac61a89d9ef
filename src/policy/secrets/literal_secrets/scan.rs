//! Looks for the first credential in a text, in one pass over its bytes and without allocations.
//!
//! Most bytes are decided by a table: what begins no form of credential, and separates no name from a value, is passed over.

use super::assignment;
use super::form;
use super::url;

/// Bytes that something may begin with, or that separate names and values.
const MARKED: [bool; 256] = {
    let mut marked = form::FIRST;
    let mut at = 0;
    let marks = b"=:->@";
    while at < marks.len() {
        marked[marks[at] as usize] = true;
        at += 1;
    }
    marked
};

/// The kind of the first credential.
pub(super) fn first(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let mut before = b' ';
    for (at, &byte) in bytes.iter().enumerate() {
        let previous = std::mem::replace(&mut before, byte);
        if !MARKED.get(usize::from(byte)).copied().unwrap_or_default() {
            continue;
        }
        let found = match byte {
            b'=' | b'>' => assignment::at(text, at),
            b':' => colon(text, at),
            b'-' => dash(text, at, previous),
            b'@' => at_sign(text, at),
            _ if begins_word(bytes, at, previous) => form::at(text, at),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// True if a word may begin here: not in the middle of one, and also behind an escaped line break in JSON.
fn begins_word(bytes: &[u8], at: usize, previous: u8) -> bool {
    let is_escape =
        || matches!(previous, b'n' | b't' | b'r') && at.checked_sub(2).and_then(|at| bytes.get(at)) == Some(&b'\\');
    !previous.is_ascii_alphanumeric() && previous != b'_' || is_escape()
}

fn colon(text: &str, at: usize) -> Option<&'static str> {
    let rest = text.get(at..)?;
    if let Some(rest) = rest.strip_prefix("://") {
        return url::has_password(rest).then_some("a URL with a password");
    }
    // A bot of Telegram: its number, and 35 characters that begin with `AA`.
    if rest.starts_with(":AA") && form::is_telegram(text, at) {
        return Some("a Telegram token");
    }
    assignment::at(text, at)
}

fn dash(text: &str, at: usize, previous: u8) -> Option<&'static str> {
    let rest = text.get(at..)?;
    if rest.starts_with("-----BEGIN ") {
        return form::is_private_key(rest).then_some("a private key");
    }
    if previous.is_ascii_whitespace() || matches!(previous, b'"' | b'\'') {
        return assignment::option(text.get(..at).unwrap_or_default(), rest);
    }
    None
}

fn at_sign(text: &str, at: usize) -> Option<&'static str> {
    let (before, rest) = text.split_at_checked(at)?;
    let is_source = rest.starts_with("@tcp(") || rest.starts_with("@unix(");
    (is_source && url::has_password_before(before)).then_some("a data source name with a password")
}
