//! Patches that each mutator makes to its fixtures, in every kind.

use std::fmt::Write as _;

use portcullis::policy::catalogue::Entry;
use serde_json::{Value, json};

use crate::fixtures::{self, Fixture, TEMPLATE_KINDS, wrapped};
use crate::golden;
use crate::judging::{configured, only, patch, set};

/// The patch that one mutator makes: a path and a value an operation.
fn operations(policy: &str, object: &Value) -> Vec<(String, Value)> {
    let patch = patch(&set(&only(policy), object));
    let operation = |operation: &Value| {
        assert_eq!(operation["op"], "add", "{operation}");
        (operation["path"].as_str().expect("a path").to_owned(), operation["value"].clone())
    };
    patch.as_array().expect("a list").iter().map(operation).collect()
}

/// The Pod of a fixture, or the one that its template makes; `None` for an object without any, and for one that a
/// mutator leaves alone because it is a Pod.
fn pod_in(entry: &Entry, fixture: &Fixture) -> Option<Value> {
    let object = fixture.object();
    let kind = object["kind"].as_str().expect("a kind");
    if kind == "Pod" {
        return (entry.meta.id != "default-no-token-automount").then_some(object);
    }
    let (_, _, way) = TEMPLATE_KINDS.into_iter().find(|(_, known, _)| *known == kind)?;
    let template = way.split('.').fold(&object, |object, field| &object[field]);
    Some(json!({"metadata": template["metadata"], "spec": template["spec"]}))
}

#[test]
fn every_fixture_is_patched_as_expected() {
    for entry in fixtures::mutators() {
        let id = entry.meta.id;
        let mut expected = String::new();
        for fixture in fixtures::of(id) {
            let operations = operations(id, &fixture.object());
            assert_eq!(!operations.is_empty(), fixture.is_patched(), "{id}/{}: {operations:?}", fixture.name);
            for (path, value) in operations {
                let _ = writeln!(expected, "{}: {path}: {value}", fixture.name);
            }
        }
        golden::assert_holds(&format!("tests/policies/{id}/expected.txt"), &expected);
    }
}

#[test]
fn a_template_is_patched_like_the_pod_that_it_makes() {
    for entry in fixtures::mutators() {
        let id = entry.meta.id;
        for fixture in fixtures::of(id) {
            let Some(pod) = pod_in(entry, &fixture) else { continue };
            let mut patches = TEMPLATE_KINDS.into_iter().map(|kind| {
                let below = format!("/{}", kind.2.replace('.', "/"));
                let operations = operations(id, &wrapped(&pod, kind)).into_iter();
                let below = |path: String| path.strip_prefix(&below).map(str::to_owned).expect("below the template");
                operations.map(|(path, value)| (below(path), value)).collect::<Vec<_>>()
            });
            let first = patches.next().expect("a kind");
            assert_eq!(!first.is_empty(), fixture.is_patched(), "{id}/{}", fixture.name);
            if fixture.object()["kind"] == "Pod" {
                assert_eq!(first, operations(id, &fixture.object()), "{id}/{}", fixture.name);
            }
            for (other, kind) in patches.zip(&TEMPLATE_KINDS[1..]) {
                assert_eq!(other, first, "{id}/{} as {}", fixture.name, kind.1);
            }
        }
    }
}

#[test]
fn mutating_twice_changes_nothing() {
    let all = configured("defaults: all\n");
    for (id, fixture) in fixtures::of_mutators() {
        let once = set(&all, &fixture.object());
        let Some(object) = once.object else { continue };
        assert_eq!(patch(&set(&all, &object)), json!([]), "{id}/{}", fixture.name);
    }
}

#[test]
fn a_patched_fixture_lacks_what_its_mutator_sets_and_nothing_else() {
    let all = configured("defaults: all\n");
    for (id, fixture) in fixtures::of_mutators() {
        // Without the whole context much is missing at once.
        if fixture.name.ends_with("-security-context.yaml") || fixture.name.contains("windows") {
            continue;
        }
        let set = set(&all, &fixture.object());
        let others: Vec<&str> = set.decision.findings.iter().map(|finding| finding.meta.id).collect();
        let others: Vec<&&str> = others.iter().filter(|other| **other != id).collect();
        let is_service_account = fixture.object()["kind"] == "ServiceAccount";
        let lacks_more = fixture.name.contains("null-") || is_service_account;
        assert!(others.is_empty() || lacks_more, "{id}/{}: {others:?}", fixture.name);
    }
}
