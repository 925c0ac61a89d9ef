//! The fixtures of `k8s.io/pod-security-admission`, each at its level and version: `check` says of each what its folder
//! says, and names the policy that is the control in its name, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use portcullis::cluster::Manifests;
use portcullis::request::Source;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::controls::CONTROLS;
use super::{LEVELS, Level, NEWEST, configuration, snapshot, upstream};
use crate::fixtures::{TEMPLATE_KINDS, wrapped};
use crate::judging::{self, HEAD};

/// The fewest that there are: who finds less looks in the wrong place.
const FEWEST: usize = 4_500;

/// A finding of the evaluator itself in a fixture besides the one that its name says
/// (`webhook::the_evaluator_agrees` holds it to that).
struct More {
    name: &'static str,
    level: Level,
    since: usize,
    policy: &'static str,
}

const MORE: [More; 3] = [
    // The API server admits HostProcess only on the network of the node.
    More { name: "windowshostprocess", level: Level::Baseline, since: 0, policy: "host-namespaces" },
    // It refuses `allowPrivilegeEscalation: false` beside `privileged: true`, so the fixture leaves it out.
    More { name: "privileged", level: Level::Restricted, since: 8, policy: "privilege-escalation" },
    // This one has no security context at all, so nothing is dropped either.
    More { name: "allowprivilegeescalation3", level: Level::Restricted, since: 22, policy: "undropped-capabilities" },
];

/// A fixture: which check it is about, and whether it passes.
pub(super) struct Fixture {
    pub(super) level: Level,
    pub(super) minor: usize,
    /// `baseline/v1.0/fail/procmount0.yaml`
    pub(super) file: String,
}

impl Fixture {
    /// Every one.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (level, minor) in LEVELS.into_iter().flat_map(|level| (0..=NEWEST).map(move |minor| (level, minor))) {
            for verdict in ["pass", "fail"] {
                let folder = format!("{level}/v1.{minor}/{verdict}");
                let entries = std::fs::read_dir(upstream().fixtures.join(&folder)).expect("a folder a version");
                all.extend(entries.map(|entry| {
                    let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
                    Self { level, minor, file: format!("{folder}/{name}") }
                }));
            }
        }
        assert!(all.len() >= FEWEST, "{} fixtures", all.len());
        all
    }

    pub(super) fn pod(&self) -> Value {
        let text = std::fs::read_to_string(upstream().fixtures.join(&self.file)).expect("UTF-8");
        let mut pods = judging::documents(&text);
        assert_eq!(pods.len(), 1, "{}", self.file);
        pods.remove(0)
    }

    /// The policies that must find something in it.
    pub(super) fn expected(&self) -> BTreeSet<String> {
        let name = self.file.rsplit('/').next().expect("a name").strip_suffix(".yaml").expect("YAML");
        if self.file.contains("/pass/") {
            return BTreeSet::new();
        }
        let id = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let control = CONTROLS.iter().find(|control| control.id.to_lowercase() == id);
        let control = control.unwrap_or_else(|| panic!("no check is called {id}"));
        let asked = control.asked(self.level, self.minor).expect("a check of its level");
        let mut policies = BTreeSet::from([asked.policy.to_owned()]);
        let more = MORE.iter().filter(|more| name.starts_with(more.name) && self.level >= more.level);
        policies.extend(more.filter(|more| self.minor >= more.since).map(|more| more.policy.to_owned()));
        policies
    }
}

#[test]
fn check_says_of_every_upstream_fixture_what_its_name_says() {
    let mut wrong = Vec::new();
    let mut by_run = BTreeMap::<(Level, usize), Vec<Fixture>>::new();
    for fixture in Fixture::all() {
        by_run.entry((fixture.level, fixture.minor)).or_default().push(fixture);
    }
    assert_eq!(by_run.len(), 76);
    for ((level, minor), fixtures) in by_run {
        let mut rows = check(level, minor);
        for fixture in fixtures {
            let Some((decision, found)) = rows.remove(&fixture.file) else {
                wrong.push(format!("{}: was not judged", fixture.file));
                continue;
            };
            let expected = fixture.expected();
            let verdict = if expected.is_empty() { "allow" } else { "deny" };
            if decision != verdict || found != expected {
                wrong.push(format!("{}: must {verdict}, {expected:?}; {decision}, {found:?}", fixture.file));
            }
        }
        wrong.extend(rows.into_keys().map(|file| format!("{file}: is no fixture")));
    }
    assert!(wrong.is_empty(), "{} fixtures:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_upstream_fixture_is_judged_alike_in_every_kind() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for fixture in Fixture::all() {
        let (pod, expected) = (fixture.pod(), fixture.expected());
        for (pod, source) in [(completed(&pod), Source::ApiServer), (pod, Source::Manifest)] {
            let templates = TEMPLATE_KINDS.into_iter().map(|kind| wrapped(&pod, kind));
            for object in std::iter::once(pod.clone()).chain(templates) {
                let snapshot = snapshot(fixture.level, fixture.minor);
                let decision = judging::create(snapshot, &object, &Manifests::default(), source).expect("readable");
                let found: BTreeSet<String> =
                    decision.findings.iter().map(|finding| finding.meta.id.to_owned()).collect();
                judged += 1;
                if decision.allowed != expected.is_empty() || found != expected {
                    wrong.push(format!("{} as {}: {found:?}, not {expected:?}", fixture.file, object["kind"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{judged} objects judged");
}

/// The pod as an API server sends it: a volume that does not say where its content comes from is an emptyDir.
pub(super) fn completed(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        let volume = volume.as_object_mut().expect("a volume");
        if volume.iter().all(|(field, source)| field == "name" || source.is_null()) {
            volume.insert("emptyDir".to_owned(), json!({}));
        }
    }
    pod
}

/// Decision and policies for each file of a version's folder.
fn check(level: Level, minor: usize) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let scratch = TempDir::new().expect("a folder");
    let file = scratch.path().join("configuration.yaml");
    std::fs::write(&file, format!("{HEAD}{}", configuration(level, minor))).expect("written");
    let folder = format!("{level}/v1.{minor}");
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", &folder, "--format", "json", "--config"])
        .arg(&file)
        .current_dir(&upstream().fixtures)
        .output()
        .expect("check runs");
    assert_eq!(output.status.code(), Some(1), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let findings = row["findings"].as_array().expect("a list");
        let policies = findings.iter().map(|finding| text(&finding["policy"])).collect();
        (text(&row["file"]), (text(&row["decision"]), policies))
    };
    lines.lines().map(row).collect()
}
