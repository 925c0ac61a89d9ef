//! The fixtures of the policies (`tests/policies/<id>/*.yaml`): what is found in them, and what is set.

use portcullis::config::Snapshot;
use portcullis::decision::Judged;
use portcullis::policy::catalogue::{CATALOGUE, Entry};
use portcullis::request::Source;
use serde_json::{Value, json};

use crate::golden;
use crate::judging;

/// A manifest that a policy admits or denies, patches or keeps.
pub(crate) struct Fixture {
    /// `deny-pod.yaml`
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Fixture {
    pub(crate) fn is_denied(&self) -> bool {
        self.name.starts_with("deny-")
    }

    /// Whether it is patched, rather than kept.
    pub(crate) fn is_patched(&self) -> bool {
        self.name.starts_with("patch-")
    }

    /// The one object in it.
    pub(crate) fn object(&self) -> Value {
        let mut objects = judging::documents(&self.text);
        assert_eq!(objects.len(), 1, "{}: a fixture of a mutator holds one object", self.name);
        objects.remove(0)
    }

    /// The one Pod in it.
    pub(crate) fn pod(&self) -> Value {
        let mut pods = judging::documents(&self.text);
        pods.retain(|object| object["kind"] == "Pod");
        assert_eq!(pods.len(), 1, "{}: a fixture holds one Pod", self.name);
        pods.remove(0)
    }

    /// What is found in an object, with this fixture's other objects as the world.
    pub(crate) fn findings(&self, snapshot: &Snapshot, object: &Value, source: Source) -> Vec<Judged> {
        let decision = judging::create(snapshot, object, &judging::world(&self.text), source);
        decision.unwrap_or_else(|error| panic!("{}: {error}", self.name)).findings
    }
}

/// The fixtures of a policy, in the order of their names.
pub(crate) fn of(policy: &str) -> Vec<Fixture> {
    let folder = format!("tests/policies/{policy}");
    let names = golden::names_in(&folder).into_iter().filter(|name| name != "expected.txt");
    let read = |name: String| {
        let text = std::fs::read_to_string(golden::repository(&folder).join(&name)).expect("UTF-8");
        Fixture { name, text }
    };
    names.map(read).collect()
}

/// The validators, each with each of its fixtures.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Fixture)> {
    validators().flat_map(|entry| of(entry.meta.id).into_iter().map(|fixture| (entry.meta.id, fixture)))
}

/// The mutators, each with each of its fixtures.
pub(crate) fn of_mutators() -> impl Iterator<Item = (&'static str, Fixture)> {
    mutators().flat_map(|entry| of(entry.meta.id).into_iter().map(|fixture| (entry.meta.id, fixture)))
}

/// The policies that judge.
pub(crate) fn validators() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().filter(|entry| entry.safety.is_none())
}

/// The policies that set defaults.
pub(crate) fn mutators() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().filter(|entry| entry.safety.is_some())
}

/// The kinds that hold a pod template: group and version, kind, the way to the template.
pub(crate) const TEMPLATE_KINDS: [(&str, &str, &str); 8] = [
    ("v1", "PodTemplate", "template"),
    ("v1", "ReplicationController", "spec.template"),
    ("apps/v1", "ReplicaSet", "spec.template"),
    ("apps/v1", "Deployment", "spec.template"),
    ("apps/v1", "StatefulSet", "spec.template"),
    ("apps/v1", "DaemonSet", "spec.template"),
    ("batch/v1", "Job", "spec.template"),
    ("batch/v1", "CronJob", "spec.jobTemplate.spec.template"),
];

/// The pod as the template of another kind.
pub(crate) fn wrapped(pod: &Value, (api_version, kind, way): (&str, &str, &str)) -> Value {
    let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
    let fields: Vec<&str> = way.split('.').rev().collect();
    let mut object = fields.iter().fold(template, |inner, field| json!({(*field): inner}));
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "web"});
    object
}
