//! Looks for the first plaintext connection in a text, line by line, in time that grows with its length.

use std::cell::OnceCell;

use super::host::{self, Host};
use super::known::{Known, without_end};
use super::{family, kafka, keywords, url};

/// Bytes of the longest name, and of the longest value that is compared.
const NAME: usize = 96;
const VALUE: usize = 1024;
/// Spaces between a name, the separator and the value.
const SPACES: usize = 8;
/// Ends of the names that give a host, without separators.
const HOSTS: [&str; 6] = ["host", "hostname", "hostaddr", "address", "server", "servername"];
const SSL_MODE: &str = "an sslmode that allows plaintext";

/// The kind of the first plaintext connection in a text.
pub(super) fn first(text: &str, known: &Known<'_>) -> Option<&'static str> {
    let is_local = OnceCell::new();
    let is_local = || *is_local.get_or_init(|| are_hosts_local(text, known));
    text.split('\n').filter(|line| !is_comment(line)).find_map(|line| in_line(line, known, &is_local))
}

/// The kind of plaintext connection that a value is by its name: `PGSSLMODE`, `KAFKA_SECURITY_PROTOCOL`.
pub(super) fn named(name: &str, value: &str, known: &Known<'_>) -> Option<&'static str> {
    let value = value.trim().trim_matches(['"', '\'']);
    if let Some(before) = without_end(name, "sslmode") {
        let host = HOSTS.iter().find_map(|host| known.alike(&[&before, host]));
        let is_local = || host.is_some_and(|host| host::of(host, known) == Host::Local);
        return (family::allows(value) && !is_local()).then_some(SSL_MODE);
    }
    kafka::named(name, value, known)
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(['#', ';']) || line.starts_with("//")
}

fn in_line(line: &str, known: &Known<'_>, is_local: &impl Fn() -> bool) -> Option<&'static str> {
    let source = keywords::of(line, known);
    if let Some(kind) = source.and_then(|source| source.kind) {
        return Some(kind);
    }
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += 1;
        let found = match rest {
            [b':', b'/', b'/', ..] => {
                let read = url::at(line, at - 1, known);
                at = read.as_ref().map_or(at + 2, |read| read.end.max(at + 2));
                read.and_then(|read| read.kind)
            }
            [b'=' | b':' | b' ', ..] => pair(line, at - 1, known, source.is_some(), is_local),
            [b'@', b't', b'c', b'p', ..] => keywords::of_go(line.get(at..).unwrap_or_default(), known),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The kind of plaintext connection that `name=value`, `name: value` or `--name value` is, whose separator is at this position.
fn pair(
    line: &str,
    at: usize,
    known: &Known<'_>,
    is_data_source: bool,
    is_local: &impl Fn() -> bool,
) -> Option<&'static str> {
    let (before, rest) = line.split_at_checked(at)?;
    // Of words with a space between them, only an option has a value: `--security-protocol PLAINTEXT`.
    let is_space = rest.starts_with(' ');
    let name = name_before(before).filter(|name| !is_space || name.starts_with("--"))?;
    let value = value_behind(rest.get(1..)?);
    if let Some(kind) = kafka::named(name, value, known) {
        return Some(kind);
    }
    // The sslmode of a data source is judged with its host.
    let is_mode = !is_data_source && !value.is_empty() && without_end(name, "sslmode").is_some();
    (is_mode && family::allows(value) && !is_local()).then_some(SSL_MODE)
}

/// The name that ends here. Only names with these last letters are of interest.
fn name_before(before: &str) -> Option<&str> {
    let trimmed = before.trim_end_matches([' ', '\t']);
    if before.len() - trimmed.len() > SPACES {
        return None;
    }
    let end = trimmed.strip_suffix(['"', '\'']).map_or(trimmed, |text| text.trim_end_matches('\\'));
    if !matches!(end.as_bytes().last(), Some(b'e' | b'E' | b'l' | b'L' | b'p' | b'P')) {
        return None;
    }
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let length = end.bytes().rev().take(NAME).take_while(is_of_name).count();
    end.get(end.len() - length..)
}

fn value_behind(rest: &str) -> &str {
    let trimmed = rest.trim_start_matches([' ', '\t']);
    if rest.len() - trimmed.len() > SPACES {
        return "";
    }
    let value = trimmed.trim_start_matches(['\\', '"', '\'']);
    let ends = |byte: u8| byte.is_ascii_whitespace() || b"=\"'\\`;&|<>)}]".contains(&byte);
    let end = value.bytes().take(VALUE).position(ends).unwrap_or(value.len().min(VALUE));
    value.get(..end).unwrap_or_default().trim_end_matches(',')
}

/// True if the lines that name hosts all name the Pod itself, and there is one.
fn are_hosts_local(text: &str, known: &Known<'_>) -> bool {
    let mut has_one = false;
    for line in text.split('\n').filter(|line| !is_comment(line)) {
        let Some((name, value)) = line.split_once([':', '=']) else { continue };
        let name = name.trim().trim_matches(['"', '\'']);
        if name.len() > NAME || !HOSTS.iter().any(|host| without_end(name, host).is_some()) {
            continue;
        }
        let value = value_behind(value);
        if host::of(value, known) != Host::Local {
            return false;
        }
        has_one |= !value.is_empty();
    }
    has_one
}
