//! The pages under `policies/` are what the code says of its policies.

use portcullis::policy::catalogue::CATALOGUE;
use portcullis::policy::page;

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
        assert_eq!(entry.admitted, read("admit-pod.yaml"));
        assert_eq!(entry.denied, read("deny-pod.yaml"));
    }
}

#[test]
fn every_field_on_the_page_is_one_that_the_policy_finds_fault_with_or_reads() {
    for entry in CATALOGUE {
        let text: String = fixtures::of(entry.meta.id).into_iter().map(|fixture| fixture.text).collect();
        for field in entry.meta.fields {
            let last = field.rsplit('.').next().unwrap_or_default().trim_end_matches("[*]");
            assert!(text.contains(&format!("{last}:")), "{}: no fixture has {field}", entry.meta.id);
        }
    }
}
