//! The fields of a ConfigMap that policies read.

use serde::Deserialize;

use crate::object::mapping;
use crate::object::text::TextMap;

/// A ConfigMap.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMap<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    data: TextMap<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    binary_data: TextMap<'a>,
}

impl ConfigMap<'_> {
    /// The entries of `data`.
    pub fn data(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data.iter()
    }

    /// The entries of `binaryData`, in base64.
    pub fn binary_data(&self) -> impl Iterator<Item = (&str, &str)> {
        self.binary_data.iter()
    }
}
