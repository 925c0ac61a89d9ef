//! Values that are credentials under a name that says so, and values that only stand for one.

use super::name::Name;
use crate::policy::encoded;

/// Bytes of the shortest value that is random.
const RANDOM: usize = 8;
/// Bytes from which letters and digits alone are random.
const LONG: usize = 16;
/// Bytes of the longest value that is looked at.
const LONGEST: usize = 16 << 10;
/// Values that say something else.
const OTHERS: [&str; 34] = [
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "none",
    "nil",
    "undefined",
    "enabled",
    "disabled",
    "string",
    "str",
    "object",
    "required",
    "optional",
    "boolean",
    "integer",
    "bearer",
    "basic",
    "header",
    "query",
    "cookie",
    "oauth2",
    "kubernetes",
    "text",
    "bytes",
    "unset",
    "redacted",
    "hidden",
    "empty",
    "n/a",
    "todo",
];
/// Parts of values that stand for a credential until somebody writes one.
const PLACEHOLDERS: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "changeit",
    "supersecret",
    "s3cr3t",
    "placeholder",
    "replace-me",
    "replaceme",
    "insecure",
    "secretcookie",
    "minioadmin",
    "password",
    "topsecret",
];
/// Beginnings of references, of hashes and of what was encrypted.
const REFERENCES: [&str; 26] = [
    "$",
    "%",
    "<",
    "{",
    "[",
    "&",
    "!",
    "file:",
    "env:",
    "vault:",
    "ref+",
    "op://",
    "arn:",
    "projects/",
    "sm://",
    "secretref:",
    "ssm:",
    "sha256:",
    "sha512:",
    "sha1:",
    "md5:",
    "pbkdf2",
    "scram-sha",
    "enc[",
    "enc(",
    "argon2",
];
/// Ends of the names of files.
const FILES: [&str; 14] = [
    ".pem",
    ".key",
    ".crt",
    ".json",
    ".yaml",
    ".yml",
    ".txt",
    ".conf",
    ".p12",
    ".jks",
    ".cer",
    ".pub",
    ".properties",
    ".kdbx",
];
/// Words in the names of Secrets and their keys.
const NOUNS: [&str; 12] = [
    "secret",
    "secrets",
    "credentials",
    "creds",
    "credential",
    "token",
    "tokens",
    "tls",
    "cert",
    "certs",
    "key",
    "keys",
];

/// True if the value under a name is a credential, or stands for one.
pub(super) fn is_credential(name: &Name, value: &str) -> bool {
    let value =
        value.trim_matches(|character: char| character.is_ascii_whitespace() || matches!(character, '"' | '\''));
    if value.len() > LONGEST || !is_written(value) {
        return false;
    }
    if name.is_auth {
        return encoded::is_user_and_password(value);
    }
    if is_uuid(value) {
        return name.takes_uuid;
    }
    if name.is_plain {
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        return !is_number || value.len() >= 5 && !value.contains('.');
    }
    !is_resource_name(value) && (is_random(value) || is_placeholder(value))
}

/// True if a value is written out, and is not a reference, a template, a path, a flag or a hash.
pub(super) fn is_written(value: &str) -> bool {
    let bytes = value.as_bytes();
    if value.len() < 2 || value.split(' ').nth(3).is_some() || value.contains('\n') {
        return false;
    }
    let starts = |start: &&str| value.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let ends = |end: &&str| {
        value
            .len()
            .checked_sub(end.len())
            .and_then(|at| value.get(at..))
            .is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    let is_masked =
        bytes.iter().all(|byte| matches!(byte, b'*' | b'-' | b'.' | b'_' | b'?' | b'=' | b'~' | b'|' | b'>'));
    let is_token = value.starts_with('@') && value.ends_with('@');
    !is_masked
        && !is_token
        && !OTHERS.iter().any(|other| value.eq_ignore_ascii_case(other))
        && !REFERENCES.iter().any(starts)
        && !FILES.iter().any(ends)
        && !is_path(value)
        && !["://", "${", "$(", "{{", "}}", "%(", "-----BEGIN ", "#{"].iter().any(|part| value.contains(part))
        && !value.ends_with(['(', '{', '['])
        && !["ssh-", "ecdsa-"].iter().any(starts)
}

/// True for a path of a file.
fn is_path(value: &str) -> bool {
    let begins = ["/", "./", "../", "~/"].iter().any(|start| value.starts_with(start));
    let is_plain = || value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/@-:".contains(&byte));
    // Base64 may begin with a slash.
    begins
        && is_plain()
        && !(value.len() >= 40
            && value.len().is_multiple_of(4)
            && value.matches('/').count() < 3
            && !value.contains(['.', '-']))
        || value.as_bytes().get(1..3) == Some(b":\\")
}

/// True for `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub(super) fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value
            .bytes()
            .enumerate()
            .all(|(at, byte)| if [8, 13, 18, 23].contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// True for a name that says that it is a Secret's, or a key's in it: `shop-db-credentials`.
fn is_resource_name(value: &str) -> bool {
    let is_name =
        value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._/".contains(&byte));
    let mut parts = value.split(['-', '.', '_', '/']);
    is_name
        && value.contains(['-', '.', '_', '/'])
        && parts.any(|part| NOUNS.contains(&part))
        && !has_random_part(value)
}

/// True for a text that looks random.
pub(super) fn is_random(value: &str) -> bool {
    let (mut lower, mut upper, mut digit, mut other, mut changes, mut last) = (0, 0, 0, 0, 0, 0);
    for byte in value.bytes() {
        let class = match byte {
            b'a'..=b'z' => {
                lower += 1;
                1
            }
            b'A'..=b'Z' => {
                upper += 1;
                2
            }
            b'0'..=b'9' => {
                digit += 1;
                3
            }
            b'-' | b'_' | b'.' | b'/' | b':' | b',' | b' ' | b'=' | b'+' => 0,
            _ => {
                other += 1;
                4
            }
        };
        if class != 0 && last != 0 && class != last {
            changes += 1;
        }
        last = class;
    }
    let classes = [lower, upper, digit, other].iter().filter(|count| **count > 0).count();
    if value.len() < RANDOM || value.contains(' ') {
        return false;
    }
    // `Tr0ub4dor&3`: three kinds of characters, and not words in capitals with a number behind.
    if classes >= 3 && changes >= 3 && (value.len() < LONG || has_random_part(value)) {
        return true;
    }
    value.len() >= LONG && has_random_part(value)
}

/// True if a part between separators is long, and its letters and digits are mixed.
fn has_random_part(value: &str) -> bool {
    value.split(['-', '_', '.', '/', ':', ',', '+', '=']).any(|part| {
        let bytes = part.as_bytes();
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
        let changes = bytes.windows(2).filter(|pair| {
            matches!(pair, [one, two] if one.is_ascii_digit() != two.is_ascii_digit() || one.is_ascii_lowercase() && two.is_ascii_uppercase())
        });
        let changes = changes.count();
        part.len() >= 12 && changes >= 3 && (letters > 0 && digits > 0 || changes >= 4)
            || part.len() >= 20 && changes >= 3
    })
}

fn is_placeholder(value: &str) -> bool {
    let is_short = value.len() <= 32 && !value.contains(['/', ' ', '.']);
    is_short
        && (value.eq_ignore_ascii_case("secret")
            || PLACEHOLDERS.iter().any(|part| {
                value.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
            }))
}
