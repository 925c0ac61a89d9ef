//! Files and folders that `check` is given.

use super::{ALONE, folder, run_in};

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{image: x}]}\n";

fn pod(name: &str) -> String {
    POD.replace("NAME", name)
}

/// The names of the Pods with findings, in the order in which they were judged.
fn judged(out: &str) -> Vec<&str> {
    let mut names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split_once("Pod default/")?.1.split_once(':').map(|(name, _)| name))
        .collect();
    names.dedup();
    names
}

#[test]
fn a_folder_is_read_to_its_depths_in_the_order_of_names() {
    let folder = folder(&[
        ("m/b.yaml", &pod("b")),
        ("m/a/deep.yml", &pod("deep")),
        (
            "m/c.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"c\"}, \"spec\": {\"containers\": [{}]}}",
        ),
        ("m/README.md", "no manifest"),
        ("m/values.txt", &pod("text")),
    ]);
    let ran = run_in(folder.path(), &["check", "m"], b"").with_code(1);
    assert_eq!(judged(&ran.out), ["deep", "b", "c"]);
    assert!(ran.out.contains("m/a/deep.yml:4:"), "{ran:?}");
    // A file that is named is read whatever its ending.
    let ran = run_in(folder.path(), &["check", "m/values.txt", "m/b.yaml"], b"").with_code(1);
    assert_eq!(judged(&ran.out), ["text", "b"]);
}

#[test]
fn standard_input_stands_among_files() {
    let folder = folder(&[("a.yaml", &pod("a"))]);
    let ran = run_in(folder.path(), &["check", "a.yaml", "-"], pod("input").as_bytes()).with_code(1);
    assert_eq!(judged(&ran.out), ["a", "input"]);
    assert!(ran.out.contains("\n-:4:"), "{ran:?}");
}

#[test]
fn links_in_a_folder_lead_nowhere_in_circles() {
    let folder = folder(&[("alone.yaml", ALONE), ("m/a.yaml", &pod("a")), ("elsewhere/b.yaml", &pod("b"))]);
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, folder.path().join(name)).expect(name);
    link("..", "m/circle");
    link("nowhere.yaml", "m/dangling.yaml");
    link("../elsewhere/b.yaml", "m/linked.yaml");
    let ran = run_in(folder.path(), &["check", "m", "--config", "alone.yaml"], b"").with_code(1);
    assert_eq!(judged(&ran.out), ["a", "b"]);
    assert_eq!(ran.err, "");
}

#[test]
fn an_empty_folder_is_clean_and_a_missing_one_unusable() {
    let folder = folder(&[("m/notes.txt", "")]);
    let ran = run_in(folder.path(), &["check", "m"], b"").with_code(0);
    assert_eq!(ran.out, "0 objects judged: 0 would be refused, 0 findings\n");
    run_in(folder.path(), &["check", "missing"], b"").with_code(2);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_others_judged() {
    let folder = folder(&[("alone.yaml", ALONE), ("m/a.yaml", "a: [\n"), ("m/b.yaml", &pod("b"))]);
    let ran = run_in(folder.path(), &["check", "m", "--config", "alone.yaml"], b"").with_code(2);
    assert_eq!(judged(&ran.out), ["b"]);
    assert!(ran.err.starts_with("m/a.yaml:1:4: "), "{ran:?}");
}
