//! The fixtures of the policies (`tests/policies/<id>/*.yaml`): what is found in them, and what is set.

use portcullis::decision::ModedFinding;
use portcullis::object::resource::Resource;
use portcullis::policy::Kinds;
use portcullis::policy::catalogue::{CATALOGUE, Entry};
use portcullis::request::{Source, User};
use portcullis::snapshot::Snapshot;
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

    /// True if it is admitted with a warning, whatever the mode.
    pub(crate) fn is_warned(&self) -> bool {
        self.name.starts_with("warn-")
    }

    /// True if newer API servers, or all, refuse it before any webhook is asked.
    pub(crate) fn is_invalid(&self) -> bool {
        self.name.contains("-invalid")
    }

    /// True if it is patched, false if it is kept.
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

    /// Findings in an object, with this fixture's other objects as the world.
    pub(crate) fn findings(&self, snapshot: &Snapshot, object: &Value, source: Source) -> Vec<ModedFinding> {
        let decision = judging::create_by(&self.user(), snapshot, object, &judging::world(&self.text), source);
        decision.unwrap_or_else(|error| panic!("{}: {error}", self.name)).findings
    }

    /// The user who sends it, of whom its first line tells: `# user: {username: jane, groups: [developers]}`; nobody without one.
    pub(crate) fn user(&self) -> User<'static> {
        let Some(line) = self.text.lines().next().and_then(|line| line.strip_prefix("# user: ")) else {
            return User::default();
        };
        let user = judging::documents(line).remove(0);
        let texts = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
        User {
            username: user["username"].as_str().map(|name| name.to_owned().into()),
            groups: Some(texts.map(|group| group.to_owned().into()).collect()),
            ..User::default()
        }
    }

    /// Findings in the one object, in the request that its row of the policy is asked about: a creation, or a CONNECT.
    pub(crate) fn findings_of(&self, entry: &Entry, snapshot: &Snapshot, source: Source) -> Vec<ModedFinding> {
        let object = self.object();
        if entry.meta.kinds == [Kinds::Settings] {
            return self.findings(snapshot, &object, source);
        }
        let decision =
            judging::ask_on(&self.user(), snapshot, &object, &judging::world(&self.text), source, self.row(entry));
        decision.unwrap_or_else(|error| panic!("{}: {error}", self.name)).findings
    }

    /// The row of a policy that the one object is of.
    pub(crate) fn row(&self, entry: &Entry) -> &'static Resource {
        let object = self.object();
        let rows = entry.meta.kinds.iter().filter_map(|kinds| match kinds {
            Kinds::Resource(row) => Some(*row),
            _ => None,
        });
        let row = rows.into_iter().find(|row| object["kind"] == row.kind);
        row.unwrap_or_else(|| panic!("{}/{}: of no kind that the policy judges", entry.meta.id, self.name))
    }
}

/// Beginnings of the names of fixtures; other files of a folder hold what else the tests know of the policy.
const WORDS: [&str; 5] = ["admit-", "deny-", "warn-", "patch-", "keep-"];
/// Those other files.
const OTHERS: [&str; 5] = ["expected.txt", "flaw.yaml", "remedies.yaml", "bad-settings.yaml", "settings.yaml"];

/// The fixtures of a policy, in the order of their names.
pub(crate) fn of(policy: &str) -> Vec<Fixture> {
    let folder = format!("tests/policies/{policy}");
    let names = golden::names_in(&folder).into_iter().filter(|name| !OTHERS.contains(&name.as_str()));
    let read = |name: String| {
        assert!(WORDS.iter().any(|word| name.starts_with(word)), "{folder}/{name}: is of no known name");
        let text = std::fs::read_to_string(golden::repository(&folder).join(&name)).expect("UTF-8");
        Fixture { name, text }
    };
    names.map(read).collect()
}

/// Content of another file of a policy's folder, in YAML. Every policy that the file is about has one.
pub(crate) fn table(policy: &str, file: &str) -> Value {
    assert!(OTHERS.contains(&file), "{file}");
    let path = format!("tests/policies/{policy}/{file}");
    let text = std::fs::read_to_string(golden::repository(&path)).unwrap_or_else(|_| panic!("{path} is missing"));
    judging::documents(&text).into_iter().next().unwrap_or_else(|| panic!("{path} is empty"))
}

/// The fields of a policy that enforces it, with the settings that its fixtures are judged with.
pub(crate) fn enforced(id: &str) -> String {
    let entry = CATALOGUE.iter().find(|entry| entry.meta.id == id).unwrap_or_else(|| panic!("{id}: no policy"));
    let settings = entry.settings.map(|text| judging::documents(text).remove(0));
    settings.map_or("{mode: enforce}".to_owned(), |settings| format!("{{mode: enforce, settings: {settings}}}"))
}

/// Policies that stand alone, as those do whose rules are all in their settings: the fixtures of others break them.
pub(crate) const ALONE: [&str; 2] = ["unlimited-ingresses", "headerless-ingresses"];

/// Policies on who writes: their fixtures name the user.
const ON_WRITERS: [&str; 2] = ["ad-hoc-edits", "routine-admins"];

/// The validators of Pods, each with each of its fixtures.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Fixture)> {
    pod_validators().flat_map(|entry| of(entry.meta.id).into_iter().map(|fixture| (entry.meta.id, fixture)))
}

/// The mutators, each with each of its fixtures.
pub(crate) fn of_mutators() -> impl Iterator<Item = (&'static str, Fixture)> {
    mutators().flat_map(|entry| of(entry.meta.id).into_iter().map(|fixture| (entry.meta.id, fixture)))
}

/// The policies that judge.
pub(crate) fn validators() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().filter(|entry| entry.safety.is_none())
}

/// The policies that judge Pods and pod templates.
pub(crate) fn pod_validators() -> impl Iterator<Item = &'static Entry> {
    object_validators().filter(|entry| entry.meta.kinds.contains(&Kinds::Pods))
}

/// The policies that judge other objects.
pub(crate) fn other_validators() -> impl Iterator<Item = &'static Entry> {
    object_validators().filter(|entry| !entry.meta.kinds.contains(&Kinds::Pods))
}

/// The policies that judge who writes.
pub(crate) fn writer_validators() -> impl Iterator<Item = &'static Entry> {
    validators().filter(|entry| ON_WRITERS.contains(&entry.meta.id))
}

fn object_validators() -> impl Iterator<Item = &'static Entry> {
    validators().filter(|entry| !ON_WRITERS.contains(&entry.meta.id))
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
