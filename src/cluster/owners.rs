//! The stored objects that own others, as far as they are asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::facts::{Answer, OwnerKind};
use crate::object::{Controllers, Owned};

/// Maximum size of all objects that are kept, in bytes.
const BYTES: usize = 64 << 20;
/// Size of an entry of the table beside the text of its object, in bytes.
const ENTRY: usize = 256;
/// The fields of metadata that are kept: those that a decision about an owner reads.
const METADATA: [&str; 6] = ["name", "namespace", "uid", "creationTimestamp", "labels", "ownerReferences"];

/// True for the kind, namespace and name of a topmost owner that is asked for.
pub type Wanted = Box<dyn Fn(OwnerKind, &str, &str) -> bool + Send + Sync>;

/// Objects that own others, so that exceptions for them, and their age, count for what they own.
///
/// Topmost objects that are asked for are kept with their `spec`. Of objects between those and Pods the metadata is, as it leads to
/// the topmost ones. Nothing is kept of objects without a uid, which no API server has stored.
pub(super) struct StoredOwners {
    wanted: Wanted,
    /// JSON of each object; `None` if several of that name differ.
    objects: HashMap<(OwnerKind, String, String), Option<Arc<str>>>,
    /// Size of the objects.
    size: usize,
    /// Number of objects for which there was no room.
    left_out: usize,
}

/// An object, as it is kept.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    #[serde(borrow)]
    metadata: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    spec: Option<&'a RawValue>,
}

impl StoredOwners {
    /// No objects yet.
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, objects: HashMap::new(), size: 0, left_out: 0 }
    }

    /// Keeps an object, if it may matter.
    pub(super) fn learn(&mut self, kind: OwnerKind, namespace: &str, name: &str, stored: &RawValue) {
        let Some(kept) = self.kept(kind, namespace, name, stored) else { return };
        let key = (kind, namespace.to_owned(), name.to_owned());
        if let Some(known) = self.objects.get_mut(&key) {
            if known.as_deref() != Some(&kept) {
                *known = None;
            }
            return;
        }
        let size = kept.len() + ENTRY;
        if self.size + size > BYTES {
            self.left_out += 1;
            return;
        }
        self.size += size;
        self.objects.insert(key, Some(kept.into()));
    }

    /// The object of this name.
    pub(super) fn find(&self, kind: OwnerKind, namespace: &str, name: &str) -> Option<Answer> {
        let known = self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))?.as_ref()?;
        Some(Answer::Object(Arc::clone(known)))
    }

    /// A note about objects for which there was no room.
    pub(super) fn note(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "note: `exceptions` and `existing` ask for more owners than are kept ({} MiB): what {} of them own is judged as if \
                 nobody owned it; name the owners in the exceptions, or scan without `existing`",
                BYTES >> 20,
                self.left_out
            )
        })
    }

    /// The part of an object that matters; `None` if nothing of it does.
    fn kept(&self, kind: OwnerKind, namespace: &str, name: &str, stored: &RawValue) -> Option<String> {
        let owned = Owned::read(stored).ok().filter(|owned| !owned.uid().is_empty())?;
        let (top, top_name) = match owned.controllers() {
            Controllers::None => (kind, name),
            Controllers::One(controller) => {
                let above = OwnerKind::find(controller.group(), controller.kind());
                (above.filter(|above| kind.above() == Some(*above))?, controller.name())
            }
            Controllers::Several => return None,
        };
        if !(self.wanted)(top, namespace, top_name) {
            return None;
        }
        let mut kept: Kept<'_> = serde_json::from_str(stored.get()).ok()?;
        kept.metadata.retain(|field, _| METADATA.contains(&field.as_str()));
        if *owned.controllers() != Controllers::None {
            kept.spec = None;
        }
        serde_json::to_string(&kept).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::{BYTES, ENTRY, StoredOwners};
    use crate::facts::{Answer, OwnerKind};

    /// Those that ask for one Deployment in `shop`, or for everything there.
    fn owners(name: Option<&'static str>) -> StoredOwners {
        StoredOwners::new(Box::new(move |kind, namespace, top| {
            namespace == "shop" && name.is_none_or(|name| kind == OwnerKind::Deployment && name == top)
        }))
    }

    fn object(uid: &str, controller: Option<(&str, &str, &str)>) -> Value {
        let references = controller.map(|(api_version, kind, name)| {
            json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true}])
        });
        json!({"metadata": {"uid": uid, "ownerReferences": references, "managedFields": [1]}, "spec": {"a": 1}, "status": {}})
    }

    fn learn(owners: &mut StoredOwners, group: &str, kind: &str, name: &str, object: &Value) -> Option<String> {
        let kind = OwnerKind::find(group, kind).expect("a kind");
        owners.learn(kind, "shop", name, &to_raw_value(object).expect("JSON"));
        match owners.find(kind, "shop", name)? {
            Answer::Object(text) => Some((*text).to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_asked_for_is_kept_and_what_leads_there() {
        let mut owners = owners(Some("web"));
        let mut keep = |kind: &str, name: &str, object: &Value| learn(&mut owners, "apps", kind, name, object);
        let top = keep("Deployment", "web", &object("1", None)).expect("kept");
        assert_eq!(top, r#"{"metadata":{"ownerReferences":null,"uid":"1"},"spec":{"a":1}}"#);
        let between = keep("ReplicaSet", "web-1", &object("2", Some(("apps/v1", "Deployment", "web")))).expect("kept");
        assert!(between.contains(r#""name":"web""#) && !between.contains("spec"), "{between}");
        for (kind, name, object) in [
            ("Deployment", "other", object("3", None)),
            ("ReplicaSet", "web", object("3", None)),
            ("ReplicaSet", "other", object("3", Some(("apps/v1", "Deployment", "other")))),
            ("ReplicaSet", "of-map", object("3", Some(("v1", "ConfigMap", "web")))),
            ("ReplicaSet", "of-other", object("3", Some(("a.b/v1", "Deployment", "web")))),
            ("StatefulSet", "set", object("3", Some(("apps/v1", "Deployment", "web")))),
            ("DaemonSet", "web", object("3", None)),
        ] {
            assert_eq!(keep(kind, name, &object), None, "{kind}/{name}");
        }
        let mut without = object("", None);
        assert_eq!(
            keep("Deployment", "web", &without).as_ref(),
            Some(&top),
            "a manifest says nothing of what is stored"
        );
        without["metadata"]["uid"] = json!("1");
        without["spec"] = json!({"a": 2});
        assert_eq!(keep("Deployment", "web", &without), None, "there are two of that name");
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut owners = owners(None);
        let mut large = object("1", None);
        large["spec"]["a"] = json!("x".repeat(1 << 20));
        let room = BYTES / ((1 << 20) + ENTRY);
        let kept =
            (0..70).filter(|at| learn(&mut owners, "apps", "Deployment", &at.to_string(), &large).is_some()).count();
        assert!(kept < 70 && kept.abs_diff(room) <= 1, "{kept}");
        let note = owners.note().expect("a note");
        assert!(note.contains(&format!("what {} of them own", 70 - kept)), "{note}");
    }
}
