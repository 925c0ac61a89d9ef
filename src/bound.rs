//! Texts and lists within a bound in bytes, as JSON writes them.

use std::borrow::Cow;

/// Stands for what was cut off. A warning travels in an HTTP header, which not every client reads as UTF-8.
pub(crate) const CUT: &str = "...";
/// Bytes of a character as JSON writes it, at most: `\u001f`.
pub(crate) const WIDEST: usize = 6;

/// Divides a number of bytes among the entries of a list, so that the last ones get a place too.
pub(crate) struct Room {
    /// Bytes that are left.
    left: usize,
    /// Entries that are still to come.
    entries: usize,
    /// Bytes that each of them gets in any case.
    least: usize,
}

impl Room {
    /// So many bytes for so many entries, `least` for each in any case. `least` for all of them must fit.
    pub(crate) fn new(bytes: usize, entries: usize, least: usize) -> Self {
        Self { left: bytes, entries, least }
    }

    /// The text of the next entry, cut to its place and to `most` bytes.
    pub(crate) fn text<'t>(&mut self, text: Cow<'t, str>, most: usize) -> Cow<'t, str> {
        self.entries = self.entries.saturating_sub(1);
        let place = self.left.saturating_sub(self.entries * self.least).min(most);
        let text = fit(text, place);
        self.left = self.left.saturating_sub(encoded(&text));
        text
    }
}

/// Bytes of a text as JSON writes it, the quotation marks left out.
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

/// The text, where JSON writes it in at most `most` bytes; else its beginning, and the mark of what was cut off.
pub(crate) fn fit(text: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    if text.len() * WIDEST <= most || encoded(&text) <= most {
        return text;
    }
    Cow::Owned(format!("{}{CUT}", beginning(&text, most.saturating_sub(CUT.len()))))
}

/// A text of at most so many characters, the mark of what was cut off among them.
pub(crate) fn cut(text: impl IntoIterator<Item = char>, most: usize) -> String {
    let mut kept: Vec<char> = text.into_iter().take(most + 1).collect();
    if kept.len() > most {
        kept.truncate(most.saturating_sub(CUT.len()));
        kept.extend(CUT.chars());
    }
    kept.into_iter().collect()
}

/// As much of the beginning of a text as JSON writes in `most` bytes.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    if text.len() * WIDEST <= most {
        return text;
    }
    let mut bytes = 0;
    let end = text.char_indices().find(|(start, character)| {
        bytes += encoded(&text[*start..start + character.len_utf8()]);
        bytes > most
    });
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Room, beginning, encoded, fit};

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
                let (cut, all) = (fit(Cow::Borrowed(text), most), text.repeat(5));
                assert!(encoded(&cut) <= most && (cut == text || cut.ends_with("...")), "{text:?} {most}: {cut:?}");
                assert!(encoded(beginning(&all, most)) <= most && all.starts_with(beginning(&all, most)));
            }
        }
        assert_eq!(fit(Cow::Borrowed("abcdef"), 6), "abcdef");
        assert_eq!(fit(Cow::Borrowed("abcdefg"), 6), "abc...");
    }

    #[test]
    fn the_last_entry_has_its_place_whatever_the_first_ones_take() {
        let mut room = Room::new(100, 5, 10);
        let taken: Vec<usize> = (0..5).map(|_| room.text(Cow::Owned("x".repeat(1_000)), 40).len()).collect();
        assert_eq!(taken, [40, 30, 10, 10, 10]);
    }
}
