//! The world that manifests describe. All of it is in memory, so that every question is answered at once.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::LimitRange;
use super::owners::{StoredOwners, Wanted};
use crate::document::{Node, Value};
use crate::facts::{
    Answer, Namespace, NetworkPolicies, NetworkPolicy, OwnerKind, PolicyKind, Question, Scope, ServiceAccount, World,
};

/// The objects among the inputs that policies may ask for.
#[derive(Default)]
pub struct Manifests {
    /// All labels of each Namespace.
    namespaces: HashMap<String, BTreeMap<String, String>>,
    service_accounts: HashMap<(String, String), Arc<ServiceAccount>>,
    network_policies: HashMap<String, Vec<NetworkPolicy>>,
    /// Those for all namespaces.
    clusterwide: Vec<NetworkPolicy>,
    /// Keyed by namespace and name.
    limit_ranges: HashMap<String, BTreeMap<String, LimitRange>>,
    owners: Option<StoredOwners>,
    is_whole: bool,
}

impl Manifests {
    /// True if the manifests describe the whole cluster: an object that is not among them does not exist. Otherwise
    /// questions about a kind without any manifest are answered with [`Answer::LeftOut`].
    pub fn whole(is_whole: bool) -> Self {
        Self { is_whole, ..Self::default() }
    }

    /// The same with the owners that are asked for, as far as the manifests are a dump of what is stored.
    #[must_use]
    pub fn with_owners(self, wanted: Wanted) -> Self {
        Self { owners: Some(StoredOwners::new(wanted)), ..self }
    }

    /// Adds an object; kinds that no policy asks for are ignored. `namespace` is that of objects that name none.
    pub fn add(&mut self, object: &Node, namespace: &str) {
        let text = |path: &[&str]| {
            let node = path.iter().try_fold(object, |node, field| node.get(field));
            node.and_then(Node::as_text).filter(|text| !text.is_empty())
        };
        let (Some(api_version), Some(kind)) = (text(&["apiVersion"]), text(&["kind"])) else { return };
        self.add_as(api_version, kind, object, namespace);
    }

    /// Adds an object of a list, which names its kind once for all.
    pub fn add_as(&mut self, api_version: &str, kind: &str, object: &Node, namespace: &str) {
        let text = |field: &str| {
            let node = object.get("metadata").and_then(|metadata| metadata.get(field));
            node.and_then(Node::as_text).filter(|text| !text.is_empty())
        };
        let namespace = text("namespace").unwrap_or(namespace).to_owned();
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        if let (Some(owners), Some(owner), Some(name)) = (&mut self.owners, OwnerKind::find(group, kind), text("name"))
        {
            // One that is nested too deeply owns nothing.
            if let Ok(stored) = serde_json::to_string(object).and_then(RawValue::from_string) {
                owners.learn(owner, &namespace, name, &stored);
            }
        }
        match (api_version, kind, text("name")) {
            ("v1", "Namespace", Some(name)) => {
                self.namespaces.insert(name.to_owned(), labels(object));
            }
            ("v1", "ServiceAccount", Some(name)) => {
                let automount_token = match object.get("automountServiceAccountToken").map(|node| &node.value) {
                    Some(Value::Bool(value)) => Some(*value),
                    _ => None,
                };
                let account = Arc::new(ServiceAccount { automount_token, labels: labels(object) });
                self.service_accounts.insert((namespace, name.to_owned()), account);
            }
            ("networking.k8s.io/v1", "NetworkPolicy", _) => {
                // The API server would refuse an invalid NetworkPolicy: it isolates nothing.
                let read = serde_json::to_value(object).and_then(NetworkPolicy::read);
                self.network_policies.entry(namespace).or_default().extend(read);
            }
            (api_version, kind, _) if PolicyKind::find(api_version, kind).is_some() => {
                self.add_policy(api_version, kind, object, namespace);
            }
            ("v1", "LimitRange", Some(name)) => {
                if let Ok(range) = serde_json::to_value(object).and_then(LimitRange::read) {
                    self.limit_ranges.entry(namespace).or_default().insert(name.to_owned(), range);
                }
            }
            _ => {}
        }
    }

    /// Adds a policy of another kind than NetworkPolicy. An API server, or the engine, would refuse one that is invalid.
    fn add_policy(&mut self, api_version: &str, kind: &str, object: &Node, namespace: String) {
        let Some(kind) = PolicyKind::find(api_version, kind) else { return };
        let read = serde_json::to_value(object).ok().and_then(|object| kind.read(&object, &namespace).ok());
        let policies = match kind.scope {
            Scope::Namespaced => self.network_policies.entry(namespace).or_default(),
            Scope::Clusterwide => &mut self.clusterwide,
        };
        policies.extend(read.into_iter().flatten());
    }

    /// The policies that concern a namespace. One without a manifest has no labels but its name.
    fn policies(&self, namespace: &str) -> NetworkPolicies {
        let labels = self.namespaces.get(namespace);
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        let here = self.network_policies.get(namespace).into_iter().flatten().chain(&self.clusterwide);
        here.filter_map(|policy| policy.within(namespace, Some(&label))).collect::<Vec<_>>().into()
    }

    /// Adds an object of a cluster that owns others.
    pub(crate) fn add_owner(&mut self, kind: OwnerKind, namespace: &str, name: &str, stored: &RawValue) {
        if let Some(owners) = &mut self.owners {
            owners.learn(kind, namespace, name, stored);
        }
    }

    /// A note about owners for which there was no room.
    pub fn note(&self) -> Option<String> {
        self.owners.as_ref()?.note()
    }

    /// The LimitRanges of a namespace, in the order of their names.
    pub fn limit_ranges(&self, namespace: &str) -> impl Iterator<Item = &LimitRange> + Clone {
        self.limit_ranges.get(namespace).into_iter().flat_map(BTreeMap::values)
    }
}

/// The labels of an object.
fn labels(object: &Node) -> BTreeMap<String, String> {
    let labels = object.get("metadata").and_then(|node| node.get("labels")).map(|node| &node.value);
    let Some(Value::Map(map)) = labels else { return BTreeMap::new() };
    let written = map.entries.iter().filter_map(|(key, node)| Some((key.name.clone(), node.as_text()?.to_owned())));
    written.collect()
}

impl World for Manifests {
    fn known(&self, question: &Question) -> Option<Answer> {
        Some(match question {
            Question::Namespace { .. } if self.namespaces.is_empty() && !self.is_whole => Answer::LeftOut,
            // A Namespace without a manifest has no labels.
            Question::Namespace { name, keys } => {
                let labels = self.namespaces.get(name).into_iter().flatten();
                let labels = labels.map(|(key, value)| (key.as_str(), value.as_str()));
                Answer::Namespace(Arc::new(Namespace::labelled(labels, keys)))
            }
            Question::ServiceAccount { namespace, name } => {
                let found = self.service_accounts.get(&(namespace.clone(), name.clone()));
                found.map_or(Answer::NotFound, |account| Answer::ServiceAccount(Arc::clone(account)))
            }
            Question::NetworkPolicies { .. }
                if self.network_policies.is_empty() && self.clusterwide.is_empty() && !self.is_whole =>
            {
                Answer::LeftOut
            }
            Question::NetworkPolicies { namespace, .. } => Answer::NetworkPolicies(Arc::new(self.policies(namespace))),
            // Files take nothing away.
            Question::RunningPods { .. } => Answer::LeftOut,
            Question::Owner { kind, namespace, name } => {
                let found = self.owners.as_ref().and_then(|owners| owners.find(*kind, namespace, name));
                found.unwrap_or(Answer::NotFound)
            }
        })
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.known(question).unwrap_or(Answer::NotFound)))
    }
}
