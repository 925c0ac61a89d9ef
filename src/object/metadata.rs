//! What policies read of `metadata`.

use serde::Deserialize;

use super::mapping;
use super::text::{Text, TextMap};

/// The part of `ObjectMeta` that decisions rest on.
#[derive(Debug, Clone, Default, Deserialize)]
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
    #[serde(borrow)]
    labels: Option<TextMap<'a>>,
    #[serde(borrow)]
    annotations: Option<TextMap<'a>>,
    #[serde(deserialize_with = "mapping::list")]
    owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Debug, Clone, Deserialize)]
struct OwnerReference {
    controller: Option<bool>,
}

impl Metadata<'_> {
    /// `metadata.name`, empty where it is absent.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// `metadata.generateName`, empty where it is absent.
    pub fn generate_name(&self) -> &str {
        self.generate_name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, empty where it is absent.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.uid`, empty where it is absent.
    pub fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)
    }

    /// Every annotation.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter().flat_map(TextMap::iter)
    }

    /// Whether a controller owns the object (an ownerReference with `controller: true`).
    pub fn has_controller(&self) -> bool {
        self.owner_references.iter().flatten().any(|owner| owner.controller == Some(true))
    }
}
