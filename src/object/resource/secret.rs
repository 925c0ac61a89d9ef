//! The fields of a Secret that policies read: its type and its owners. Values are skipped, and no key of them is kept.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::object::mapping::{self, Mapping};
use crate::object::text::Text;

/// Type of a Secret into which the control plane writes a token of a ServiceAccount.
pub const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// Owners that are themselves where a Secret comes from: group and kind.
const SOURCES: [(&str, &str); 2] = [("external-secrets.io", "ExternalSecret"), ("bitnami.com", "SealedSecret")];

/// A Secret.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Secret<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(deserialize_with = "mapping::optional")]
    metadata: Option<Owned>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Owned {
    #[serde(rename = "ownerReferences", deserialize_with = "has_source")]
    has_source: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerReference<'a> {
    #[serde(borrow)]
    api_version: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    controller: Option<bool>,
}

impl Secret<'_> {
    /// `type`; `Opaque` if it is absent.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("Opaque")
    }

    /// True if an ExternalSecret or a SealedSecret controls it, as its ownerReferences have it. Whoever writes a Secret writes
    /// them: by themselves they prove nothing.
    pub fn has_source(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.has_source)
    }

    /// True if a text is the JSON of a Secret with values: the copy that `kubectl apply` keeps in an annotation.
    pub fn is_copied_in(text: &str) -> bool {
        serde_json::from_str(text).is_ok_and(|Copied(has_values)| has_values)
    }
}

/// True if a controlling owner is one of [`SOURCES`].
fn has_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let mut found = false;
    mapping::each(deserializer, |_, Mapping(owner): Mapping<OwnerReference<'de>>| {
        let version = owner.api_version.as_deref().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let is_source = SOURCES.contains(&(group, owner.kind.as_deref().unwrap_or_default()));
        found |= is_source && owner.controller == Some(true);
        Ok(())
    })?;
    Ok(found)
}

/// True for an object with an entry in `data` or `stringData`.
struct Copied(bool);

impl<'de> Deserialize<'de> for Copied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Copied;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Copied, A::Error> {
                let mut has_values = false;
                while let Some(field) = map.next_key::<Text<'de>>()? {
                    if field == "data" || field == "stringData" {
                        has_values |= map.next_value::<Option<Filled>>()?.is_some_and(|Filled(is_filled)| is_filled);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Copied(has_values))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// True for a map with an entry.
struct Filled(bool);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Filled;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Filled, A::Error> {
                let mut is_filled = false;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    is_filled = true;
                }
                Ok(Filled(is_filled))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
