//! The metadata of an object that results are grouped by: its owner, and its team.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::Node;

/// Maximum number of objects that are remembered as owners. Objects of others are attributed to their own controller.
const OWNERS: usize = 200_000;
/// Maximum number of owners above an object.
const HOPS: usize = 8;

/// Name, labels and controller of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct References {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    generate_name: String,
    #[serde(deserialize_with = "text")]
    namespace: String,
    #[serde(deserialize_with = "text")]
    uid: String,
    labels: Value,
    annotations: Value,
    #[serde(deserialize_with = "controller")]
    owner_references: Option<OwnerReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerReference {
    kind: String,
    name: String,
    uid: String,
    controller: Option<bool>,
}

/// A string; empty for a value of another type, which is reported where the object is judged.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

/// The owner that controls the object.
fn controller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OwnerReference>, D::Error> {
    let Value::Array(owners) = Value::deserialize(deserializer)? else { return Ok(None) };
    let mut owners = owners.into_iter().filter_map(|owner| serde_json::from_value::<OwnerReference>(owner).ok());
    Ok(owners.find(|owner| owner.controller == Some(true)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer {
    metadata: Option<References>,
}

impl References {
    /// Reads them from JSON.
    pub fn of(object: &RawValue) -> Self {
        serde_json::from_str::<Outer>(object.get()).unwrap_or_default().metadata.unwrap_or_default()
    }

    /// The same from a document.
    pub fn of_node(object: &Node) -> Self {
        let metadata = object.get("metadata").map(serde_json::to_value);
        metadata.and_then(Result::ok).and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }

    /// Namespace; empty if it is absent.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name, or the `generateName` from which one would be made.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { &self.generate_name } else { &self.name }
    }

    /// True if it has a name, and not only the beginning of one.
    pub(super) fn has_name(&self) -> bool {
        !self.name.is_empty()
    }

    /// True if its name was generated: it would have another one if it was made again. A StatefulSet gives its Pods the same names
    /// again.
    pub(super) fn has_generated_name(&self) -> bool {
        let is_numbered = self.controller().is_some_and(|owner| owner.kind == "StatefulSet");
        !self.generate_name.is_empty() && self.name.starts_with(&self.generate_name) && !is_numbered
    }

    /// True if an API server has stored the object.
    pub fn is_stored(&self) -> bool {
        !self.uid.is_empty()
    }

    /// `namespace/name`, by which lists are ordered.
    pub(super) fn place(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.as_ref()
    }
}

/// The labels and annotations that name a team, the first one that is set counts.
#[derive(Debug, Clone, Default)]
pub struct TeamKeys {
    /// Keys of labels; they come before annotations.
    pub labels: Vec<String>,
    /// Keys of annotations.
    pub annotations: Vec<String>,
}

impl TeamKeys {
    /// True if nothing names a team.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    fn read(&self, object: &References) -> Option<Arc<str>> {
        let labels = self.labels.iter().map(|key| object.labels.get(key));
        let annotations = self.annotations.iter().map(|key| object.annotations.get(key));
        let mut found = labels.chain(annotations).flatten().filter_map(Value::as_str);
        found.find(|team| !team.is_empty()).map(Arc::from)
    }
}

/// An object that may own others.
struct Owner {
    label: Arc<str>,
    /// Label and uid of its controller.
    controller: Option<(Arc<str>, Box<str>)>,
}

/// The owners and namespaces that were seen.
#[derive(Default)]
pub struct Owners {
    keys: TeamKeys,
    by_uid: HashMap<Box<str>, Owner>,
    /// The teams that namespaces name.
    teams: HashMap<String, Arc<str>>,
}

impl Owners {
    /// None yet; `keys` name teams.
    pub fn new(keys: TeamKeys) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Remembers an object that may own others. Pods own nothing that is judged.
    pub fn learn(&mut self, kind: &str, object: &References) {
        if kind == "Namespace" {
            if let Some(team) = self.keys.read(object) {
                self.teams.insert(object.name.clone(), team);
            }
        } else if kind != "Pod" && !object.uid.is_empty() && self.by_uid.len() < OWNERS {
            let controller =
                object.controller().map(|owner| (label(&owner.kind, &owner.name), owner.uid.clone().into()));
            self.by_uid.insert(object.uid.clone().into(), Owner { label: label(kind, object.name()), controller });
        }
    }

    /// The topmost controller of an object as `Kind/name`, as far as it was seen: the object itself without one.
    pub fn topmost(&self, kind: &str, object: &References) -> Arc<str> {
        let Some(first) = object.controller() else { return label(kind, object.name()) };
        let (mut top, mut uid) = (label(&first.kind, &first.name), first.uid.as_str());
        for _ in 0..HOPS {
            let Some(owner) = self.by_uid.get(uid) else { break };
            top = Arc::clone(&owner.label);
            let Some((label, next)) = &owner.controller else { break };
            (top, uid) = (Arc::clone(label), next);
        }
        top
    }

    /// The team of an object: the one that it names, or else its namespace.
    pub fn team(&self, object: &References, namespace: &str) -> Option<Arc<str>> {
        self.keys.read(object).or_else(|| self.teams.get(namespace).cloned())
    }
}

fn label(kind: &str, name: &str) -> Arc<str> {
    format!("{kind}/{name}").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Owners, References, TeamKeys};

    fn object(name: &str, owner: Option<(&str, &str)>) -> References {
        let owners = owner.map(|(kind, name)| json!([{"kind": kind, "name": name, "uid": name, "controller": true}]));
        serde_json::from_value(json!({"name": name, "uid": name, "ownerReferences": owners.unwrap_or(json!([]))}))
            .expect("metadata")
    }

    #[test]
    fn an_owner_is_followed_to_the_top() {
        let mut owners = Owners::new(TeamKeys::default());
        owners.learn("ReplicaSet", &object("set", Some(("Deployment", "web"))));
        let pod = object("pod", Some(("ReplicaSet", "set")));
        assert_eq!(&*owners.topmost("Pod", &pod), "Deployment/web", "the Deployment itself was not seen");
        owners.learn("Deployment", &object("web", Some(("App", "shop"))));
        assert_eq!(&*owners.topmost("Pod", &pod), "App/shop");
        assert_eq!(&*owners.topmost("Pod", &object("pod", Some(("Node", "n")))), "Node/n");
        assert_eq!(&*owners.topmost("Pod", &object("pod", None)), "Pod/pod");
    }

    #[test]
    fn owners_in_a_circle_end() {
        let mut owners = Owners::new(TeamKeys::default());
        owners.learn("A", &object("a", Some(("B", "b"))));
        owners.learn("B", &object("b", Some(("A", "a"))));
        owners.topmost("Pod", &object("pod", Some(("A", "a"))));
    }

    #[test]
    fn an_object_names_its_team_before_its_namespace_does() {
        let keys = TeamKeys { labels: vec!["team".to_owned()], annotations: vec!["contact".to_owned()] };
        let mut owners = Owners::new(keys);
        let read = |value| serde_json::from_value::<References>(value).expect("metadata");
        owners.learn("Namespace", &read(json!({"name": "shop", "annotations": {"contact": "shop@example.com"}})));
        let named = read(json!({"name": "a", "labels": {"team": "web"}, "annotations": {"contact": "x"}}));
        assert_eq!(owners.team(&named, "shop").as_deref(), Some("web"));
        let silent = read(json!({"name": "a", "labels": {"team": ""}}));
        assert_eq!(owners.team(&silent, "shop").as_deref(), Some("shop@example.com"));
        assert_eq!(owners.team(&silent, "other"), None);
    }
}
