//! Text borrowed from the request's bytes, and small maps of it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::list::List;
use super::memory::{self, Full};
use crate::steps::{counted, take};

/// A string that borrows from the request unless it holds an escape.
///
/// serde borrows into a `Cow` only if it is a field by itself, not inside `Option` or `Vec`; this type always borrows.
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
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Text<'de>, E> {
                memory::take(value.len()).map_err(E::custom)?;
                Ok(Text(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// Number of entries up to which lookups are linear; longer maps are sorted.
const SEARCHED: usize = 64;

/// A map of strings (labels, annotations). A repeated key's last value counts, and `null` reads as the empty string, as in
/// Go.
#[derive(Debug, Default)]
pub struct TextMap<'a>(List<(Text<'a>, Text<'a>)>);

impl<'a> TextMap<'a> {
    /// Every entry, a repeated key's earlier values too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        counted(self.0.iter()).map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        take(1);
        let found = if self.0.len() > SEARCHED {
            self.0.last_before(|(name, _)| name.as_str() <= key).filter(|(name, _)| name.as_str() == key)
        } else {
            self.0.iter().rev().find(|(name, _)| name.as_str() == key)
        };
        found.map(|(_, value)| value.as_str())
    }

    /// API servers send sorted maps; a manifest need not be sorted.
    fn sorted(list: List<(Text<'a>, Text<'a>)>) -> Result<Self, Full> {
        if list.len() <= SEARCHED || list.iter().is_sorted_by(|(one, _), (next, _)| one <= next) {
            return Ok(Self(list));
        }
        memory::take(2 * list.len() * size_of::<(Text<'a>, Text<'a>)>())?;
        let mut entries: Vec<_> = list.into_iter().collect();
        // The order of equal keys stays.
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut list = List::default();
        entries.into_iter().try_for_each(|entry| list.push(entry))?;
        Ok(Self(list))
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
                let mut entries = List::default();
                while let Some((key, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    entries.push((key, value.unwrap_or_default())).map_err(A::Error::custom)?;
                }
                TextMap::sorted(entries).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::TextMap;

    #[test]
    fn a_large_map_is_found_as_a_small_one_is() {
        for entries in [2_usize, 64, 65, 1_101, 5_000] {
            let key = |number: usize| format!("key-{:04}", number * 7_919 % entries);
            let mut text: Vec<String> =
                (0..entries).map(|number| format!("\"{}\":\"{number}\"", key(number))).collect();
            text.push(format!("\"{}\":\"last\"", key(1)));
            text.push(format!("\"{}\":null", key(0)));
            let text = format!("{{{}}}", text.join(","));
            let map: TextMap<'_> = serde_json::from_str(&text).expect("a map");
            assert_eq!((map.get(&key(1)), map.get(&key(0))), (Some("last"), Some("")), "the last value counts");
            for number in 2..entries {
                assert_eq!(map.get(&key(number)), Some(number.to_string().as_str()), "{entries}");
            }
            assert_eq!((map.get("key"), map.get("key-9999"), map.iter().count()), (None, None, entries + 2));
        }
    }
}
