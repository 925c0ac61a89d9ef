//! Splits a file into documents as kubectl does (`k8s.io/apimachinery`, util/yaml/decoder.go): by lines that
//! start with `---`, or at the end of each JSON value.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{DocumentError, Position, scalar};

/// Bytes at the start of a file that decide if it is JSON.
const GUESS: usize = 4_096;

/// The start of a line between two documents.
const SEPARATOR: &str = "---";

/// The byte order mark.
const MARK: char = '\u{feff}';

/// Marker of the end of a document.
const END: &str = "...";

/// The text of a document.
pub(super) struct Part<'t> {
    pub(super) text: Cow<'t, str>,
    /// The line that it starts on.
    pub(super) line: u64,
}

/// Decodes UTF-8, or UTF-16 with a byte order mark. Invalid bytes become U+FFFD, as in kubectl; the number is that of the
/// first line that holds some.
pub(super) fn decode(bytes: Vec<u8>) -> (String, Option<usize>) {
    let units: Option<fn([u8; 2]) -> u16> = match bytes.as_slice() {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
        _ => None,
    };
    if let Some(unit) = units {
        let units = bytes[2..].chunks(2).map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or_default()]));
        return (char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(), None);
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = sound.split(|byte| *byte == b'\n').count();
            (scalar::lossy(error.as_bytes()), Some(line))
        }
    }
}

/// The documents of `text`.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, DocumentError> {
    // kubectl removes the byte order mark before it looks for separators.
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let mut parts = Vec::new();
    let mut end = 0;
    let guess = text.floor_char_boundary(GUESS);
    if text[..guess].trim_start().starts_with('{') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
        loop {
            match values.next() {
                None => return Ok(parts),
                Some(Ok(_)) => {
                    let next = values.byte_offset();
                    let start = next - text[end..next].trim_start().len();
                    parts.push(Part { text: as_yaml(&text[start..next]), line: line(text, start) });
                    end = next;
                }
                // After two JSON values nothing else is expected.
                Some(Err(error)) if parts.len() > 1 => {
                    let message = error.to_string();
                    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(words, _)| words);
                    let position = Position { line: error.line() as u64, column: error.column().max(1) as u64 };
                    return Err(DocumentError { position, message: message.to_owned() });
                }
                Some(Err(_)) => break,
            }
        }
        // The rest of the value's last line, if it is blank.
        let rest = &text[end..];
        let blank = &rest[..rest.len() - rest.trim_start().len()];
        end += blank.find('\n').map_or(blank.len(), |newline| newline + 1);
    }
    split(&text[end..], line(text, end), &mut parts)?;
    Ok(parts)
}

/// Splits YAML into documents. Only a comment may follow a separator on its line. The separator that a document starts with
/// belongs to it.
fn split<'t>(text: &'t str, first: u64, parts: &mut Vec<Part<'t>>) -> Result<(), DocumentError> {
    let (mut start, mut offset, mut number, mut begins) = (0, 0, first, first);
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix(SEPARATOR) {
            let follows = rest.trim();
            if !follows.is_empty() && !follows.starts_with('#') {
                let blank = rest.chars().take_while(|character| character.is_whitespace()).count();
                let column = (SEPARATOR.len() + blank + 1) as u64;
                let message = "only a comment may follow --- on its line; put this on a line of its own".to_owned();
                return Err(DocumentError { position: Position { line: number, column }, message });
            }
            if offset > start {
                parts.push(part(&text[start..offset], begins)?);
                start = offset + line.len();
                begins = number + 1;
            }
        }
        offset += line.len();
        number += 1;
    }
    parts.push(part(&text[start..], begins)?);
    Ok(())
}

/// A document that starts on line `first`. The mark that ends one ends nothing where none has begun.
fn part(text: &str, first: u64) -> Result<Part<'_>, DocumentError> {
    let mut lines = text.split('\n').zip(first..);
    let begin = lines.find(|(line, _)| !matches!(line.trim_start().bytes().next(), None | Some(b'#')));
    if let Some((line, number)) = begin
        && line.strip_prefix(END).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']))
    {
        let message = "ends a document that has not begun; remove it".to_owned();
        return Err(DocumentError { position: Position { line: number, column: 1 }, message });
    }
    Ok(Part { text: with_breaks(text), line: first })
}

/// The text with lines as kubectl hands them to its parser: each ends with a line feed, the last one too. What is a
/// line break in YAML 1.1 and not in YAML 1.2 becomes one, so that a line follows it.
fn with_breaks(text: &str) -> Cow<'_, str> {
    const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];
    let is_ended = text.is_empty() || text.ends_with('\n');
    if is_ended && !text.contains(BREAKS) && !text.contains("\r\n") {
        return Cow::Borrowed(text);
    }
    let mut lines = text.replace("\r\n", "\n").replace(BREAKS, "\n");
    if !is_ended {
        lines.push('\n');
    }
    Cow::Owned(lines)
}

fn line(text: &str, offset: usize) -> u64 {
    1 + text[..offset].matches('\n').count() as u64
}

/// Characters of JSON that YAML takes only as escapes (`c-printable` of YAML 1.2).
fn is_unprintable(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

/// A JSON value in the words of YAML: no tabs between values, no half of a character (`\ud83d` alone), and escapes for
/// what cannot be printed, which stands in strings alone.
fn as_yaml(json: &str) -> Cow<'_, str> {
    let differs = |character: char| matches!(character, '\t' | '\\') || is_unprintable(character);
    if !json.contains(differs) {
        return Cow::Borrowed(json);
    }
    let mut yaml = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(place) = rest.find(differs) {
        yaml.push_str(&rest[..place]);
        rest = &rest[place..];
        if let Some(character) = rest.chars().next().filter(|character| is_unprintable(*character)) {
            yaml.push_str(&format!("\\u{:04x}", u32::from(character)));
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let (written, taken) = match (half(rest), rest.get(6..).and_then(half)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (&rest[..12], 12),
            (Some(0xd800..0xe000), _) => ("\\ufffd", 6),
            _ if rest.starts_with('\t') => (" ", 1),
            _ => (&rest[..2], 2),
        };
        yaml.push_str(written);
        rest = &rest[taken..];
    }
    yaml.push_str(rest);
    Cow::Owned(yaml)
}

/// The code of an escape `\uXXXX` at the start.
fn half(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
