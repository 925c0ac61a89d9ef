//! kubectl, asked what it reads: `patch --local` with an empty patch prints every object of a file as it was read.

use std::path::Path;
use std::process::{Command, Output};

use portcullis::document;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Number, Value};
use tempfile::TempDir;

use super::{Corpora, items, json};
use crate::kubernetes::plane::programs;

/// Files that one kubectl reads.
const BATCH: usize = 100;
/// Number of generated scalars.
const SCALARS: usize = 1_000;

/// True if kubectl can read a file.
pub(super) fn accepts(corpora: &Corpora, file: &str) -> bool {
    run(&corpora.folder, &[file]).status.success()
}

pub(super) fn run(folder: &Path, files: &[&str]) -> Output {
    let home = TempDir::new().expect("a temporary folder");
    let mut command = Command::new(programs().join("kubectl"));
    command.args(["patch", "--local", "--type=merge", "--patch={}", "--output=json"]);
    command.args(files.iter().flat_map(|file| ["-f", *file]));
    command.current_dir(folder).env_clear().env("HOME", home.path()).output().expect("kubectl runs")
}

/// The objects that kubectl reads in some files, unless it refuses one.
fn read(folder: &Path, files: &[&str]) -> Option<Vec<Value>> {
    let output = run(folder, files);
    let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    output.status.success().then(|| objects.map(|object| object.expect("JSON")).collect())
}

#[test]
fn manifests_mean_what_they_mean_to_kubectl() {
    let Some(corpora) = Corpora::get() else { return };
    let read_here = |file: &'static String| {
        let nodes = document::read(&corpora.text(file)).ok().filter(|nodes| !nodes.is_empty())?;
        Some((file.as_str(), nodes.iter().map(json).collect::<Vec<_>>()))
    };
    let files: Vec<_> = corpora.files.iter().filter_map(read_here).collect();
    let (mut compared, mut refused) = (0, Vec::new());
    // Halved until a file that kubectl refuses stands alone.
    let mut batches: Vec<_> = files.chunks(BATCH).collect();
    while let Some(batch) = batches.pop() {
        let names: Vec<&str> = batch.iter().map(|(file, _)| *file).collect();
        let Some(theirs) = read(&corpora.folder, &names) else {
            match batch {
                [(file, _)] => refused.push(*file),
                _ => batches.extend(batch.chunks(batch.len().div_ceil(2))),
            }
            continue;
        };
        let mut ours = Vec::new();
        for (file, documents) in batch {
            ours.extend(documents.iter().flat_map(items).map(|object| (file, object)));
        }
        for ((file, ours), theirs) in ours.iter().zip(&theirs) {
            assert!(is_same(ours, theirs), "{file}: we read\n{ours:#}\nand kubectl\n{theirs:#}");
            compared += 1;
        }
        assert_eq!(ours.len(), theirs.len(), "in {names:?}");
    }
    println!("{compared} objects are the same; kubectl refuses {refused:?}");
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let shapes = [
        "[-+]?[0-9._xobeE]{1,7}",
        "[-+.]?[0-9_]{1,22}",
        "[-+]?0[xob]?[0-9a-fA-F_]{1,18}",
        "[-+]?[0-9]{0,5}[.][0-9]{0,20}([eE][-+]?[0-9]{1,3})?",
        "[0-9]{1,4}[-:][0-9]{1,2}[-:][0-9]{1,2}",
        "(?i:y|n|yes|no|on|off|true|false|null|[.]inf|[.]nan|~)",
        "\"[a-z0-9]{0,3}\"|'[a-z0-9~]{0,3}'",
        "!!(str|int|float|bool|null|binary) \"?[0-9a-z~]{1,4}\"?",
    ];
    let mut runner = TestRunner::deterministic();
    let mut made = String::new();
    let mut ours = Vec::new();
    while ours.len() < SCALARS {
        for shape in shapes {
            let strategy = proptest::string::string_regex(shape).expect("a regular expression");
            let scalar = strategy.new_tree(&mut runner).expect("a scalar").current();
            let both = format!("apiVersion: v1\nkind: Made\nvalue: {scalar}\nkeys:\n  {scalar}: 1\n");
            let value = format!("apiVersion: v1\nkind: Made\nvalue: {scalar}\n");
            // What is no key (null, 2^64-1) may be a value.
            let readable = |text: String| document::read(&text).ok().map(|nodes| (text, nodes));
            let Some((text, nodes)) = readable(both).or_else(|| readable(value)) else { continue };
            made += &format!("---\n{text}");
            ours.push((scalar, json(&nodes[0])));
        }
    }
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("made.yaml"), made).expect("writable");
    let output = run(folder.path(), &["made.yaml"]);
    assert!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
    let theirs = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let theirs: Vec<Value> = theirs.map(|object| object.expect("JSON")).collect();
    assert_eq!(ours.len(), theirs.len());
    for ((scalar, ours), theirs) in ours.iter().zip(&theirs) {
        assert!(is_same(ours, theirs), "{scalar}: we read {ours}, and kubectl {theirs}");
    }
}

/// True if two values are the same. The last digit of a float is lost where this test reads what kubectl prints.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours == theirs || (!ours.is_i64() && is_near(ours, theirs)),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| theirs.get(key).is_some_and(|theirs| is_same(ours, theirs)))
        }
        _ => ours == theirs,
    }
}

fn is_near(ours: &Number, theirs: &Number) -> bool {
    let (Some(ours), Some(theirs)) = (ours.as_f64(), theirs.as_f64()) else { return false };
    (ours - theirs).abs() <= ours.abs() * 2.0 * f64::EPSILON
}
