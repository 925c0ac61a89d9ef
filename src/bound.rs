//! Cuts texts to a limit, and divides a limit among the entries of a list.

use std::borrow::Cow;

/// Marks a cut. ASCII, because a warning travels in an HTTP header, which not every client reads as UTF-8.
pub(crate) const CUT: &str = "...";
/// Most bytes that one byte of text takes inside a JSON string: `\u001f`.
pub(crate) const WIDEST: usize = 6;

/// Divides a number of JSON bytes among the entries of a list, so that the last entries get a share too.
pub(crate) struct Room {
    /// Bytes not used yet.
    left: usize,
    /// Entries not added yet.
    entries: usize,
    /// Bytes reserved for each of them.
    least: usize,
}

impl Room {
    /// Divides `bytes` among `entries`, with `least` bytes reserved for each; `entries * least` must not exceed `bytes`.
    pub(crate) fn new(bytes: usize, entries: usize, least: usize) -> Self {
        Self { left: bytes, entries, least }
    }

    /// The text of the next entry, cut to its share and to `most` bytes.
    pub(crate) fn text<'t>(&mut self, text: Cow<'t, str>, most: usize) -> Cow<'t, str> {
        self.entries = self.entries.saturating_sub(1);
        let place = self.left.saturating_sub(self.entries * self.least).min(most);
        let text = cut(text, Limit::JsonBytes(place));
        self.left = self.left.saturating_sub(encoded(&text));
        text
    }
}

/// Bytes of a text inside a JSON string, without the quotation marks.
pub(crate) fn encoded(text: &str) -> usize {
    text.bytes().map(width).sum()
}

const fn width(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => WIDEST,
        _ => 1,
    }
}

/// A limit on the length of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// Characters (Unicode scalar values).
    Characters(usize),
    /// Bytes of the text inside a JSON string, escapes included.
    JsonBytes(usize),
}

/// The text if it is within `limit`; otherwise as much of its beginning as fits together with [`CUT`], and [`CUT`].
pub(crate) fn cut(text: Cow<'_, str>, limit: Limit) -> Cow<'_, str> {
    if prefix(&text, limit).len() == text.len() {
        return text;
    }
    let room = match limit {
        Limit::Characters(most) => Limit::Characters(most.saturating_sub(CUT.len())),
        Limit::JsonBytes(most) => Limit::JsonBytes(most.saturating_sub(CUT.len())),
    };
    Cow::Owned(format!("{}{CUT}", prefix(&text, room)))
}

/// The longest prefix of a text that is within `limit`.
pub(crate) fn prefix(text: &str, limit: Limit) -> &str {
    let end = match limit {
        // A character takes at least one byte, and at most `WIDEST` in JSON.
        Limit::Characters(most) if text.len() <= most => None,
        Limit::JsonBytes(most) if text.len().saturating_mul(WIDEST) <= most => None,
        Limit::Characters(most) => text.char_indices().nth(most),
        Limit::JsonBytes(most) => {
            let mut bytes = 0;
            text.char_indices().find(|(start, character)| {
                bytes += encoded(&text[*start..start + character.len_utf8()]);
                bytes > most
            })
        }
    };
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Limit, Room, cut, encoded, prefix};

    const TEXTS: [&str; 6] =
        ["", "plain", "\"\\\n\r\t\u{8}\u{c}", "\u{1}\u{1f}\u{7f}", "é\u{10ffff}ß", "\u{2028}\u{202e}x"];

    #[test]
    fn the_bytes_of_a_text_are_those_that_json_writes() {
        for text in TEXTS {
            assert_eq!(encoded(text) + 2, serde_json::to_string(text).expect("JSON").len(), "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_and_marked() {
        for text in TEXTS {
            for most in 3..40 {
                let (cut, all) = (cut(Cow::Borrowed(text), Limit::JsonBytes(most)), text.repeat(5));
                assert!(encoded(&cut) <= most && (cut == text || cut.ends_with("...")), "{text:?} {most}: {cut:?}");
                let beginning = prefix(&all, Limit::JsonBytes(most));
                assert!(encoded(beginning) <= most && all.starts_with(beginning));
            }
        }
        for limit in [Limit::JsonBytes(6), Limit::Characters(6)] {
            assert_eq!(cut(Cow::Borrowed("abcdef"), limit), "abcdef");
            assert_eq!(cut(Cow::Borrowed("abcdefg"), limit), "abc...");
        }
        assert_eq!(cut(Cow::Borrowed("ééßßéé"), Limit::Characters(6)), "ééßßéé");
        assert_eq!(cut(Cow::Borrowed("ééßßééé"), Limit::Characters(6)), "ééß...");
    }

    #[test]
    fn the_last_entry_has_its_place_whatever_the_first_ones_take() {
        let mut room = Room::new(100, 5, 10);
        let taken: Vec<usize> = (0..5).map(|_| room.text(Cow::Owned("x".repeat(1_000)), 40).len()).collect();
        assert_eq!(taken, [40, 30, 10, 10, 10]);
    }
}
