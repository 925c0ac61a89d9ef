//! Text borrowed from the request's bytes, and small maps of it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::steps::{counted, take};

/// A string that borrows from the request where it holds no escape.
///
/// serde borrows into `Cow` only where it is a field by itself, not inside `Option` or `Vec`; this type borrows
/// everywhere.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// A text that borrows `value`.
    pub const fn borrowed(value: &'a str) -> Self {
        Self(Cow::Borrowed(value))
    }

    /// The text as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<String> for Text<'_> {
    fn from(value: String) -> Self {
        Self(Cow::Owned(value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_owned())))
            }
            fn visit_string<E>(self, value: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value)))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// The most that a map may hold.
const ENTRIES: usize = 4_096;

/// A map of strings (labels, annotations): few entries, so a list is searched. A repeated key's last value counts,
/// and `null` reads as the empty string, as in Go.
#[derive(Debug, Clone, Default)]
pub struct TextMap<'a> {
    entries: Vec<(Text<'a>, Text<'a>)>,
    /// Positions of the entries by key, where there are too many to search one by one.
    by_key: OnceLock<Vec<usize>>,
}

/// Entries that are searched one by one.
const FEW: usize = 32;

impl TextMap<'_> {
    /// Every entry, a repeated key's earlier values too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        counted(&self.entries).map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        take(1);
        if self.entries.len() <= FEW {
            return self.entries.iter().rev().find(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str());
        }
        let name = |position: usize| self.entries[position].0.as_str();
        let by_key = self.by_key.get_or_init(|| {
            let mut positions: Vec<usize> = (0..self.entries.len()).collect();
            // Stable: the last of those with one key is the one that counts.
            positions.sort_by(|one, other| name(*one).cmp(name(*other)));
            positions
        });
        let last = by_key[..by_key.partition_point(|position| name(*position) <= key)].last()?;
        (name(*last) == key).then(|| self.entries[*last].1.as_str())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = TextMap<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap<'de>, A::Error> {
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(4).min(64));
                while let Some((key, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    if entries.len() == ENTRIES {
                        return Err(de::Error::custom(format_args!("more than {ENTRIES} entries")));
                    }
                    entries.push((key, value.unwrap_or_default()));
                }
                Ok(TextMap { entries, by_key: OnceLock::new() })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
