//! The stored objects that own others, as far as an exception may be about them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exception::{Exceptions, Name, Shared};
use crate::facts::{Answer, OwnerKind};
use crate::object::{Controllers, Owned};

/// Maximum size of all objects that are kept, in bytes.
const BYTES: usize = 64 << 20;
/// Size of an entry of the table beside the text of its object, in bytes.
const ENTRY: usize = 256;
/// The fields of metadata that are kept: those that a decision about an owner reads.
const METADATA: [&str; 6] = ["name", "namespace", "uid", "creationTimestamp", "labels", "ownerReferences"];

/// Objects that own others, so that exceptions for them count for what they own.
///
/// Of topmost objects, those that an exception in force may be about are kept with their `spec`. Of objects between those and Pods
/// the metadata is, as it leads to the topmost ones. Nothing is kept of objects without a uid, which no API server has stored.
#[derive(Default)]
pub(super) struct StoredOwners {
    /// The exceptions in force, by namespace.
    exceptions: HashMap<String, Vec<Shared>>,
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
    /// No objects yet; `exceptions` are those that may be about owners at the time `now`.
    pub(super) fn new(exceptions: &Exceptions, now: Timestamp) -> Self {
        let mut by_namespace: HashMap<String, Vec<Shared>> = HashMap::new();
        for exception in exceptions.iter().filter(|exception| exception.is_in_force(now)) {
            if let Some(namespace) = &exception.matching.namespace {
                by_namespace.entry(namespace.clone()).or_default().push(Arc::clone(exception));
            }
        }
        Self { exceptions: by_namespace, ..Self::default() }
    }

    /// True if objects of a kind in a namespace may be kept.
    pub(super) fn may_keep(&self, group: &str, kind: &str, namespace: &str) -> bool {
        self.exceptions.contains_key(namespace) && OwnerKind::find(group, kind).is_some()
    }

    /// Keeps an object, if it may matter.
    pub(super) fn learn(&mut self, group: &str, kind: &str, namespace: &str, name: &str, stored: &RawValue) {
        let Some(kind) = OwnerKind::find(group, kind) else { return };
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
                "note: exceptions may be about more owners than are kept ({} MiB): what {} of them own is judged as if nobody \
                 owned it; name the owners in the exceptions",
                BYTES >> 20,
                self.left_out
            )
        })
    }

    /// The part of an object that matters; `None` if nothing of it does.
    fn kept(&self, kind: OwnerKind, namespace: &str, name: &str, stored: &RawValue) -> Option<String> {
        let exceptions = self.exceptions.get(namespace)?;
        let owned = Owned::read(stored).ok().filter(|owned| !owned.uid().is_empty())?;
        let (top, top_name) = match owned.controllers() {
            Controllers::None => (kind, name),
            Controllers::One(controller) => {
                let above = OwnerKind::find(controller.group(), controller.kind());
                (above.filter(|above| kind.above() == Some(*above))?, controller.name())
            }
            Controllers::Several => return None,
        };
        let name = Name::Exact(top_name);
        if !exceptions.iter().any(|one| one.matching.is_for(top.group(), top.kind(), name)) {
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
    use crate::config::compile_at;
    use crate::facts::{Answer, OwnerKind};

    /// Those of a configuration with an exception for these objects, until 2027.
    fn owners(matching: &str) -> StoredOwners {
        let text = format!(
            "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies: {{host-ports: {{mode: enforce}}}}\nexceptions:\n\
             - {{name: a, policies: [host-ports], match: {{{matching}}}, expires: 2027-01-01T00:00:00Z, reason: r, owner: o}}\n"
        );
        let now = "2026-12-01T00:00:00Z".parse().expect("a time");
        StoredOwners::new(compile_at("c", &text, None, now).expect("a configuration").snapshot.exceptions(), now)
    }

    fn object(uid: &str, controller: Option<(&str, &str, &str)>) -> Value {
        let references = controller.map(|(api_version, kind, name)| {
            json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true}])
        });
        json!({"metadata": {"uid": uid, "ownerReferences": references, "managedFields": [1]}, "spec": {"a": 1}, "status": {}})
    }

    fn learn(owners: &mut StoredOwners, group: &str, kind: &str, name: &str, object: &Value) -> Option<String> {
        owners.learn(group, kind, "shop", name, &to_raw_value(object).expect("JSON"));
        match owners.find(OwnerKind::find(group, kind)?, "shop", name)? {
            Answer::Object(text) => Some((*text).to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_an_exception_may_be_about_is_kept_and_what_leads_there() {
        let mut owners = owners("namespace: shop, kind: Deployment, name: web");
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
    fn nothing_is_kept_without_an_exception_there() {
        for matching in ["namespace: quiet", "kind: Namespace, name: shop", "namespace: shop, kind: Pod"] {
            assert_eq!(
                learn(&mut owners(matching), "apps", "Deployment", "web", &object("1", None)),
                None,
                "{matching}"
            );
        }
        let mut any = owners("namespace: shop");
        assert!(learn(&mut any, "apps", "Deployment", "web", &object("1", None)).is_some());
        assert!(any.may_keep("apps", "Deployment", "shop") && !any.may_keep("apps", "Deployment", "quiet"));
        assert!(!any.may_keep("", "Pod", "shop"));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut owners = owners("namespace: shop");
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
