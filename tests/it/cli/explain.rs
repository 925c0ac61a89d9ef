//! `explain`, `schema`, and the program without a command.

use portcullis::policy::catalogue::CATALOGUE;
use portcullis::policy::page;
use serde_json::Value;

use super::run;

#[test]
fn explain_prints_the_page() {
    for entry in CATALOGUE {
        let ran = run(&["explain", entry.meta.id]).with_code(0);
        assert_eq!((ran.out, ran.err), (page::render(entry), String::new()));
    }
}

#[test]
fn explain_without_an_id_lists_every_policy() {
    let ran = run(&["explain"]).with_code(0);
    let ids: Vec<&str> = ran.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, CATALOGUE.iter().map(|entry| entry.meta.id).collect::<Vec<_>>());
    for (line, entry) in ran.out.lines().zip(CATALOGUE) {
        assert!(line.contains(&entry.meta.severity.to_string()) && line.ends_with(entry.meta.title), "{line}");
    }
}

#[test]
fn explain_of_an_unknown_id_is_unusable_input() {
    let ran = run(&["explain", "root-user\u{1b}[31m"]).with_code(2);
    assert_eq!(ran.out, "");
    assert_eq!(ran.err, "root-user\\u{1b}[31m: no policy has this id; `portcullis explain` lists them\n");
}

#[test]
fn the_schema_is_json_and_names_every_policy() {
    let ran = run(&["schema"]).with_code(0);
    let schema: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for way in ["/properties/policies", "/properties/namespaces/items/properties/policies"] {
        let policies = schema.pointer(way).expect(way);
        assert_eq!(policies["additionalProperties"], false);
        let names: Vec<&String> = policies["properties"].as_object().expect(way).keys().collect();
        assert_eq!(names.len(), CATALOGUE.len(), "{way}");
        for entry in CATALOGUE {
            let policy = &policies["properties"][entry.meta.id];
            assert_eq!(policy["properties"]["mode"]["enum"], serde_json::json!(["off", "audit", "warn", "enforce"]));
            let settings = policy["properties"]["settings"]["$ref"].as_str().and_then(|way| way.strip_prefix('#'));
            let settings = settings.and_then(|way| schema.pointer(way)).expect(entry.meta.id);
            assert_eq!(settings["additionalProperties"], false, "{}", entry.meta.id);
        }
    }
}

#[test]
fn a_wrong_command_line_is_unusable_input() {
    for arguments in [
        vec![],
        vec!["cheque"],
        vec!["check"],
        vec!["check", "--format", "xml", "x.yaml"],
        vec!["check", "--ceiling", "enforced", "x.yaml"],
        vec!["check", "--config", "a", "--profile", "b", "x.yaml"],
        vec!["review"],
    ] {
        let ran = run(&arguments).with_code(2);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}");
    }
    let version = run(&["--version"]).with_code(0);
    assert_eq!(version.out, format!("portcullis {}\n", env!("CARGO_PKG_VERSION")));
}
