//! The headers that must be set, and the values that fit.

use std::collections::BTreeMap;
use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::written::Written;
use crate::policy::quoted;

/// Maximum number of headers, and of bytes of a pattern.
const HEADERS: usize = 64;
const PATTERN: usize = 512;
/// Bytes that a compiled pattern may take.
const COMPILED: usize = 256 << 10;

const TRANSPORT: &str = "Strict-Transport-Security";
const FRAMES: &str = "X-Frame-Options";
const CONTENT: &str = "Content-Security-Policy";
/// Headers that are needed if the settings name none, with their patterns.
const DEFAULT: [(&str, &str); 3] =
    [(TRANSPORT, ".+"), ("X-Content-Type-Options", "nosniff"), (FRAMES, "DENY|SAMEORIGIN")];
/// Sources of `frame-ancestors` that are everybody.
const EVERYBODY: [&str; 3] = ["*", "http:", "https:"];

/// Headers by name, each with the pattern of its value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, String>")]
#[schemars(with = "BTreeMap<String, String>")]
pub(super) struct Headers(Vec<Header>);

/// A header that must be set.
#[derive(Debug)]
pub(super) struct Header {
    name: String,
    pattern: String,
    /// The whole value, in any case.
    regex: Regex,
}

/// Flaw of a header.
pub(super) enum Flaw<'w> {
    /// Nothing sets it.
    Missing,
    /// Its value does not fit, in the annotation or the entry of that key.
    Value { key: &'w str, value: String },
}

impl Default for Headers {
    fn default() -> Self {
        let headers = DEFAULT.iter().filter_map(|(name, pattern)| Header::of(name, pattern).ok());
        Self(headers.collect())
    }
}

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;

    fn try_from(headers: BTreeMap<String, String>) -> Result<Self, String> {
        if headers.is_empty() || headers.len() > HEADERS {
            return Err(format!(
                "{} headers must be 1 to {HEADERS}; switch the policy off to need none",
                headers.len()
            ));
        }
        headers.iter().map(|(name, pattern)| Header::of(name, pattern)).collect::<Result<_, _>>().map(Self)
    }
}

impl Headers {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }
}

impl Header {
    fn of(name: &str, pattern: &str) -> Result<Self, String> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_of_name) {
            return Err(format!("{} must be the name of a header", quoted(name)));
        }
        let refused = |why: &str| format!("{name}: {} must be a regular expression: {why}", quoted(pattern));
        if pattern.is_empty() || pattern.len() > PATTERN {
            return Err(refused(&format!("it has {} bytes, and not 1 to {PATTERN}", pattern.len())));
        }
        // By itself first, so that no bracket of the pattern closes the group around it.
        let compiled = |pattern: &str| RegexBuilder::new(pattern).case_insensitive(true).size_limit(COMPILED).build();
        let regex = compiled(pattern).and_then(|_| compiled(&format!("^(?:{pattern})$")));
        // The error of the crate shows the pattern over several lines; the last one says why.
        let why = |error: &regex::Error| {
            let error = error.to_string();
            error.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        let regex = regex.map_err(|error| refused(&why(&error)))?;
        Ok(Self { name: name.to_owned(), pattern: pattern.to_owned(), regex })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Flaw of the header; every value that is written must fit.
    pub(super) fn flaw<'w>(&self, written: &'w Written<'_>, min_max_age: u64) -> Option<Flaw<'w>> {
        if self.is(FRAMES) && written.values(CONTENT).any(|(_, policy)| limits_frames(policy)) {
            return None;
        }
        let mut is_set = false;
        for (key, value) in written.values(&self.name) {
            is_set = true;
            let is_long = !self.is(TRANSPORT) || max_age(value).is_some_and(|age| age >= min_max_age);
            if !is_long || !self.regex.is_match(value.trim()) {
                return Some(Flaw::Value { key, value: value.to_owned() });
            }
        }
        (!is_set).then_some(Flaw::Missing)
    }

    /// The values that fit, as messages name them.
    pub(super) fn wanted(&self, min_max_age: u64) -> impl fmt::Display {
        fmt::from_fn(move |out| {
            if self.is(TRANSPORT) {
                write!(out, "a max-age of at least {min_max_age}")?;
                return if self.pattern == ".+" { Ok(()) } else { write!(out, " that matches {}", self.pattern) };
            }
            write!(out, "{}", self.pattern)
        })
    }
}

/// `max-age` of Strict-Transport-Security in seconds (RFC 6797); `None` if there is not exactly one.
fn max_age(value: &str) -> Option<u64> {
    let mut ages = value.split(';').filter_map(|directive| {
        let (name, age) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| age.trim())
    });
    let age = ages.next()?;
    let age = age.strip_prefix('"').and_then(|age| age.strip_suffix('"')).unwrap_or(age);
    let is_number = !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || ages.next().is_some() {
        return None;
    }
    // More digits than fit are longer than any limit.
    Some(age.parse().unwrap_or(u64::MAX))
}

/// True if `frame-ancestors` of a Content-Security-Policy leaves somebody out.
fn limits_frames(policy: &str) -> bool {
    let mut directives = policy.split(';').map(|directive| directive.split_ascii_whitespace());
    let ancestors =
        directives.find_map(|mut words| words.next()?.eq_ignore_ascii_case("frame-ancestors").then_some(words));
    ancestors
        .is_some_and(|mut sources| sources.all(|source| !EVERYBODY.iter().any(|all| source.eq_ignore_ascii_case(all))))
}

#[cfg(test)]
mod tests {
    use super::{Header, Headers, limits_frames, max_age};

    #[test]
    fn the_default_headers_are_all_there() {
        assert_eq!(Headers::default().iter().count(), super::DEFAULT.len());
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let header = Header::of("X-Frame-Options", "DENY|SAMEORIGIN").expect("a pattern");
        for (value, matches) in [("DENY", true), ("deny", true), ("DENYX", false), ("XSAMEORIGIN", false), ("", false)]
        {
            assert_eq!(header.regex.is_match(value), matches, "{value}");
        }
        for pattern in ["", "(", "a)|(b", &"a".repeat(513), "(a{1000}){1000}"] {
            assert!(Header::of("X", pattern).is_err(), "{pattern}");
        }
        assert!(Header::of("", "a").is_err() && Header::of("X: Y", "a").is_err());
    }

    #[test]
    fn max_age_is_computed() {
        for (value, age) in [
            ("max-age=31536000", Some(31_536_000)),
            ("max-age=63072000; includeSubDomains; preload", Some(63_072_000)),
            ("includeSubDomains; MAX-AGE = \"7\"", Some(7)),
            ("max-age=99999999999999999999999", Some(u64::MAX)),
            ("max-age=", None),
            ("max-age=-1", None),
            ("max-age=1y", None),
            ("max-age=1; max-age=31536000", None),
            ("includeSubDomains", None),
            ("x-max-age=31536000", None),
        ] {
            assert_eq!(max_age(value), age, "{value}");
        }
    }

    #[test]
    fn frame_ancestors_leaves_somebody_out() {
        for (policy, limits) in [
            ("frame-ancestors 'none'", true),
            ("default-src 'self'; Frame-Ancestors 'self' https://example.com", true),
            ("frame-ancestors", true),
            ("frame-ancestors *", false),
            ("frame-ancestors 'self' https:", false),
            ("default-src 'self'", false),
            ("frame-ancestors *; frame-ancestors 'none'", false),
            ("", false),
        ] {
            assert_eq!(limits_frames(policy), limits, "{policy}");
        }
    }
}
