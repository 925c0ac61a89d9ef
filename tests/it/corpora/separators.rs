//! Boundaries between documents: they agree with kubectl's, and no part of a file is dropped silently.

use portcullis::document;
use tempfile::TempDir;

use super::json;
use super::kubectl::run;

/// The names of the objects that kubectl reads; nothing where it refuses the file.
fn kubectl(text: &str) -> Option<Vec<String>> {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("made.yaml"), text).expect("writable");
    let output = run(folder.path(), &["made.yaml"]);
    let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let names = objects.map(|object| name(&object.expect("JSON")));
    output.status.success().then(|| names.collect())
}

/// The same of what is read here; what is no object is refused, too. Keys that stand again are not silent.
fn here(text: &str) -> Option<(Vec<String>, bool)> {
    let (text, _) = document::decode(text.as_bytes().to_vec());
    let nodes = document::read(&text).ok()?;
    let is_said = nodes.iter().any(|node| !node.repeated_keys().is_empty());
    let objects: Vec<_> = nodes.iter().map(json).collect();
    objects.iter().all(|object| object["kind"].is_string()).then(|| (objects.iter().map(name).collect(), is_said))
}

fn name(object: &serde_json::Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn object(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

/// Lines between two objects.
const BETWEEN: [&str; 62] = [
    "---",
    "--- ",
    "---\t",
    "--- # c",
    "---#c",
    "---\t#c",
    "---  ",
    "---\u{a0}",
    "---\u{2003}",
    "---\u{feff}",
    "----",
    "-----",
    "--- text",
    "---text",
    "--- |",
    "--- >",
    "--- {a: 1}",
    "--- {\"a\": 1}",
    "--- [a]",
    "--- !tag",
    "--- !!map",
    "--- &a",
    "--- *a",
    "--- ---",
    "--- ...",
    "--- '",
    "--- \"",
    "--- \u{0}",
    " ---",
    "\t---",
    "---\n---",
    "---\n---\n---",
    "--- # c\n--- # d",
    "---\n# c\n---",
    "---#c\n---#d",
    "---\n---#c",
    "# ---",
    "...",
    "... # c",
    "... x",
    "...x",
    "....",
    "...\n---",
    "...\n...\n---",
    "...\n# c\n---",
    "...\n...",
    "---\n...",
    "---\n...\n---",
    "...\n--- x",
    "---\n%YAML 1.1\n---",
    "%YAML 1.1\n---",
    "...\n%YAML 1.1\n---",
    "---\n%TAG ! a\n---",
    "\r---\r",
    "\u{2028}---\u{2028}",
    "\u{85}...\u{85}",
    "-- -",
    "\\---",
    "<<: &a {}\n---",
    "data: {a: '---'}\n---",
    "data:\n  a: |\n    ---\n    kind: x\n    ...\n---",
    "data:\n  a: \"x\n    --- y\"\n---",
];
/// Lines before an object, at the start of a file.
const BEFORE: [&str; 25] = [
    "---",
    "---#c",
    "--- # c",
    "---\t",
    "---\u{a0}",
    "--- |",
    "--- {}",
    "---x",
    "---\n---",
    "---#c\n---",
    "\u{feff}",
    "\u{feff}---",
    "\u{feff}--- {}",
    "\u{feff}...",
    "\u{feff}\u{feff}---",
    "# c\n---",
    "...",
    "...\n---",
    "null\n---",
    "null\n...",
    "%YAML 1.1",
    "%YAML 1.1\n---",
    "%YAML 1.2\n---",
    "%FOO bar\n---",
    "--- !tag",
];

#[test]
fn every_separator_means_what_it_means_to_kubectl_or_is_refused() {
    let mut texts = Vec::new();
    for line in BETWEEN {
        texts.push((format!("{}{line}\n{}", object("a"), object("b")), vec!["a", "b"]));
        texts.push((format!("{}{line}{}", object("a"), object("b")), vec!["a", "b"]));
        texts.push((format!("{}{line}\n", object("a")), vec!["a"]));
        texts.push((format!("{}{line}", object("a")), vec!["a"]));
    }
    for line in BEFORE {
        texts.push((format!("{line}\n{}", object("a")), vec!["a"]));
    }
    let json = |name| format!("{{\"apiVersion\": \"v1\", \"kind\": \"X\", \"metadata\": {{\"name\": \"{name}\"}}}}");
    for between in ["", "\n", "\n---\n", "---\n", "---", "\n---", "\n--- ", "\n...\n", "...", ",\n", "\n# c\n", " x\n"]
    {
        texts.push((format!("{}{between}{}", json("a"), json("b")), vec!["a", "b"]));
        texts.push((format!("{}{between}{}", json("a"), object("b")), vec!["a", "b"]));
        texts.push((
            format!("{{kind: X, apiVersion: v1, metadata: {{name: a}}}}{between}{}", object("b")),
            vec!["a", "b"],
        ));
    }
    let windows: Vec<_> = texts.iter().map(|(text, written)| (text.replace('\n', "\r\n"), written.clone())).collect();
    texts.extend(windows);
    let (mut read, mut refused, mut dropped) = (0, 0, Vec::new());
    for (text, written) in texts {
        let (ours, theirs) = (here(&text), kubectl(&text));
        match (ours, theirs) {
            (Some((ours, is_said)), theirs) => {
                assert_eq!(Some(&ours), theirs.as_ref(), "{text:?}");
                assert!(is_said || ours == written, "dropped silently: {text:?}");
                read += 1;
            }
            (None, None) => refused += 1,
            // What kubectl drops silently is refused here.
            (None, Some(theirs)) => {
                let is_noise = text.contains("... x") || text.contains('%');
                assert!(is_noise || theirs != written, "refused here alone: {text:?}");
                dropped.push(text);
            }
        }
    }
    println!("{read} are read alike, {refused} are refused alike, of {} kubectl drops a part", dropped.len());
    assert!(read > 100 && refused > 100, "{read} {refused}");
}

#[test]
fn the_last_line_ends_like_every_other() {
    for text in [
        "kind: X\napiVersion: v1\na: |\n  x",
        "kind: X\napiVersion: v1\na: |+\n  x\r\n\r",
        "kind: X\napiVersion: v1\na: |\r\r\n  x\r\r\n  y",
    ] {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("made.yaml"), text).expect("writable");
        let output = run(folder.path(), &["made.yaml"]);
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json(&document::read(text).expect("readable")[0]), theirs, "{text:?}");
    }
}
