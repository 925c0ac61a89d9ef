//! The standing of an exception, as a record tells it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::time::micros;
use crate::bound::{Limit, cut};

/// Exceptions that a record tells one by one; the others are counted. With names of this many bytes they take 76 KiB.
const STANDINGS: usize = 256;
const NAME: usize = 128;

/// An exception: the time that is left to it, and the need for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing<'e> {
    /// Its name.
    pub name: Cow<'e, str>,
    /// `lapsed`, `lapsing` or `active`.
    pub state: &'static str,
    /// `unused`, `not-needed` or `needed`.
    pub need: &'static str,
    /// Number of judged objects of which it kept some finding from refusing.
    pub uses: u64,
    /// The time from which they were counted.
    #[serde(serialize_with = "micros")]
    pub since: Timestamp,
    /// Its end.
    #[serde(serialize_with = "micros")]
    pub expires: Timestamp,
}

impl Standing<'_> {
    /// The word for which somebody would look for it first.
    fn word(&self) -> &'static str {
        if self.state == "active" { self.need } else { self.state }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standings<'e> {
    exceptions: Vec<Standing<'e>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exceptions_omitted: BTreeMap<&'static str, usize>,
}

/// Writes the first exceptions as `exceptions`, and the numbers of the others, by state or need, as `exceptionsOmitted`.
pub(super) fn standings<S: Serializer>(all: &&[Standing<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    let (told, others) = all.split_at(all.len().min(STANDINGS));
    let bounded = |one: &Standing<'_>| Standing {
        name: Cow::Owned(cut(Cow::Borrowed(&one.name), Limit::JsonBytes(NAME)).into_owned()),
        ..one.clone()
    };
    let mut exceptions_omitted = BTreeMap::new();
    for one in others {
        *exceptions_omitted.entry(one.word()).or_default() += 1;
    }
    Standings { exceptions: told.iter().map(bounded).collect(), exceptions_omitted }.serialize(serializer)
}
