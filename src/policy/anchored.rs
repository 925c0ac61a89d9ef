//! A pattern of settings, which matches a value as a whole.

use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::quoted;
use crate::steps;

/// Maximum length of a pattern in bytes.
const LENGTH: usize = 1_024;
/// Maximum size of a compiled pattern in bytes, and of the memory that a search takes.
const COMPILED: usize = 1 << 18;
/// Longest value that is matched, in bytes. A longer one matches no pattern.
const VALUE: usize = 64 << 10;
/// Bytes of a value that are matched in one step.
const STEP: usize = 8;

/// A regular expression that is anchored at both ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Anchored {
    written: String,
    regex: Regex,
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatternError {
    /// Empty.
    #[error("must not be empty; .* matches every value")]
    Empty,
    /// Too long, or too large once it is compiled.
    #[error("must be a smaller pattern: at most {LENGTH} bytes, and {} KiB once it is compiled", COMPILED >> 10)]
    TooLarge,
    /// Not a regular expression.
    #[error("must be a regular expression of RE2, without look-around and back-references: {0}")]
    Syntax(String),
}

impl TryFrom<String> for Anchored {
    type Error = PatternError;

    fn try_from(written: String) -> Result<Self, PatternError> {
        if written.is_empty() {
            return Err(PatternError::Empty);
        }
        if written.len() > LENGTH {
            return Err(PatternError::TooLarge);
        }
        // By itself first: `a)|(b` would close the group that anchors it.
        compile(&written)?;
        let regex = compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self { written, regex })
    }
}

impl Anchored {
    /// True if it matches the whole value.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let steps = u32::try_from(value.len().min(VALUE) / STEP).unwrap_or(u32::MAX);
        value.len() <= VALUE && steps::take(steps.saturating_add(1)) && self.regex.is_match(value)
    }
}

/// As messages quote it.
impl fmt::Display for Anchored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(&self.written).fmt(out)
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern).size_limit(COMPILED).dfa_size_limit(COMPILED).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        // The first lines show the pattern, which the error's place names.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            PatternError::Syntax(reason.strip_prefix("error: ").unwrap_or(reason).to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Anchored, PatternError, VALUE};

    fn pattern(text: &str) -> Result<Anchored, PatternError> {
        Anchored::try_from(text.to_owned())
    }

    #[test]
    fn a_pattern_matches_a_whole_value_or_none_of_it() {
        for (text, matching, others) in [
            ("[a-z]{2,4}", &["ab", "abcd"][..], &["", "a", "abcde", "Ab", "ab\n", "\nab", " ab"][..]),
            ("a|bc", &["a", "bc"], &["ab", "abc", "b", "ac"]),
            ("a|ab", &["a", "ab"], &["abb"]),
            ("^a$", &["a"], &["ba", "ab", "a\nb"]),
            ("(?m)^a$", &["a"], &["b\na\nb", "a\n"]),
            ("(?i)team", &["Team", "TEAM"], &["teams"]),
            (".*", &["", "a b"], &["a\nb"]),
            ("(?s).*", &["", "a\nb"], &[]),
            (
                r".+@example\.com",
                &["web@example.com"],
                &["web@example.com.evil.example", "@example.com", "web@exampleXcom"],
            ),
            ("\u{e9}+", &["\u{e9}\u{e9}"], &["e"]),
        ] {
            let pattern = pattern(text).expect(text);
            for value in matching {
                assert!(pattern.matches(value), "{text} and {value:?}");
            }
            for value in others {
                assert!(!pattern.matches(value), "{text} and {value:?}");
            }
        }
    }

    #[test]
    fn a_pattern_that_could_leave_its_anchors_or_grow_is_refused() {
        for text in ["a)|(?:b", "(", "[a-", "a(?!b)", r"(a)\1", "*", "(?x) a # b"] {
            assert!(matches!(pattern(text), Err(PatternError::Syntax(_))), "{text}: {:?}", pattern(text));
        }
        for text in ["(?:a{1000}){1000}".to_owned(), r"\pL{500}".to_owned(), "a".repeat(1_025)] {
            assert!(matches!(pattern(&text), Err(PatternError::TooLarge)), "{text}");
        }
        assert!(matches!(pattern(""), Err(PatternError::Empty)));
        assert_eq!(pattern("a(").expect_err("open").to_string().lines().count(), 1);
    }

    #[test]
    fn a_value_that_is_too_long_matches_nothing() {
        let any = pattern("(?s).*").expect("a pattern");
        assert!(any.matches(&"a".repeat(VALUE)) && !any.matches(&"a".repeat(VALUE + 1)));
    }
}
