//! The facts of a cluster that is scanned, listed once before anything is judged.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use kube::Client;
use serde_json::value::RawValue;

use super::kinds::Listed;
use super::list::{ListError, Visitor, each, fetch};
use super::references::{Owners, References};
use crate::cluster::Manifests;
use crate::document::Node;
use crate::facts::{Answer, NetworkPolicies, OwnerKind, PolicyKind, Question, World};

/// The objects that policies ask for, as a cluster holds them.
pub struct Known {
    objects: Manifests,
    /// The reason why a kind could not be listed.
    unreadable: HashMap<String, String>,
    /// Kinds of policies, beside NetworkPolicy, that could not be listed.
    unread: Vec<String>,
}

/// Group, version, kind and resource of the objects that policies ask for, and that complete others.
const FACTS: [(&str, &str, &str, &str); 4] = [
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("", "v1", "LimitRange", "limitranges"),
];

impl Known {
    /// Lists the facts. A kind that could not be listed is among the errors, and what depends on it is unknown.
    ///
    /// `objects` is what the facts are added to.
    pub async fn list(
        client: &Client,
        mut objects: Manifests,
        limit: usize,
        owners: &mut Owners,
        visitor: &mut dyn Visitor,
    ) -> (Self, Vec<ListError>) {
        let (mut unreadable, mut errors) = (HashMap::new(), Vec::new());
        for (group, version, kind, resource) in FACTS {
            let listed = Listed::new(group, version, kind, resource);
            let mut learner = Learner { objects: &mut objects, owners, told: visitor };
            if let Err(error) = each(client, &listed, limit, &mut learner).await {
                unreadable.insert(kind.to_owned(), format!("{resource} could not be listed"));
                errors.push(error);
            }
        }
        let mut unread = Vec::new();
        for kind in PolicyKind::ALL {
            let listed = Listed::new(kind.group, kind.version, kind.kind, kind.resource);
            match serves(client, &listed).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            let mut learner = Learner { objects: &mut objects, owners, told: visitor };
            if let Err(error) = each(client, &listed, limit, &mut learner).await {
                unread.push(format!("{} could not be listed", kind.qualified()));
                errors.push(error);
            }
        }
        (Self { objects, unreadable, unread }, errors)
    }

    /// Adds an object that may own others. Owners must come before what they own.
    pub fn learn(&mut self, kind: &Listed, object: &RawValue, references: &References) {
        if let Some(kind) = OwnerKind::find(&kind.group, &kind.kind) {
            self.objects.add_owner(kind, references.namespace(), references.name(), object);
        }
    }

    /// True for a kind that could not be listed.
    pub fn is_unreadable(&self, kind: &Listed) -> bool {
        FACTS.iter().any(|(group, _, name, _)| (*group, *name) == (&*kind.group, &*kind.kind))
            && self.unreadable.contains_key(&kind.kind)
    }

    /// The objects, with the LimitRanges of each namespace.
    pub fn objects(&self) -> &Manifests {
        &self.objects
    }
}

/// True if the API server serves a kind.
async fn serves(client: &Client, listed: &Listed) -> Result<bool, ListError> {
    let version = listed.api_version();
    fetch(&version, || async {
        match client.list_api_group_resources(&version).await {
            Ok(list) => Ok(list.resources.iter().any(|one| one.name == listed.resource)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    })
    .await
}

impl World for Known {
    fn known(&self, question: &Question) -> Option<Answer> {
        let kind = match question {
            Question::Owner { .. } | Question::RunningPods { .. } => return self.objects.known(question),
            Question::Namespace { .. } => "Namespace",
            Question::ServiceAccount { .. } => "ServiceAccount",
            Question::NetworkPolicies { .. } => "NetworkPolicy",
        };
        match self.unreadable.get(kind) {
            Some(why) => Some(Answer::Unavailable(why.clone())),
            None => match self.objects.known(question) {
                Some(Answer::NetworkPolicies(found)) if !self.unread.is_empty() => {
                    let found = NetworkPolicies::new(found.policies.clone(), self.unread.clone());
                    Some(Answer::NetworkPolicies(Arc::new(found)))
                }
                answer => answer,
            },
        }
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(ready(self.known(question).unwrap_or(Answer::NotFound)))
    }
}

/// Adds what is listed to the facts.
struct Learner<'l> {
    objects: &'l mut Manifests,
    owners: &'l mut Owners,
    told: &'l mut dyn Visitor,
}

impl Visitor for Learner<'_> {
    fn object(&mut self, kind: &Listed, object: &RawValue) {
        if kind.kind == "Namespace" {
            self.owners.learn(&kind.kind, &References::of(object));
        }
        if let Ok(node) = serde_json::from_str::<Node>(object.get()) {
            self.objects.add_as(&kind.api_version(), &kind.kind, &node, "");
        }
    }

    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>) {
        self.told.progress(kind, done, remaining);
    }

    fn note(&mut self, note: String) {
        self.told.note(note);
    }
}
