//! `check` over the corpora: manifests of other projects, labelled with the verdicts of other tools.
//!
//! They lie beside the repository and are not part of it. Where they are absent the tests say so and pass, but not in CI.

mod access;
mod kubectl;
mod reading;
mod separators;
mod standards;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use portcullis::document::{self, Node};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::golden::repository;
use crate::judging::HEAD;

/// Folder of the corpora, relative to the repository.
const FOLDER: &str = "../shared/corpora";
/// The profile of most tests.
const HARDENED: &str = "hardened";
/// The kinds of other projects that the labels know, and what is judged in them.
const WORKLOADS: &str = "workloads:\n\
    - {group: apps.openshift.io, kind: DeploymentConfig, resource: deploymentconfigs, path: /spec/template}\n";

/// A file as `INDEX.json` describes it.
#[derive(Deserialize)]
struct Entry {
    file: String,
    source: String,
    /// Check that the source tests with this file.
    check: Option<String>,
    objects: Vec<Labelled>,
}

/// An object as `INDEX.json` describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Labelled {
    /// The position among the file's documents that hold something.
    doc: usize,
    /// The position in the document, where that is a list.
    item: Option<usize>,
    api_version: String,
    kind: String,
    /// Ends with `*` where the API server completes it.
    name: Option<String>,
    /// The verdict of the source: `pass`, `fail`, and others.
    expected: Option<String>,
    /// The verdict of `k8s.io/pod-security-admission`, for whatever holds a pod.
    #[serde(rename = "pss_v1.37")]
    standard: Option<Standard>,
}

#[derive(Deserialize)]
struct Standard {
    baseline: String,
    restricted: String,
    /// Names of the controls that it fails at either level.
    failed: BTreeSet<String>,
}

/// A line of `check --format json`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    file: String,
    line: usize,
    api_version: String,
    kind: String,
    #[allow(dead_code, reason = "the field must be there")]
    namespace: String,
    name: String,
    decision: String,
    findings: Vec<Found>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    policy: String,
    #[allow(dead_code, reason = "the field must be there")]
    severity: String,
    mode: String,
    path: String,
    pointer: String,
    line: usize,
    column: usize,
    message: String,
}

impl Row {
    fn breaks(&self, policy: &str) -> bool {
        self.policies().any(|found| found == policy)
    }

    /// The policies that found something.
    fn policies(&self) -> impl Iterator<Item = &str> {
        self.findings.iter().map(|found| found.policy.as_str())
    }
}

/// The corpora, and what one run of `check` over all of them printed, under one profile.
struct Corpora {
    profile: &'static str,
    folder: PathBuf,
    entries: Vec<Entry>,
    /// Every manifest, whether or not it is labelled.
    files: Vec<String>,
    rows: BTreeMap<String, Vec<Row>>,
    errors: Vec<String>,
    code: Option<i32>,
}

impl Corpora {
    /// Under the profile `hardened`; nothing where there are none.
    fn get() -> Option<&'static Self> {
        static CORPORA: OnceLock<Option<Corpora>> = OnceLock::new();
        Self::read_once(&CORPORA, HARDENED)
    }

    /// Under a profile of the Pod Security Standards.
    fn under_baseline() -> Option<&'static Self> {
        static CORPORA: OnceLock<Option<Corpora>> = OnceLock::new();
        Self::read_once(&CORPORA, "pss-baseline")
    }

    /// Under the stricter one.
    fn under_restricted() -> Option<&'static Self> {
        static CORPORA: OnceLock<Option<Corpora>> = OnceLock::new();
        Self::read_once(&CORPORA, "pss-restricted")
    }

    fn read_once(once: &'static OnceLock<Option<Self>>, profile: &'static str) -> Option<&'static Self> {
        let corpora = once.get_or_init(|| Self::read(profile)).as_ref();
        if corpora.is_none() {
            assert!(std::env::var_os("CI").is_none(), "{FOLDER} is not there");
            println!("skipped: {FOLDER} is not there");
        }
        corpora
    }

    fn read(profile: &'static str) -> Option<Self> {
        let folder = repository(FOLDER);
        let index = std::fs::read_to_string(folder.join("INDEX.json")).ok()?;
        let entries: Vec<Entry> = serde_json::from_str(&index).expect("INDEX.json is what it was");
        let mut files: BTreeSet<String> = entries.iter().map(|entry| entry.file.clone()).collect();
        manifests(&folder, &folder, &mut files);
        let files: Vec<String> = files.into_iter().collect();
        let output = check(profile, &folder, &files);
        let errors = String::from_utf8(output.stderr).expect("UTF-8").lines().map(str::to_owned).collect();
        let (rows, code) = (rows(&output.stdout), output.status.code());
        let mut corpora = Self { profile, folder, entries, files, rows, errors, code };
        corpora.unwrap_reviews();
        Some(corpora)
    }

    /// Labels on an AdmissionReview are about the object in it, which is judged as a manifest here.
    fn unwrap_reviews(&mut self) {
        for entry in &self.entries {
            for (position, labelled) in entry.objects.iter().enumerate() {
                if labelled.kind == "AdmissionReview" {
                    let row = self.reviewed(self.profile, entry, labelled);
                    let judged = &mut self.rows.get_mut(&entry.file).expect("rows")[position];
                    (judged.decision, judged.findings) = (row.decision, row.findings);
                }
            }
        }
    }

    /// Judges the object in a review, and returns its row.
    fn reviewed(&self, profile: &str, entry: &Entry, labelled: &Labelled) -> Row {
        let scratch = TempDir::new().expect("a temporary folder");
        let review = &self.documents(&entry.file)[labelled.doc];
        let file = scratch.path().join("object.json");
        std::fs::write(&file, review["request"]["object"].to_string()).expect("writable");
        let output = check(profile, scratch.path(), &["object.json"]);
        rows(&output.stdout).remove("object.json").expect("an object").remove(0)
    }

    /// Each labelled object with what was found in it. Files whose objects were not all judged are left out.
    fn judged(&self) -> impl Iterator<Item = (&Entry, &Labelled, &Row)> {
        self.entries.iter().flat_map(|entry| {
            let rows = self.rows.get(&entry.file).map(Vec::as_slice).unwrap_or_default();
            entry.objects.iter().zip(rows).map(move |(labelled, row)| (entry, labelled, row))
        })
    }

    fn text(&self, file: &str) -> String {
        document::decode(std::fs::read(self.folder.join(file)).expect(file)).0
    }

    /// The documents of a file, as `check` reads them.
    fn documents(&self, file: &str) -> Vec<Value> {
        let nodes = document::read(&self.text(file)).unwrap_or_else(|error| panic!("{file}:{error}"));
        nodes.iter().map(json).collect()
    }
}

fn json(node: &Node) -> Value {
    serde_json::to_value(node).expect("JSON")
}

/// The objects of a document: itself, or the items of a list.
fn items(document: &Value) -> Vec<&Value> {
    match document["items"].as_array() {
        Some(list) => list.iter().flat_map(items).collect(),
        None => vec![document],
    }
}

/// Runs `check --format json` in a folder.
fn check(profile: &str, folder: &Path, files: &[impl AsRef<std::ffi::OsStr>]) -> Output {
    let scratch = TempDir::new().expect("a temporary folder");
    let configuration = scratch.path().join("configuration.yaml");
    std::fs::write(&configuration, format!("{HEAD}profile: {profile}\n{WORKLOADS}")).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["check", "--format", "json", "--config"]).arg(configuration).args(files);
    command.current_dir(folder).output().expect("check runs")
}

fn rows(lines: &[u8]) -> BTreeMap<String, Vec<Row>> {
    let mut rows = BTreeMap::<String, Vec<Row>>::new();
    for line in std::str::from_utf8(lines).expect("UTF-8").lines() {
        let row: Row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        rows.entry(row.file.clone()).or_default().push(row);
    }
    rows
}

fn manifests(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            manifests(root, &path, files);
        } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            files.insert(path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned());
        }
    }
}
