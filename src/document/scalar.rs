//! Resolves scalars: the words, numbers and tags of YAML 1.1 as kubectl's library resolves them
//! (`go.yaml.in/yaml/v2`, resolve.go) and as they are written in JSON (`sigs.k8s.io/yaml`, yaml.go).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Number;

use super::Value;

/// Prefix that `!!` stands for in tags such as `!!str`.
pub(super) const TAGS: &str = "tag:yaml.org,2002:";
/// Floats from here on are written with an exponent, and stay floats.
const LONGEST_INTEGER: f64 = 1e21;

/// A scalar, resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    /// `null`, `~`, or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Any other number, infinities and NaN included.
    Float(f64),
    /// The text itself.
    Text,
}

/// A scalar that has no value, or cannot be the key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScalarError {
    /// The text is not of the type that its tag names.
    #[error("is not of type {0}, which its tag !!{0} names")]
    Type(String),
    /// The text of a `!!binary` scalar is not base64.
    #[error("is not base64, which its tag !!binary asks for")]
    Base64,
    /// JSON has no such number.
    #[error("must be finite: JSON has no infinity and no NaN")]
    Infinite,
    #[error("a key must not be null")]
    NullKey,
    #[error("a key must not be an integer beyond 63 bits")]
    LargeKey,
    #[error("a key must be a scalar")]
    CollectionKey,
}

impl Scalar {
    /// Resolves a scalar without tag and quotes.
    pub(super) fn plain(text: &str) -> Self {
        match text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Self::Bool(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Self::Bool(false),
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            ".nan" | ".NaN" | ".NAN" => Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Self::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Self::Float(f64::NEG_INFINITY),
            _ => match text.as_bytes()[0] {
                b'.' => separated(text).and_then(|digits| float(&digits)).unwrap_or(Self::Text),
                b'0'..=b'9' | b'+' | b'-' => number(&text.replace('_', "")).unwrap_or(Self::Text),
                _ => Self::Text,
            },
        }
    }

    /// Resolves a scalar with a tag, quoted or not; `tag` in full. A scalar with an unknown tag is text.
    pub(super) fn tagged(tag: &str, text: &str) -> Result<Self, ScalarError> {
        let Some(name) = tag.strip_prefix(TAGS) else { return Ok(Self::Text) };
        let found = Self::plain(text);
        match (name, found) {
            ("bool", Self::Bool(_))
            | ("int", Self::Integer(_) | Self::Unsigned(_))
            | ("float", Self::Float(_))
            | ("null", Self::Null) => Ok(found),
            #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
            ("float", Self::Integer(value)) => Ok(Self::Float(value as f64)),
            ("bool" | "int" | "float" | "null", _) => Err(ScalarError::Type(name.to_owned())),
            _ => Ok(Self::Text),
        }
    }

    /// The scalar as a value; `text` is its source text.
    pub(super) fn value(self, text: Cow<'_, str>) -> Result<Value, ScalarError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::Number(value.into()),
            #[expect(clippy::cast_precision_loss, reason = "kubectl holds integers beyond 63 bits as floats")]
            Self::Unsigned(value) => finite(value as f64)?,
            Self::Float(value) => finite(value)?,
            Self::Text => Value::Text(text.into_owned()),
        })
    }

    /// The scalar as the key of a mapping; `text` is its source text.
    pub(super) fn key(self, text: Cow<'_, str>) -> Result<String, ScalarError> {
        match self {
            Self::Null => Err(ScalarError::NullKey),
            Self::Unsigned(_) => Err(ScalarError::LargeKey),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Integer(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(float_key(value)),
            Self::Text => Ok(text.into_owned()),
        }
    }
}

/// Decodes the text of a scalar with the tag `!!binary`.
pub(super) fn binary(text: &str) -> Result<String, ScalarError> {
    let digits: String = text.chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
    let bytes = STANDARD.decode(digits).map_err(|_| ScalarError::Base64)?;
    Ok(lossy(&bytes))
}

/// Decodes UTF-8; each invalid byte becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A float without fraction is an integer once it is written as JSON, in the fewest digits that tell it apart.
fn finite(value: f64) -> Result<Value, ScalarError> {
    let whole = value.fract() == 0.0 && value.abs() < LONGEST_INTEGER;
    let integer = whole.then(|| value.to_string().parse::<i64>().ok()).flatten();
    if let Some(integer) = integer {
        return Ok(Value::Number(integer.into()));
    }
    let number = Number::from_f64(value).ok_or(ScalarError::Infinite)?;
    Ok(Value::Number(number))
}

fn number(text: &str) -> Option<Scalar> {
    integer(text).or_else(|| is_decimal(text).then(|| float(text)).flatten()).or_else(|| {
        // The sign after the prefix is the library's own.
        let (sign, digits) = match text.strip_prefix("-0b") {
            Some(digits) => ("-", digits),
            None => ("", text.strip_prefix("0b")?),
        };
        i64::from_str_radix(&format!("{sign}{digits}"), 2).ok().map(Scalar::Integer)
    })
}

/// An integer with the prefixes of Go: `0x`, `0o`, `0b`, and `0` for octal ones.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'+' => ("", &text[1..]),
        b'-' => ("-", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).map(Scalar::Integer);
    // Beyond 63 bits no sign is understood.
    signed.ok().or_else(|| {
        let is_signed = text.starts_with(['+', '-']);
        (!is_signed).then(|| u64::from_str_radix(digits, radix).ok().map(Scalar::Unsigned)).flatten()
    })
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits
        && is_digits(whole)
        && is_digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && is_digits(exponent))
}

/// A float that starts with its point, where `_` may stand between digits only.
fn separated(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
    let is_sound = |(place, _): (usize, &str)| place > 0 && is_digit(place - 1) && is_digit(place + 1);
    text.match_indices('_').all(is_sound).then(|| text.replace('_', ""))
}

/// A float that fits; one that does not is a text.
fn float(text: &str) -> Option<Scalar> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
}

/// A float as a key: the shortest digits of the *32-bit* number, with an exponent from 1e6 on and below 1e-4
/// (`strconv.FormatFloat(value, 'g', -1, 32)`).
#[expect(clippy::cast_possible_truncation, reason = "the library does")]
fn float_key(value: f64) -> String {
    let short = value as f32;
    if short.is_nan() {
        return ".nan".to_owned();
    }
    if short.is_infinite() {
        return if short > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // As many digits again, because between two that are as near Go takes the even one.
    let digits = format!("{short:e}").bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let scientific = format!("{short:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let fraction =
            i32::try_from(digits).map_or(0, |digits| usize::try_from(digits - 1 - exponent).unwrap_or_default());
        return format!("{short:.fraction$}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
