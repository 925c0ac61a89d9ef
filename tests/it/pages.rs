//! The pages under `policies/` are what the code says of its policies.

use portcullis::policy::catalogue::CATALOGUE;
use portcullis::policy::page;

use crate::catalogue::shown;
use crate::fixtures;
use crate::golden::{assert_holds, repository};

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

#[test]
fn every_field_on_the_page_is_one_that_the_policy_finds_fault_with_or_reads() {
    for entry in CATALOGUE {
        let text: String = fixtures::of(entry.meta.id).into_iter().map(|fixture| fixture.text).collect();
        for field in entry.meta.fields {
            let last = field.rsplit('.').next().unwrap_or_default().trim_end_matches("[*]");
            // What may only be set on an ephemeral container is in no object that is created.
            let is_set_later = entry.safety.is_some() && field.contains("ephemeralContainers");
            let is_there = is_set_later || text.contains(&format!("{last}:"));
            assert!(is_there, "{}: no fixture has {field}", entry.meta.id);
        }
    }
}
