//! One name in five places, and documentation worth the name.

use std::collections::BTreeSet;

use portcullis::config::profile;
use portcullis::policy::catalogue::CATALOGUE;

use crate::fixtures;
use crate::golden::{names_in, repository};
use crate::judging::configured;

/// Files directly under `policies/` that are no policy's page.
const OTHER_PAGES: [&str; 2] = ["README.md", "profiles"];

fn ids() -> BTreeSet<String> {
    CATALOGUE.iter().map(|entry| entry.meta.id.to_owned()).collect()
}

#[test]
fn an_id_is_the_name_of_source_fixtures_and_page() {
    assert_eq!(ids().len(), CATALOGUE.len(), "an id stands twice");
    let folders: BTreeSet<String> = names_in("tests/policies").into_iter().collect();
    assert_eq!(folders, ids(), "tests/policies/<id>");

    let pages = names_in("policies").into_iter().filter(|name| !OTHER_PAGES.contains(&name.as_str()));
    let pages: BTreeSet<String> = pages.map(|name| name.trim_end_matches(".md").to_owned()).collect();
    // A missing page is found where its text is compared.
    assert!(pages.is_subset(&ids()), "policies/<id>.md: {pages:?}");

    let families = names_in("src/policy").into_iter().filter(|name| repository("src/policy").join(name).is_dir());
    let sources: BTreeSet<String> = families
        .flat_map(|family| names_in(&format!("src/policy/{family}")))
        .map(|file| file.trim_end_matches(".rs").replace('_', "-"))
        .collect();
    assert_eq!(sources, ids(), "src/policy/<family>/<id>.rs");
}

#[test]
fn the_source_of_a_policy_holds_its_own_id() {
    for family in names_in("src/policy").into_iter().filter(|name| repository("src/policy").join(name).is_dir()) {
        for file in names_in(&format!("src/policy/{family}")) {
            let text = std::fs::read_to_string(repository("src/policy").join(&family).join(&file)).expect("UTF-8");
            let id = file.trim_end_matches(".rs").replace('_', "-");
            assert!(text.contains(&format!("id: \"{id}\",")), "{file}");
            assert!(text.starts_with(&format!("//! `{id}`: ")), "{file} opens with what it demands");
        }
    }
}

#[test]
fn every_policy_stands_in_a_profile() {
    for entry in CATALOGUE {
        let id = entry.meta.id;
        let stands = profile::names().any(|name| profile::text(name).expect(name).contains(&format!("\n  {id}: {{")));
        assert!(stands, "{id} stands in no profile");
    }
    let snapshot = configured("profile: hardened\n");
    let hardened: BTreeSet<String> = snapshot.policies("").iter().map(|policy| policy.meta.id.to_owned()).collect();
    assert_eq!(hardened, ids());
}

#[test]
fn every_profile_is_a_file_and_every_file_a_profile() {
    let names: BTreeSet<String> = profile::names().map(|name| format!("{name}.yaml")).collect();
    assert_eq!(names_in("policies/profiles").into_iter().collect::<BTreeSet<_>>(), names);
}

#[test]
fn fixtures_cover_every_list_of_containers() {
    for id in ids() {
        let fixtures = fixtures::of(&id);
        let has = |name: &str| fixtures.iter().any(|fixture| fixture.name == name);
        for wanted in ["admit-pod", "admit-every-list", "deny-pod"] {
            assert!(has(&format!("{wanted}.yaml")), "{id}: {wanted}.yaml is missing");
        }
        for list in ["init-container", "sidecar", "ephemeral-container"] {
            assert!(has(&format!("deny-{list}.yaml")), "{id}: deny-{list}.yaml is missing");
        }
        for fixture in &fixtures {
            let known = fixture.name.starts_with("admit-") || fixture.name.starts_with("deny-");
            let is_yaml = fixture.name.rsplit_once('.').is_some_and(|(_, ending)| ending == "yaml");
            assert!(known && is_yaml, "{id}/{}: is neither admitted nor denied", fixture.name);
        }
    }
}

/// What a fixture's name says of the list that its one container is in.
#[test]
fn a_fixture_named_after_a_list_breaks_it_there() {
    for (id, fixture) in fixtures::all() {
        let pod = fixture.pod();
        let list = match fixture.name.as_str() {
            "deny-init-container.yaml" | "deny-sidecar.yaml" => "initContainers",
            "deny-ephemeral-container.yaml" => "ephemeralContainers",
            _ => continue,
        };
        let container = &pod["spec"][list][0];
        assert!(container.is_object(), "{id}/{}", fixture.name);
        let restarts = container["restartPolicy"] == "Always";
        assert_eq!(restarts, fixture.name == "deny-sidecar.yaml", "{id}/{}", fixture.name);
    }
}

#[test]
fn documentation_is_complete_and_short() {
    for entry in CATALOGUE {
        let meta = entry.meta;
        let id = meta.id;
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(is_id(id) && id.contains('-'), "{id}");
        assert!(meta.title.starts_with("a ") || meta.title.starts_with("an "), "{id}: `Forbids {}.`", meta.title);
        assert!(!meta.title.ends_with('.'), "{id}");
        let ends = meta.why.matches(". ").count() + usize::from(meta.why.ends_with('.'));
        assert!(meta.why.ends_with('.') && (1..=2).contains(&ends), "{id}: why has {ends} sentences");
        assert!(!meta.fix.ends_with('.') && !meta.fix.contains(". "), "{id}: {}", meta.fix);
        assert!(meta.fix.starts_with(|first: char| first.is_ascii_lowercase()), "{id}: {}", meta.fix);
        let verb = meta.fix.split(' ').next().unwrap_or_default();
        assert!(["set", "append", "mount", "name", "drop"].contains(&verb), "{id}: is `{verb}` an imperative?");
        let parts: Vec<&str> = meta.since.split('.').collect();
        assert!(parts.len() == 3 && parts.iter().all(|part| part.parse::<u16>().is_ok()), "{id}: {}", meta.since);
        assert!(!meta.fields.is_empty(), "{id}");
        for text in [meta.title, meta.why, meta.fix] {
            assert!(!text.contains("  ") && !text.contains('\n') && text.trim() == text, "{id}: {text}");
        }
        for control in meta.controls {
            assert!(!control.standard.is_empty() && !control.name.is_empty(), "{id}");
        }
    }
}
