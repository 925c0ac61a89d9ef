//! Names and values in a text: `NAME=value`, `name: value`, `"name": "value"`, `--name value`, `<name>value</name>`.

use super::name::{self, Name};
use super::value;
use crate::policy::encoded;

/// Bytes of the longest name.
const NAME: usize = 96;
/// Bytes of the longest value that is read.
const VALUE: usize = 4096;
/// Bytes of a line that are looked at behind a value, and a quarter of those before a name.
const LINE: usize = 64;
/// Spaces between a name, the separator and the value.
const SPACES: usize = 32;
/// Bytes before an option in which its command is looked for.
const COMMAND: usize = 256;

/// The kind of the credential that the separator at this position gives to a name.
pub(super) fn at(text: &str, at: usize) -> Option<&'static str> {
    let (before, rest) = text.split_at_checked(at)?;
    let separator = rest.as_bytes().first().copied()?;
    let (word, left) = name_before(before)?;
    if separator == b'>' {
        // An element of XML.
        let content = rest.get(1..).filter(|_| left.ends_with('<') && name::read(word).is_some())?;
        let end = content.as_bytes().iter().take(VALUE).position(|byte| *byte == b'<')?;
        return judge(word, content.get(..end)?);
    }
    let is_pair = matches!(word, "name" | "key" | "Key" | "Name");
    let is_signature = word == "sig";
    if name::read(word).is_none() && !is_pair && !is_signature {
        return None;
    }
    let is_quoted = before.ends_with(['"', '\'']);
    let mut rest = rest.get(1..)?;
    if separator == b':' {
        let next = rest.as_bytes().first().copied().unwrap_or(b'\n');
        if !is_quoted && !next.is_ascii_whitespace() && next != b'=' {
            return None;
        }
        rest = rest.strip_prefix('=').unwrap_or(rest);
    } else {
        rest = rest.strip_prefix('>').unwrap_or(rest);
        if rest.starts_with(['=', '~']) {
            return None;
        }
    }
    // A variable that is compared, a commented line, and the tag of an image.
    if left.ends_with(['$', '/', '%']) && !is_quoted
        || left.ends_with("${")
        || left.ends_with("$\"")
        || is_comment(left)
    {
        return None;
    }
    let (given, after) = value_of(rest, separator == b':')?;
    if is_pair {
        return pair(given, after);
    }
    if is_signature {
        return (given.len() >= 30 && value::is_random(given)).then_some("a shared access signature");
    }
    judge(word, given)
}

/// The kind of the credential behind an option of a command: `--password hunter2`, `-u user:hunter2`.
pub(super) fn option(before: &str, rest: &str) -> Option<&'static str> {
    // The command stands near its option: to look through all that is before each option would take quadratic time.
    let near = before.get(before.ceil_char_boundary(before.len().saturating_sub(COMMAND))..).unwrap_or_default();
    let (word, after) =
        rest.split_at_checked(rest.bytes().take(NAME).position(|byte| byte == b' ' || byte == b'=')?)?;
    if matches!(word, "-u" | "--user" | "--proxy-user") && near.contains("curl") {
        let (given, _) = value_of(after.get(1..)?, false)?;
        let (user, password) = given.split_once(':')?;
        let is_id =
            password.bytes().all(|byte| byte.is_ascii_digit()) && user.bytes().all(|byte| byte.is_ascii_digit());
        return (!is_id && value::is_written(password)).then_some("a user and a password");
    }
    if word == "-p" && near.contains("sshpass") {
        let (given, _) = value_of(after, false)?;
        return value::is_written(given).then_some("a password");
    }
    if !word.starts_with("--") || !after.starts_with(' ') {
        return None;
    }
    let (given, _) = value_of(after, false)?;
    if given.starts_with('-') { None } else { judge(word, given) }
}

/// The name that ends here, and the text before it.
fn name_before(before: &str) -> Option<(&str, &str)> {
    let trimmed = before.trim_end_matches([' ', '\t']);
    if before.len() - trimmed.len() > SPACES {
        return None;
    }
    let quoted = trimmed.strip_suffix(['"', '\'']).map(|text| text.trim_end_matches('\\'));
    let end = quoted.unwrap_or(trimmed);
    let length =
        end.bytes().rev().take(NAME).take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte)).count();
    let (left, word) = end.split_at_checked(end.len() - length)?;
    // The letter of an escaped line break is not one of the name.
    let is_escape = left.ends_with('\\') && word.starts_with(['n', 't', 'r']) && quoted.is_none();
    let (left, word) = if is_escape { end.split_at_checked(left.len() + 1)? } else { (left, word) };
    (!word.is_empty()).then_some((word, left))
}

/// The value that begins here, without its quotation marks, and the text behind it. A bare value of YAML must be alone on
/// its line.
fn value_of(rest: &str, is_yaml: bool) -> Option<(&str, &str)> {
    let trimmed = rest.trim_start_matches([' ', '\t']);
    if rest.len() - trimmed.len() > SPACES {
        return None;
    }
    let escaped = trimmed.trim_start_matches('\\');
    let mark = escaped.as_bytes().first().copied()?;
    if matches!(mark, b'"' | b'\'') {
        let within = escaped.get(1..)?;
        let mut is_escape = false;
        let end = within.bytes().take(VALUE).position(|byte| {
            let ends = byte == mark && (!is_escape || escaped.len() < trimmed.len()) || byte == b'\n';
            is_escape = byte == b'\\' && !is_escape;
            ends
        })?;
        let (given, after) = within.split_at_checked(end)?;
        return Some((given.trim_end_matches('\\'), after));
    }
    if is_yaml && mark == b'#' {
        return None;
    }
    let ends = |byte: u8| byte.is_ascii_whitespace() || b"\"'`;&|<>,)}]\\".contains(&byte);
    // Code, and not a value: `password=get_password(`.
    let is_code = |byte: u8| b"([{".contains(&byte);
    let end = trimmed.bytes().take(VALUE).position(|byte| ends(byte) || is_code(byte));
    if end.and_then(|end| trimmed.as_bytes().get(end)).is_some_and(|byte| is_code(*byte)) {
        return None;
    }
    let end = end.unwrap_or(trimmed.len().min(VALUE));
    let (given, after) = trimmed.split_at_checked(end)?;
    let near = after.get(..after.floor_char_boundary(LINE)).unwrap_or_default();
    let line = near.split(['\n', '\r']).next().unwrap_or_default().trim_start();
    let is_sentence = is_yaml && !line.is_empty() && !line.starts_with(['#', ',', '}', ']', '"', '\'', '\\']);
    (!is_sentence).then_some((given, after))
}

/// `name: DB_PASSWORD`, and in the next line its `value`.
fn pair(word: &str, after: &str) -> Option<&'static str> {
    let name = name::read(word)?;
    let near = after.get(..after.floor_char_boundary(LINE)).unwrap_or_default();
    let begin = near.find("value")?;
    let between = near.get(..begin)?;
    if !between.bytes().all(|byte| byte.is_ascii_whitespace() || b"\"',\\/nr".contains(&byte)) {
        return None;
    }
    let rest = after.get(begin + "value".len()..)?.trim_start_matches(['"', '\'', '\\', ' ']);
    let rest = rest.strip_prefix([':', '='])?;
    let (given, _) = value_of(rest, false)?;
    is_credential(&name, given).then_some(name.kind)
}

fn judge(word: &str, given: &str) -> Option<&'static str> {
    let name = name::read(word)?;
    let is_itself = || given.eq_ignore_ascii_case(word) && !name.is_plain;
    (is_credential(&name, given) && !is_itself()).then_some(name.kind)
}

/// In a text, code that reads a field (`config.password`) is not a value.
fn is_credential(name: &Name, given: &str) -> bool {
    if name.is_auth {
        return encoded::is_user_and_password(given);
    }
    let is_code = given.contains('.')
        && given
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'));
    !is_code && value::is_credential(name, given)
}

/// True if the line up to here is a comment.
fn is_comment(left: &str) -> bool {
    let near = left.get(left.floor_char_boundary(left.len().saturating_sub(4 * LINE))..).unwrap_or_default();
    let line = near.rsplit('\n').next().unwrap_or_default().trim_start();
    line.starts_with(['#', ';', '*'])
        || line.starts_with("//") && !line.starts_with("//registry") && line.contains(' ')
        || line.contains(" # ")
}
