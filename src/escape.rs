//! Escapes control and format characters, which could move a cursor, end a line, or reorder the text on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Unicode's general categories Cc (controls), Cf (formats), Zl and Zp (line and paragraph separators).
static NOT_PLAIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").ok());

/// The text on one line, with control and format characters as `\n`, `\u{202e}`. Otherwise a line break in a name could
/// forge a line of output.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |character, line| line.extend(character.escape_default()))
}

/// JSON with control and format characters in its strings escaped, which leaves its value the same. Line breaks between
/// values stay.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    replaced(json, |character, line| {
        if character == '\n' {
            line.push(character);
            return;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(line, "\\u{unit:04x}");
        }
    })
}

fn replaced(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    // Without the pattern everything is escaped. It is a constant, and a test compiles it.
    let Some(pattern) = NOT_PLAIN.as_ref() else { return Cow::Owned(text.escape_default().to_string()) };
    pattern.replace_all(text, |found: &Captures<'_>| {
        let mut line = String::new();
        found[0].chars().for_each(|character| escape(character, &mut line));
        line
    })
}

#[cfg(test)]
mod tests {
    use super::{NOT_PLAIN, escaped, escaped_json};

    /// Some of every category, the first and the last of their ranges among them.
    const NOT_PLAIN_ONES: [char; 24] = [
        '\0',
        '\u{1b}',
        '\n',
        '\r',
        '\t',
        '\u{7f}',
        '\u{80}',
        '\u{9f}',
        '\u{ad}',
        '\u{600}',
        '\u{61c}',
        '\u{6dd}',
        '\u{180e}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{e0001}',
        '\u{e007f}',
    ];

    #[test]
    fn what_is_not_plain_is_escaped_and_what_is_stays() {
        assert!(NOT_PLAIN.is_some());
        for character in NOT_PLAIN_ONES {
            let text = escaped(&format!("a{character}b")).into_owned();
            assert_eq!(text, format!("a{}b", character.escape_default()));
            assert!(text.is_ascii());
            assert_eq!(escaped(&text), text, "twice is once");
        }
        for plain in ["", "plain ~ text", "Grüße, 世界, עברית, 🔑, e\u{301}, \u{a0}\u{2003}\u{3000}"] {
            assert_eq!(escaped(plain), plain);
        }
    }

    #[test]
    fn json_means_the_same_escaped() {
        for character in NOT_PLAIN_ONES {
            let value = serde_json::json!({ format!("k{character}"): format!("é{character}") });
            let json = format!("{value}\n");
            let plain = escaped_json(&json);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&plain).expect("JSON"), value);
            let is_not_plain = |found: &char| *found != '\n' && NOT_PLAIN_ONES.contains(found);
            assert!(!plain.chars().any(|found| is_not_plain(&found)) && plain.ends_with("}\n"), "{plain}");
        }
    }
}
