//! Ownership of fields, from the stored object's managed fields and its last applied configuration.
//!
//! Fields that a webhook sets have no manager: the API server computes managed fields before it calls webhooks
//! (`K/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/update.go`). The managed fields of the request itself are
//! ignored, because its caller may have written them.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::keyed_path::{Document, Found, KeyedPath, Step};

/// Annotation that holds the last configuration given to `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Keys of list items that are read before a field counts as owned. Lists of a pod are short; the limit bounds the time that
/// a hostile object takes.
const KEYS: usize = 20_000;

/// The owners of an object's fields.
pub(super) struct FieldOwners {
    /// `fieldsV1` of every entry of the stored object.
    owned: Vec<Map<String, Value>>,
    /// Last applied configuration, of the stored object and of the new one.
    applied: Vec<Document>,
    /// True for Kubernetes' own kinds. None of their objects and lists that hold our defaults is atomic, so that an entry
    /// without fields below it is an object that was written empty. In other kinds it may own everything in the object.
    is_built_in: bool,
    keys: Cell<usize>,
}

impl FieldOwners {
    /// Reads the owners; `None` if there are none or they cannot be read.
    pub(super) fn of(stored: &Value, now: &Value, is_built_in: bool) -> Option<Self> {
        let version = stored.get("apiVersion")?;
        let entries = stored.pointer("/metadata/managedFields")?.as_array().filter(|entries| !entries.is_empty())?;
        let mut owned = Vec::with_capacity(entries.len());
        for entry in entries {
            // Fields of another version of the kind may have other paths.
            let is_readable =
                entry.get("fieldsType")? == "FieldsV1" && (is_built_in || entry.get("apiVersion") == Some(version));
            owned.push(entry.get("fieldsV1")?.as_object().filter(|_| is_readable)?.clone());
        }
        let mut applied = Vec::new();
        for object in [stored, now] {
            let Some(written) = object.pointer("/metadata/annotations").and_then(|all| all.get(LAST_APPLIED)) else {
                continue;
            };
            let written: Value = serde_json::from_str(written.as_str()?).ok()?;
            if !written.is_object() || !is_built_in && written.get("apiVersion") != Some(version) {
                return None;
            }
            applied.push(Document::new(written));
        }
        Some(Self { owned, applied, is_built_in, keys: Cell::new(KEYS) })
    }

    /// True if the value at a path has an owner, or may have.
    pub(super) fn wrote(&self, keyed: &KeyedPath<'_>) -> bool {
        self.owned.iter().any(|fields| self.owns(fields, keyed.steps(), &|_| true))
            || self.applied.iter().any(|object| !matches!(object.find(keyed), Found::Nothing))
    }

    /// True if the object at a path was written empty, or may have been.
    pub(super) fn wrote_empty(&self, keyed: &KeyedPath<'_>) -> bool {
        self.owned.iter().any(|fields| self.owns(fields, keyed.steps(), &Map::is_empty))
            || self.applied.iter().any(|object| match object.find(keyed) {
                Found::Nothing => false,
                Found::One(value) => value.as_object().is_none_or(Map::is_empty),
                Found::Unclear => true,
            })
    }

    /// True if a set of managed fields holds the path and `is_so` accepts the fields below it.
    fn owns(
        &self,
        fields: &Map<String, Value>,
        steps: &[Step<'_>],
        is_so: &dyn Fn(&Map<String, Value>) -> bool,
    ) -> bool {
        let Some((step, rest)) = steps.split_first() else { return is_so(fields) };
        let goes_on = |below: &Value| match below {
            Value::Object(below) if below.is_empty() && !rest.is_empty() => !self.is_built_in,
            Value::Object(below) => self.owns(below, rest, is_so),
            _ => true,
        };
        match step {
            Step::Field(name) => fields.get(&format!("f:{name}")).is_some_and(goes_on),
            Step::Item(item, (field, value)) => {
                let own_key = format!("k:{}", serde_json::json!({*field: value}));
                if let Some(below) = fields.get(&own_key) {
                    return goes_on(below);
                }
                let left = self.keys.get().saturating_sub(fields.len());
                self.keys.set(left);
                left == 0 || fields.iter().any(|(key, below)| is_key_of(key, item) && goes_on(below))
            }
        }
    }
}

/// True if a key in a list's managed fields identifies `item`, or may.
fn is_key_of(key: &str, item: &Value) -> bool {
    match key.split_once(':') {
        Some(("k", fields)) => match serde_json::from_str::<Map<String, Value>>(fields) {
            Ok(fields) => fields.iter().all(|(name, value)| item.get(name) == Some(value)),
            Err(_) => true,
        },
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        Some(("i", _)) => true,
        _ => false,
    }
}
