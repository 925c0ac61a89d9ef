//! The fields of `metadata` that policies read.

use serde::{Deserialize, Deserializer};

use super::mapping::{self, Mapping};
use super::text::{Text, TextMap};

/// The annotation that says why an object is as it is, where a policy or break-glass demands a reason.
pub const REASON: &str = "portcullis.dev/reason";

/// The part of `ObjectMeta` that decisions depend on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    labels: TextMap<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    annotations: TextMap<'a>,
    #[serde(rename = "ownerReferences", deserialize_with = "has_controller")]
    has_controller: bool,
}

#[derive(Deserialize)]
struct OwnerReference {
    controller: Option<bool>,
}

impl Metadata<'_> {
    /// `metadata.name`; empty if it is absent.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// `metadata.generateName`; empty if it is absent.
    pub fn generate_name(&self) -> &str {
        self.generate_name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`; empty if it is absent.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.uid`; empty if it is absent.
    pub fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key)
    }

    /// Every annotation.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter()
    }

    /// Every label.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter()
    }

    /// True if a controller owns the object (an ownerReference with `controller: true`).
    pub fn has_controller(&self) -> bool {
        self.has_controller
    }
}

/// Reads ownerReferences: true if one has `controller: true`.
fn has_controller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let mut found = false;
    mapping::each(deserializer, |_, Mapping(owner): Mapping<OwnerReference>| {
        found |= owner.controller == Some(true);
        Ok(())
    })?;
    Ok(found)
}
