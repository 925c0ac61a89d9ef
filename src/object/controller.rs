//! The controller of an object, read where its owner is asked for.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Unreadable;
use super::mapping::{self, Mapping};
use super::memory::Limit;
use super::path::Path;
use super::read::parse;
use super::text::Text;

/// The uid of an object, its time of creation, and its controller.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Owned<'a> {
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "ownerReferences", deserialize_with = "controllers")]
    controllers: Controllers<'a>,
}

/// An ownerReference with `controller: true`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Controller<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    controller: Option<bool>,
}

/// The controllers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Controllers<'a> {
    /// It has none.
    #[default]
    None,
    /// It has one.
    One(Controller<'a>),
    /// It has several, which an API server does not store.
    Several,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    metadata: Option<Owned<'a>>,
}

impl<'a> Owned<'a> {
    /// Reads them from an object.
    ///
    /// # Errors
    /// [`Unreadable`] if a field has the wrong type.
    pub fn read(raw: &'a RawValue) -> Result<Self, Unreadable> {
        let _limit = Limit::of(raw.get().len());
        let Mapping(outer) = parse::<Mapping<Outer<'a>>>(raw, &Path::root())?;
        Ok(outer.metadata.unwrap_or_default())
    }

    /// `metadata.uid`; empty if it is absent.
    pub fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    /// `metadata.creationTimestamp`, which an API server sets; `None` if it is absent or not a time.
    pub fn created(&self) -> Option<Timestamp> {
        self.creation_timestamp.as_deref()?.parse().ok()
    }

    /// Its controllers.
    pub fn controllers(&self) -> &Controllers<'a> {
        &self.controllers
    }
}

impl Controller<'_> {
    /// API group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

fn controllers<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Controllers<'a>, D::Error> {
    let mut found = Controllers::None;
    mapping::each(deserializer, |_, Mapping(owner): Mapping<Controller<'a>>| {
        if owner.controller == Some(true) {
            found = if found == Controllers::None { Controllers::One(owner) } else { Controllers::Several };
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::{Controllers, Owned};

    #[test]
    fn the_controller_is_the_one_owner_that_controls() {
        let read = |owners: serde_json::Value| {
            let object = json!({"metadata": {"name": "web", "uid": "u", "ownerReferences": owners}}).to_string();
            let raw: &RawValue = serde_json::from_str(&object).expect("JSON");
            let owned = Owned::read(raw).expect("readable");
            assert_eq!(owned.uid(), "u");
            match owned.controllers() {
                Controllers::None => "none".to_owned(),
                Controllers::One(one) => format!("{}|{}|{}|{}", one.group(), one.kind(), one.name(), one.uid()),
                Controllers::Several => "several".to_owned(),
            }
        };
        let owner = |kind: &str, is_controller: Option<bool>| json!({"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "1", "controller": is_controller});
        assert_eq!(read(json!(null)), "none");
        assert_eq!(read(json!([owner("A", None), owner("B", Some(false))])), "none");
        assert_eq!(read(json!([owner("A", Some(false)), owner("B", Some(true))])), "apps|B|web|1");
        assert_eq!(read(json!([owner("A", Some(true)), owner("B", Some(true))])), "several");
        let core = json!({"apiVersion": "v1", "kind": "ReplicationController", "controller": true});
        assert_eq!(read(json!([core])), "|ReplicationController||");
    }

    #[test]
    fn a_reference_that_cannot_be_read_is_an_error() {
        for object in [r#"{"metadata":{"ownerReferences":[7]}}"#, r#"{"metadata":{"uid":"a","uid":"b"}}"#, "[]"] {
            let raw: &RawValue = serde_json::from_str(object).expect("JSON");
            assert!(Owned::read(raw).is_err(), "{object}");
        }
    }
}
