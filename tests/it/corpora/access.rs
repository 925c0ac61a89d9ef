//! Policies on Roles and bindings, over every one of the corpora: they agree with a second opinion in jq, and a table says which
//! objects of which project need an exception.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Corpora, Row, items};
use crate::golden::{self, repository};
use crate::judging::HEAD;

const POLICIES: [&str; 3] = ["wildcard-roles", "escalating-roles", "powerful-bindings"];
const KINDS: [&str; 4] = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];

/// A Role or binding: the file, the position in it, the object, and what was found.
fn objects(corpora: &Corpora) -> Vec<(String, usize, Value, &Row)> {
    let mut found = Vec::new();
    for (file, rows) in &corpora.rows {
        if !rows.iter().any(is_ours) {
            continue;
        }
        let documents = corpora.documents(file);
        let all: Vec<&Value> = documents.iter().flat_map(items).filter(|object| object["kind"].is_string()).collect();
        assert_eq!(all.len(), rows.len(), "{file}: an object, a row");
        for (position, (object, row)) in all.into_iter().zip(rows).enumerate().filter(|(_, (_, row))| is_ours(row)) {
            assert_eq!(object["kind"], row.kind.as_str(), "{file}");
            found.push((file.clone(), position, object.clone(), row));
        }
    }
    found
}

fn is_ours(row: &Row) -> bool {
    row.api_version.starts_with("rbac.authorization.k8s.io/") && KINDS.contains(&row.kind.as_str())
}

/// Lines of object, policy, mode and place, as the second opinion has them.
fn second_opinion(input: &str) -> BTreeSet<String> {
    let mut jq = Command::new("jq")
        .args(["-r", "-f"])
        .arg(repository("tests/access/second-opinion.jq"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("jq runs");
    let mut stdin = jq.stdin.take().expect("its standard input is piped");
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = jq.wait_with_output().expect("jq ends");
    writing.join().expect("it does not panic").expect("jq reads");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// The same lines, as the policies have them.
fn own_opinion(id: &str, row: &Row) -> impl Iterator<Item = String> {
    let ours = row.findings.iter().filter(|found| POLICIES.contains(&found.policy.as_str()));
    ours.map(move |found| format!("{id}\t{}\t{}\t{}", found.policy, found.mode, found.path))
}

#[test]
fn every_role_and_binding_is_judged_as_a_second_implementation_judges_it() {
    let Some(corpora) = Corpora::get() else { return };
    let objects = objects(corpora);
    assert!(objects.len() > 1_000, "{}", objects.len());
    let (mut input, mut own) = (String::new(), BTreeSet::new());
    for (file, position, object, row) in &objects {
        let id = format!("{file}#{position}");
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let _ = writeln!(input, "{}", json!({"id": id, "namespace": namespace, "object": object}));
        own.extend(own_opinion(&id, row));
    }
    let second = second_opinion(&input);
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!((only(&own, &second), only(&second, &own)), (vec![], vec![]), "ours alone, jq's alone");
    assert!(POLICIES.iter().all(|policy| own.iter().any(|line| line.contains(policy))));
}

/// A line each for the objects of a project that the policies refuse or warn of.
#[test]
fn the_table_says_what_needs_an_exception_and_that_exception_admits_it() {
    let Some(corpora) = Corpora::get() else { return };
    let mut table = BTreeSet::new();
    let (mut exceptions, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (file, _, object, row) in objects(corpora).iter().filter(|(file, ..)| file.starts_with("real/")) {
        let mut found: BTreeSet<(&str, &str)> = BTreeSet::new();
        for finding in row.findings.iter().filter(|found| POLICIES.contains(&found.policy.as_str())) {
            found.insert((&finding.policy, &finding.mode));
        }
        if found.is_empty() {
            continue;
        }
        let project = file.split('/').nth(1).expect("a project");
        let says: Vec<String> = found.iter().map(|(policy, mode)| format!("{policy} ({mode})")).collect();
        table.insert(format!("{project}: {} {}: {}\n", row.kind, row.name, says.join(", ")));
        let enforced: Vec<&str> =
            found.iter().filter(|(_, mode)| *mode == "enforce").map(|(policy, _)| *policy).collect();
        if !enforced.is_empty() {
            refused.insert(file.clone());
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
            let is_namespaced = !row.kind.starts_with("Cluster");
            let place = if is_namespaced { format!("namespace: {namespace}, ") } else { String::new() };
            exceptions.insert(format!(
                "policies: [{}], match: {{{place}kind: {}, name: {:?}}}",
                enforced.join(", "),
                row.kind,
                row.name
            ));
        }
    }
    golden::assert_holds("tests/access/corpora.txt", &table.into_iter().collect::<String>());

    let scratch = TempDir::new().expect("a temporary folder");
    let configuration = scratch.path().join("configuration.yaml");
    let mut text = format!("{HEAD}policies:\n");
    for policy in POLICIES {
        let _ = writeln!(text, "  {policy}: {{mode: enforce}}");
    }
    text.push_str("exceptions:\n  maxLifetime: 876000h\n  entries:\n");
    for (number, exception) in exceptions.iter().enumerate() {
        let about = "expires: 2099-01-01T00:00:00Z, reason: of the project, owner: tests";
        let _ = writeln!(text, "  - {{name: role-{number}, {exception}, {about}}}");
    }
    std::fs::write(&configuration, text).expect("writable");
    let files: Vec<PathBuf> = refused.iter().map(PathBuf::from).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["check", "--format", "json", "--config"]).arg(&configuration).args(&files);
    let output = command.current_dir(&corpora.folder).output().expect("check runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut judged = BTreeSet::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        assert_ne!(row["decision"], "deny", "{}: {} {}", row["file"], row["kind"], row["name"]);
        judged.insert(row["file"].as_str().expect("a file").to_owned());
    }
    assert_eq!(judged, refused, "{}", String::from_utf8_lossy(&output.stderr));
}
