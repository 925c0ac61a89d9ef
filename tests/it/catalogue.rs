//! One name in five places, and documentation worth the name.

use std::collections::BTreeSet;

use portcullis::config::profile;
use portcullis::mode::Mode;
use portcullis::pod_security::Version;
use portcullis::policy::Kinds;
use portcullis::policy::catalogue::{CATALOGUE, Entry};

use crate::fixtures;
use crate::golden::{names_in, repository};
use crate::judging::configured;

/// Files directly under `policies/` that are no policy's page.
const OTHER_PAGES: [&str; 2] = ["README.md", "profiles"];

fn ids() -> BTreeSet<String> {
    CATALOGUE.iter().map(|entry| entry.meta.id.to_owned()).collect()
}

/// The kind that the page of a policy shows.
pub(crate) fn shown(entry: &Entry) -> String {
    match entry.meta.kinds {
        [Kinds::Pods, ..] if entry.safety.is_some() => "deployment".to_owned(),
        [Kinds::Resource(row), ..] => row.kind.to_lowercase(),
        [Kinds::Settings, ..] => {
            let settings = crate::judging::documents(entry.settings.expect("settings of its fixtures")).remove(0);
            settings["instances"][0]["kinds"][0]["kind"].as_str().expect("a kind").to_lowercase()
        }
        _ => "pod".to_owned(),
    }
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

    let sources: BTreeSet<String> = sources().into_iter().map(|(id, _)| id).collect();
    assert_eq!(sources, ids(), "src/policy/<family>/<id>.rs");
}

/// Every source file of a policy, by the id that its name says. What sets defaults is called so by its folder.
fn sources() -> Vec<(String, String)> {
    let families = names_in("src/policy").into_iter().filter(|name| repository("src/policy").join(name).is_dir());
    let files = families.flat_map(|family| {
        let prefix = if family == "defaults" { "default-" } else { "" };
        // A policy may have parts of its own, in a folder.
        let files =
            names_in(&format!("src/policy/{family}")).into_iter().filter(|file| file.strip_suffix(".rs").is_some());
        files.map(move |file| {
            let text = std::fs::read_to_string(repository("src/policy").join(&family).join(&file)).expect("UTF-8");
            (format!("{prefix}{}", file.trim_end_matches(".rs").replace('_', "-")), text)
        })
    });
    files.collect()
}

#[test]
fn the_source_of_a_policy_holds_its_own_id() {
    for (id, text) in sources() {
        assert!(text.contains(&format!("id: \"{id}\",")), "{id}");
        assert!(text.starts_with(&format!("//! `{id}`: ")), "{id} opens with what it demands, or sets");
    }
}

/// True if a profile has a line that starts so below `policies:`.
fn has_line(start: &str) -> bool {
    profile::names().any(|name| profile::text(name).expect(name).contains(&format!("\n  {start}")))
}

/// True for a policy that acts only when an operator sets it: its line in a profile is a comment.
pub(crate) fn waits(id: &str) -> bool {
    has_line(&format!("# {id}: {{"))
}

/// Policies that profile `hardened` has promised to enforce. Others may join them; none leaves.
const ENFORCED: [&str; 19] = [
    "unpinned-images",
    "privileged-containers",
    "host-namespaces",
    "host-ports",
    "host-probes",
    "app-armor-overrides",
    "se-linux-options",
    "proc-mounts",
    "unsafe-sysctls",
    "windows-host-process",
    "volume-types",
    "root-users",
    "privilege-escalation",
    "undropped-capabilities",
    "missing-seccomp-profiles",
    "writable-root-filesystems",
    "automounted-tokens",
    "default-service-accounts",
    "unisolated-pods",
];

#[test]
fn every_validator_stands_in_a_profile_or_waits_to_be_set() {
    for entry in fixtures::validators() {
        let id = entry.meta.id;
        assert!(has_line(&format!("{id}: {{")) != waits(id), "{id}: one line in a profile, or one in a comment");
    }
    let snapshot = configured("profile: hardened\n");
    let enforced = snapshot.policies("").iter().filter(|policy| policy.mode == Mode::Enforce);
    let enforced: BTreeSet<&str> = enforced.map(|policy| policy.meta.id).collect();
    assert!(enforced.is_superset(&BTreeSet::from(ENFORCED)), "{enforced:?}");
    let mut hardened: BTreeSet<&str> = snapshot.policies("").iter().map(|policy| policy.meta.id).collect();
    // Parts of those that are there.
    let parts = fixtures::validators().filter(|entry| hardened.contains(entry.meta.id));
    let parts: Vec<&str> = parts.flat_map(|entry| entry.replaces(Version::LATEST)).collect();
    assert!(parts.contains(&"host-paths"), "{parts:?}");
    hardened.extend(parts);
    hardened.extend(fixtures::validators().map(|entry| entry.meta.id).filter(|id| waits(id)));
    assert_eq!(hardened, fixtures::validators().map(|entry| entry.meta.id).collect());
    assert!(snapshot.mutators("").is_empty(), "a profile holds validators");
}

#[test]
fn defaults_turn_mutators_on() {
    let on = |setting: &str| -> BTreeSet<&str> {
        let snapshot = configured(&format!("defaults: {setting}\n"));
        assert!(snapshot.policies("").is_empty());
        snapshot
            .mutators("")
            .iter()
            .filter(|active| active.mode == Mode::Enforce)
            .map(|active| active.meta.id)
            .collect()
    };
    assert!(on("off").is_empty());
    assert_eq!(on("all"), fixtures::mutators().map(|entry| entry.meta.id).collect());
    let safe = [
        "default-namespace-labels",
        "default-no-privilege-escalation",
        "default-no-token-automount",
        "default-seccomp-profile",
    ];
    assert_eq!(on("safe"), BTreeSet::from(safe));
}

#[test]
fn every_profile_is_a_file_and_every_file_a_profile() {
    let names: BTreeSet<String> = profile::names().map(|name| format!("{name}.yaml")).collect();
    assert_eq!(names_in("policies/profiles").into_iter().collect::<BTreeSet<_>>(), names);
}

#[test]
fn fixtures_cover_every_list_of_containers() {
    for entry in CATALOGUE {
        let id = entry.meta.id;
        let names: BTreeSet<String> = fixtures::of(id).into_iter().map(|fixture| fixture.name).collect();
        let reads = |list: &str| entry.meta.paths().any(|path| path.contains(&format!("spec.{list}[*]")));
        let is_of_containers = reads("containers");
        assert_eq!(is_of_containers, reads("initContainers"), "{id}");
        let (acts, leaves) = if entry.safety.is_some() { ("patch", "keep") } else { ("deny", "admit") };
        let is_of_pods = entry.meta.kinds.contains(&Kinds::Pods);
        let left = if entry.safety.is_some() && is_of_pods { "pod".to_owned() } else { shown(entry) };
        let mut wanted = vec![format!("{leaves}-{left}"), format!("{acts}-{}", shown(entry))];
        if is_of_containers {
            wanted.extend(["init-container", "sidecar"].map(|list| format!("{acts}-{list}")));
        }
        if is_of_containers && entry.safety.is_none() {
            wanted.push("admit-every-list".to_owned());
            // The API server refuses ephemeral containers that have resources, and those for debugging need no settings.
            let is_lasting = matches!(id, "unbounded-containers" | "required-settings");
            let denied = if is_lasting { "admit" } else { "deny" };
            assert_eq!(reads("ephemeralContainers"), denied == "deny", "{id}");
            wanted.push(format!("{denied}-ephemeral-container"));
        }
        for wanted in wanted {
            assert!(names.contains(&format!("{wanted}.yaml")), "{id}: {wanted}.yaml is missing");
        }
        for name in &names {
            let warns =
                |word: &str| word == "warn" && entry.safety.is_none() && !entry.meta.kinds.contains(&Kinds::Pods);
            let known = name.split('-').next().is_some_and(|word| word == acts || word == leaves || warns(word));
            let is_yaml = name.rsplit_once('.').is_some_and(|(_, ending)| ending == "yaml");
            assert!(known && is_yaml, "{id}/{name}: is named neither {acts} nor {leaves}");
        }
    }
}

/// A fixture named after a list of containers has its one container in that list.
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
        if entry.safety.is_none() {
            assert!(meta.title.starts_with("a ") || meta.title.starts_with("an "), "{id}: `Forbids {}.`", meta.title);
        } else {
            assert!(meta.title.contains(": "), "{id}: `Sets {}.` names a field and its value", meta.title);
            assert!(meta.fix.ends_with(", and nothing is set"), "{id}: {}", meta.fix);
            assert!(id.starts_with("default-"), "{id}");
        }
        assert!(!meta.title.ends_with('.'), "{id}");
        let ends = meta.why.matches(". ").count() + usize::from(meta.why.ends_with('.'));
        assert!(meta.why.ends_with('.') && (1..=2).contains(&ends), "{id}: why has {ends} sentences");
        assert!(!meta.fix.ends_with('.') && !meta.fix.contains(". "), "{id}: {}", meta.fix);
        assert!(meta.fix.starts_with(|first: char| first.is_ascii_lowercase()), "{id}: {}", meta.fix);
        let verb = meta.fix.split(' ').next().unwrap_or_default();
        let is_other_form = ["ing", "ed", "s"].iter().any(|ending| verb.ends_with(ending));
        let is_no_verb = ["a", "an", "it", "must", "no", "please", "the", "to", "you"].contains(&verb);
        assert!(!is_other_form && !is_no_verb, "{id}: is `{verb}` an imperative?");
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
