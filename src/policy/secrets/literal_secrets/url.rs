//! Passwords in URLs (RFC 3986, 3.2.1): `postgres://app:hunter2@db.example.com/shop`.

/// Bytes of the longest authority that is read.
const AUTHORITY: usize = 1024;

/// True if a password is written before the host, in what follows the `://` of a URL.
pub(super) fn has_password(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let end =
        bytes.iter().take(AUTHORITY).position(|byte| byte.is_ascii_whitespace() || b"/?#\"'`<>\\,".contains(byte));
    let end = end.unwrap_or(bytes.len().min(AUTHORITY));
    let Some(authority) = rest.get(..end) else { return false };
    let Some((user, host)) = authority.rsplit_once('@') else { return false };
    let Some((_, password)) = user.split_once(':') else { return false };
    !host.is_empty() && is_password(password)
}

/// True if a password is written out: not a variable of a template, and not masked.
fn is_password(password: &str) -> bool {
    let is_masked = password.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'_'));
    let is_template = password.starts_with(['$', '{', '%', '<', '[']) && !is_escape(password);
    !password.is_empty()
        && !is_masked
        && !is_template
        && !["${", "$(", "{{", "%("].iter().any(|part| password.contains(part))
}

/// True if it begins with an escaped character: `%24ecret`.
fn is_escape(password: &str) -> bool {
    password.starts_with('%') && password.as_bytes().get(1..3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
}

/// True if a Go data source name ends before this `@tcp(`: `app:hunter2@tcp(db:3306)/shop`.
pub(super) fn has_password_before(text: &str) -> bool {
    let text = text.get(text.floor_char_boundary(text.len().saturating_sub(AUTHORITY))..).unwrap_or_default();
    let begin = text.rfind(|character: char| character.is_whitespace() || "\"'`=,;<>".contains(character));
    let user = begin.and_then(|begin| text.get(begin + 1..)).unwrap_or(if begin.is_some() { "" } else { text });
    user.split_once(':').is_some_and(|(name, password)| !name.is_empty() && is_password(password))
}
