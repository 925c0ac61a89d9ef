//! Who wrote a field, as far as the stored object tells: its managed fields, and what was last applied.
//!
//! What a webhook sets is nobody's: the API server works out managed fields before it asks
//! (`K/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/update.go`). The managed fields of the request itself count for
//! nothing, because its caller may have written them.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::way::{Document, Found, Step, Way};

/// The annotation in which `kubectl apply` keeps what it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The keys of list items that are read before a field counts as somebody's: the lists of a pod are short, and a hostile
/// one is not worth the time.
const KEYS: usize = 20_000;

/// What is known about who wrote an object.
pub(super) struct Authors {
    /// `fieldsV1` of every entry of the stored object.
    owned: Vec<Map<String, Value>>,
    /// What was last applied, before this write and by it.
    applied: Vec<Document>,
    /// Whether the kind is one of Kubernetes' own. None of its objects and lists that hold what we set is atomic, so that
    /// an entry without fields below it is an object that was written empty. In other kinds it owns all that is in it.
    is_built_in: bool,
    keys: Cell<usize>,
}

impl Authors {
    /// Reads them; `None` where they say nothing or cannot be read.
    pub(super) fn of(stored: &Value, now: &Value, is_built_in: bool) -> Option<Self> {
        let version = stored.get("apiVersion")?;
        let entries = stored.pointer("/metadata/managedFields")?.as_array().filter(|entries| !entries.is_empty())?;
        let mut owned = Vec::with_capacity(entries.len());
        for entry in entries {
            // Fields of another version of the kind may stand elsewhere.
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

    /// Whether somebody wrote what is at the end of a way, or may have.
    pub(super) fn wrote(&self, way: &Way<'_>) -> bool {
        self.owned.iter().any(|fields| self.owns(fields, way.steps(), &|_| true))
            || self.applied.iter().any(|object| !matches!(object.find(way), Found::Nothing))
    }

    /// Whether somebody wrote an empty object at the end of a way, or may have.
    pub(super) fn wrote_empty(&self, way: &Way<'_>) -> bool {
        self.owned.iter().any(|fields| self.owns(fields, way.steps(), &Map::is_empty))
            || self.applied.iter().any(|object| match object.find(way) {
                Found::Nothing => false,
                Found::One(value) => value.as_object().is_none_or(Map::is_empty),
                Found::Unclear => true,
            })
    }

    /// Whether a set of fields holds the end of a way, such that `is_so` says of what is below it.
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

/// Whether a key of a list's managed fields is that of an item, or may be.
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
