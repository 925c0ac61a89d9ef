//! The pages under `policies/` are what the code says of its policies.

use portcullis::mode::Mode;
use portcullis::policy::Kinds;
use portcullis::policy::catalogue::{self, CATALOGUE};
use portcullis::policy::page;

use serde_json::Value;

use crate::catalogue::shown;
use crate::fixtures::{self, TEMPLATE_KINDS};
use crate::golden::{assert_holds, repository};
use crate::judging;

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

#[test]
fn every_page_is_fresh() {
    for entry in CATALOGUE {
        assert_holds(&format!("policies/{}.md", entry.meta.id), &page::render(entry));
    }
    assert_holds("policies/README.md", &page::index());
}

#[test]
fn the_page_shows_the_fixtures() {
    for entry in CATALOGUE {
        let folder = repository("tests/policies").join(entry.meta.id);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        let (left, acted) = if entry.safety.is_some() { ("keep", "patch") } else { ("admit", "deny") };
        let shown = shown(entry);
        assert_eq!(entry.admitted, read(&format!("{left}-{shown}.yaml")));
        assert_eq!(entry.denied, read(&format!("{acted}-{shown}.yaml")));
    }
}

#[test]
fn the_page_of_a_mutator_says_that_it_sets() {
    for entry in CATALOGUE {
        let text = page::render(entry);
        let words = ["\nSets ", "## Patched\n", "## Left as it is\n", "On with `defaults:`"];
        assert!(words.iter().all(|word| text.contains(word) == entry.safety.is_some()), "{text}");
        let words = ["\nForbids ", "## Refused\n", "## Admitted\n", "**Fix.**"];
        assert!(words.iter().all(|word| text.contains(word) == entry.safety.is_none()), "{text}");
    }
    let index = page::index();
    assert!(
        index.contains("| [default-seccomp-profile](default-seccomp-profile.md) | seccompProfile.type: "),
        "{index}"
    );
}

/// Words that the page of a mutator must contain about breakages and the way out, as a reader would search for them.
const BREAKAGES: [(&str, &[&str]); 4] = [
    ("default-run-as-non-root", &["USER is a *name*", "runAsUser", "runAsNonRoot: false"]),
    (
        "default-no-privilege-escalation",
        &["file capabilities", "ingress-nginx", "Caddy", "Vault", "allowPrivilegeEscalation: true"],
    ),
    ("default-read-only-root", &["sticky bit", "/tmp", "Ruby", "readOnlyRootFilesystem: false"]),
    ("default-no-token-automount", &["Vault Agent", "akv2k8s", "automountServiceAccountToken: true"]),
];

#[test]
fn the_page_of_a_mutator_says_what_it_breaks_and_how_to_exclude_it() {
    for entry in CATALOGUE {
        let text = page::render(entry);
        let says = ["**What it breaks.** ", "**To exclude a workload.** "].map(|words| text.contains(words));
        assert_eq!(says, [entry.safety.is_some(); 2], "{}", entry.meta.id);
        let Some((_, rest)) = text.split_once("```yaml\nnamespaces:") else { continue };
        // What it says to write is a configuration that switches the mutator off in that namespace, and only there.
        let entry_of = rest.split("```").next().expect("a block").replace("NAMESPACE", "shop");
        let snapshot = judging::configured(&format!("defaults: all\nnamespaces:{entry_of}"));
        let acts = |namespace: &str| {
            snapshot.mutators(namespace).iter().any(|one| one.meta.id == entry.meta.id && one.mode == Mode::Enforce)
        };
        assert_eq!((acts("elsewhere"), acts("shop")), (true, false), "{}", entry.meta.id);
    }
    for (id, words) in BREAKAGES {
        let text = page::render(catalogue::find(id).expect(id));
        for word in words {
            assert!(text.contains(word), "{id}: {word}");
        }
    }
}

#[test]
fn every_field_on_the_page_is_one_that_the_policy_finds_fault_with_or_reads() {
    for entry in CATALOGUE {
        let fixtures = fixtures::of(entry.meta.id);
        let roots: Vec<Value> =
            fixtures.iter().flat_map(|fixture| judging::documents(&fixture.text)).flat_map(roots).collect();
        // Paths of settings are in the settings.
        let is_of_settings = entry.meta.kinds.contains(&Kinds::Settings);
        for field in entry.meta.paths().filter(|_| !is_of_settings) {
            // What may only be set on an ephemeral container is in no object that is created.
            let is_set_later = entry.safety.is_some() && field.contains("ephemeralContainers");
            let is_there = is_set_later || roots.iter().any(|root| leads(root, &judging::steps(&field)));
            assert!(is_there, "{}: no fixture has {field}", entry.meta.id);
        }
    }
}

/// Values that the fields of a page are relative to: an object, or the template in it.
fn roots(object: Value) -> Vec<Value> {
    let kind = TEMPLATE_KINDS.iter().find(|(_, kind, _)| object["kind"] == *kind);
    let template = kind.and_then(|(.., way)| object.pointer(&format!("/{}", way.replace('.', "/"))).cloned());
    template.into_iter().chain([object]).collect()
}

/// True if there is a value at the end of these steps. Other tests hold every list of containers to its fixtures: here
/// one stands for all.
fn leads(value: &Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match (step.strip_prefix('[').and_then(|step| step.strip_suffix(']')), value) {
        (Some("*"), Value::Array(items)) => items.iter().any(|item| leads(item, rest)),
        (Some(wanted), Value::Object(map)) => {
            let begins = wanted.strip_suffix('*');
            let fits = |key: &str| begins.map_or(key == wanted, |begins| key.starts_with(begins));
            map.iter().any(|(key, value)| fits(key) && leads(value, rest))
        }
        (None, Value::Object(map)) if CONTAINERS.contains(step) => {
            CONTAINERS.iter().filter_map(|list| map.get(*list)).any(|list| leads(list, rest))
        }
        (None, Value::Object(map)) => map.get(*step).is_some_and(|value| leads(value, rest)),
        _ => false,
    }
}
