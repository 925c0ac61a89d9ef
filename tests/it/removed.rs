//! A policy that is not there is missed: for each folder of fixtures, without its policy nobody refuses what that policy
//! refuses. The folders lead, so that a line that is gone from the catalogue is missed too.

use std::collections::BTreeSet;

use portcullis::mode::Mode;
use portcullis::pod_security::Version;
use portcullis::policy::{Kinds, catalogue};
use portcullis::request::{Operation, Source};
use portcullis::snapshot::Snapshot;

use crate::catalogue::waits;
use crate::fixtures::{self, Fixture};
use crate::golden;
use crate::judging::configured;

/// One for each list of containers.
const LISTS: [&str; 3] = ["deny-pod.yaml", "deny-init-container.yaml", "deny-ephemeral-container.yaml"];

/// The folders of validators: those of mutators hold what is patched.
fn folders() -> Vec<String> {
    let is_denied = |id: &String| fixtures::of(id).iter().any(Fixture::is_denied);
    golden::names_in("tests/policies").into_iter().filter(is_denied).collect()
}

/// True for the folder of a policy on Pods.
fn is_of_pods(id: &str) -> bool {
    catalogue::find(id).is_some_and(|entry| entry.meta.kinds.contains(&Kinds::Pods))
}

/// Policies that `hardened` does not enforce: they would find something in most fixtures of others.
fn quiet() -> BTreeSet<&'static str> {
    let hardened = configured("profile: hardened\n");
    let is_weak = |id: &&str| {
        let weak = hardened.policies("").iter().filter(|policy| policy.mode < Mode::Enforce);
        waits(id) || weak.map(|policy| policy.meta.id).any(|weak| weak == *id)
    };
    fixtures::validators().map(|entry| entry.meta.id).filter(is_weak).collect()
}

/// Everything enforced but what is named.
fn all_but(off: &BTreeSet<&str>, about: &str) -> Snapshot {
    let mut config = "policies:\n".to_owned();
    let quiet = quiet();
    for id in folders() {
        let is_off = off.contains(id.as_str()) || (quiet.contains(id.as_str()) && id != about);
        let set = if is_off { "{mode: off}".to_owned() } else { fixtures::enforced(&id) };
        config += &format!("  {id}: {set}\n");
    }
    configured(&config)
}

/// The policies that refuse a fixture's Pod, or its one object of another kind.
fn refusing(snapshot: &Snapshot, id: &str, fixture: &Fixture) -> BTreeSet<&'static str> {
    let object = if is_of_pods(id) { fixture.pod() } else { fixture.object() };
    let findings = fixture.findings(snapshot, &object, Source::Manifest);
    findings.into_iter().filter(|finding| finding.mode == Mode::Enforce).map(|finding| finding.meta.id).collect()
}

#[test]
fn without_its_policy_a_fixture_is_refused_by_nobody() {
    let folders = folders();
    assert!(folders.len() >= 24, "{folders:?}");
    for id in &folders {
        assert!(catalogue::find(id).is_some(), "tests/policies/{id}: no such policy");
        // What finds the same in its stead.
        let stand_ins = folders.iter().map(String::as_str).filter(|other| {
            catalogue::find(other).is_some_and(|entry| entry.replaces(Version::LATEST).contains(&id.as_str()))
        });
        let mut off: BTreeSet<&str> = stand_ins.collect();
        // And what it stands in for.
        off.extend(catalogue::find(id).into_iter().flat_map(|entry| entry.replaces(Version::LATEST)));
        if fixtures::ALONE.contains(&id.as_str()) {
            off.extend(folders.iter().map(String::as_str).filter(|other| other != id));
        }
        let with = all_but(&off, id);
        off.insert(id);
        let without = all_but(&off, id);

        let fixtures = fixtures::of(id);
        // Of connections an API server sends options, and no object.
        let entry = catalogue::find(id).expect("a policy");
        let is_object = |fixture: &&Fixture| {
            let has_row = entry.meta.kinds.iter().all(|kinds| matches!(kinds, Kinds::Resource(_)));
            !has_row || fixture.row(entry).operations.contains(&Operation::Create)
        };
        let is_looked_at =
            |fixture: &&Fixture| is_object(fixture) && (!is_of_pods(id) || LISTS.contains(&fixture.name.as_str()));
        let denied: Vec<&Fixture> = fixtures.iter().filter(is_looked_at).collect();
        for fixture in denied.into_iter().filter(|fixture| fixture.is_denied()) {
            assert_eq!(refusing(&with, id, fixture), BTreeSet::from([id.as_str()]), "{id}/{}", fixture.name);
            assert_eq!(refusing(&without, id, fixture), BTreeSet::new(), "{id}/{} without {id}", fixture.name);
        }
    }
}

/// A policy on containers judges them in each list; other policies judge the pod as a whole.
#[test]
fn a_policy_on_containers_has_a_denied_fixture_for_each_list() {
    for id in folders().into_iter().filter(|id| is_of_pods(id)) {
        let fixtures = fixtures::of(&id);
        let has = |name: &str| fixtures.iter().any(|fixture| fixture.name == name);
        let meta = catalogue::find(&id).unwrap_or_else(|| panic!("tests/policies/{id}: no such policy")).meta;
        for (list, name) in ["containers", "initContainers", "ephemeralContainers"].into_iter().zip(LISTS) {
            let reads = meta.paths().any(|path| path.starts_with(&format!("spec.{list}[*]")));
            assert!(!reads || has(name), "{id}: {name} is missing");
            assert!(reads || list == "containers" || !has(name), "{id}: {name}, and its page has no field of {list}");
        }
    }
}
