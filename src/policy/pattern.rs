//! Patterns of settings, with `*` for any characters.

use schemars::JsonSchema;
use serde::Deserialize;

use super::quoted;
use crate::steps;

/// Bytes of the longest pattern.
const LENGTH: usize = 256;
/// Bytes of a text that are compared in one step, for each part of a pattern.
const STEP: usize = 256;
/// Bytes of the longest text that is compared.
const TEXT: usize = 4096;

/// A pattern for a whole text, in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if written.len() > LENGTH {
            return Err(format!("must have at most {LENGTH} bytes"));
        }
        Ok(Self(written))
    }
}

impl Pattern {
    /// The pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// True if it stands for one text only.
    pub(crate) fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// True if it matches the whole text, whatever the capitals.
    pub(crate) fn matches_any_case(&self, text: &str) -> bool {
        text.len() <= TEXT && Self(self.0.to_ascii_lowercase()).matches(&text.to_ascii_lowercase())
    }

    /// True if it matches the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let steps = u32::try_from(text.len() / STEP + 1).unwrap_or(u32::MAX);
        if text.len() > TEXT || !steps::take(steps) {
            return false;
        }
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first place of each part leaves the most for those behind it.
        for part in middle.split('*') {
            let Some(at) = text.find(part) else { return false };
            text = text.get(at + part.len()..).unwrap_or_default();
        }
        text.ends_with(last)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        quoted(&self.0).fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_matches_a_whole_text() {
        for (pattern, text, expected) in [
            ("DEBUG", "DEBUG", true),
            ("DEBUG", "DEBUG_SQL", false),
            ("MOCK_*", "MOCK_", true),
            ("*_MOCK", "PAY_MOCK", true),
            ("*MOCK*", "A_MOCKED", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern("True*".to_owned()).matches_any_case("tRUEST"));
    }
}
