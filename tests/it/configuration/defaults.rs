//! Mutators in a configuration: by `defaults`, and one by one among the policies.

use portcullis::config::{compile, schema};
use portcullis::mode::Mode;
use portcullis::mutation::mutate;
use portcullis::request::Source;
use portcullis::snapshot::{Change, Snapshot, Weaker, weaker};
use serde_json::{Value, json};

use super::errors::refused_below_head;
use crate::judging::{HEAD, configured, with_creation};

const SAFE: [&str; 4] = [
    "default-seccomp-profile",
    "default-no-privilege-escalation",
    "default-no-token-automount",
    "default-namespace-labels",
];
const DARING: [&str; 3] = ["default-run-as-non-root", "default-drop-capabilities", "default-read-only-root"];

/// Each mutator with its mode, and the one it was configured to have.
fn mutators(snapshot: &Snapshot, namespace: &str) -> Vec<(&'static str, Mode, Mode)> {
    snapshot.mutators(namespace).iter().map(|one| (one.meta.id, one.mode, one.configured)).collect()
}

fn all(ids: &[&'static str], mode: Mode, configured: Mode) -> Vec<(&'static str, Mode, Mode)> {
    ids.iter().map(|id| (*id, mode, configured)).collect()
}

#[test]
fn off_is_none_safe_is_four_and_all_is_seven() {
    let seven = [&SAFE[..], &DARING[..]].concat();
    for (lines, expected) in
        [("", &[][..]), ("defaults: off\n", &[]), ("defaults: safe\n", &SAFE), ("defaults: all\n", &seven)]
    {
        let snapshot = configured(lines);
        assert_eq!(mutators(&snapshot, ""), all(expected, Mode::Enforce, Mode::Enforce), "{lines}");
        assert_eq!(snapshot.policies("").len(), 0, "a mutator judges nothing");
        let strongest = if expected.is_empty() { Mode::Off } else { Mode::Enforce };
        assert_eq!((snapshot.strongest_default(""), snapshot.strongest("")), (strongest, Mode::Off));
    }
    assert!(mutators(&configured("profile: hardened\n"), "").is_empty(), "a profile holds validators");
}

#[test]
fn a_ceiling_lowers_defaults_and_what_was_configured_is_remembered() {
    let snapshot = configured("defaults: safe\nceiling: audit\nnamespaces: [{match: {names: [pay]}, ceiling: warn}]\n");
    assert_eq!(mutators(&snapshot, ""), all(&SAFE, Mode::Audit, Mode::Enforce));
    assert_eq!(mutators(&snapshot, "pay"), all(&SAFE, Mode::Warn, Mode::Enforce));
    let text = format!("{HEAD}defaults: safe\n");
    let lowered = compile("config.yaml", &text, Some(Mode::Audit)).expect("compiles").snapshot;
    assert_eq!(mutators(&lowered, ""), all(&SAFE, Mode::Audit, Mode::Enforce), "the command line's too");
}

#[test]
fn a_mode_among_the_policies_wins_over_defaults() {
    let one = configured("policies: {default-drop-capabilities: {mode: warn}}\n");
    assert_eq!(mutators(&one, ""), [("default-drop-capabilities", Mode::Warn, Mode::Warn)], "without any defaults");
    let changed = configured(
        "defaults: safe\npolicies: {default-seccomp-profile: {mode: audit}, default-read-only-root: {mode: enforce}, \
         default-no-token-automount: {mode: off}}\n",
    );
    assert_eq!(
        mutators(&changed, ""),
        [
            ("default-seccomp-profile", Mode::Audit, Mode::Audit),
            ("default-no-privilege-escalation", Mode::Enforce, Mode::Enforce),
            ("default-no-token-automount", Mode::Off, Mode::Off),
            ("default-namespace-labels", Mode::Enforce, Mode::Enforce),
            ("default-read-only-root", Mode::Enforce, Mode::Enforce),
        ]
    );
}

#[test]
fn defaults_decide_whether_a_mutator_without_a_mode_is_on() {
    let settings = "policies: {default-read-only-root: {settings: {paths: [/cache]}}}\n";
    for (defaults, is_on) in [("off", false), ("safe", false), ("all", true)] {
        let snapshot = configured(&format!("defaults: {defaults}\n{settings}"));
        let mut mutators = mutators(&snapshot, "").into_iter();
        assert_eq!(mutators.any(|one| one.0 == "default-read-only-root"), is_on, "{defaults}");
    }
}

#[test]
fn settings_reach_the_mutator_in_each_namespace() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "web"}]}});
    // The Pod is in the namespace `default`.
    for (entry, expected) in [("default", &["/run", "/var/lib/x"][..]), ("elsewhere", &["/cache"])] {
        let snapshot = configured(&format!(
            "policies: {{default-read-only-root: {{mode: enforce, settings: {{paths: [/cache]}}}}}}\n\
             namespaces:\n- match: {{names: [{entry}]}}\n  relax: true\n  \
             policies: {{default-read-only-root: {{settings: {{paths: [/run, /var/lib/x]}}}}}}\n"
        ));
        let mutation = with_creation(&snapshot, &pod, Source::ApiServer, |request| mutate(&snapshot, request));
        let object = mutation.expect("a Pod").object.expect("patched");
        let mounts = object["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts").iter();
        let paths: Vec<&str> = mounts.filter_map(|mount| mount["mountPath"].as_str()).collect();
        assert_eq!(paths, expected, "{entry}");
    }
}

#[test]
fn what_a_mutator_does_not_know_is_refused_with_its_place() {
    for (policy, expected) in [
        (
            "default-seccomp-profiles: {mode: warn}",
            "3:12: policies.default-seccomp-profiles: no policy has this id; did you mean default-seccomp-profile?",
        ),
        (
            "default-seccomp-profile: {mode: loud}",
            "3:44: policies.default-seccomp-profile.mode: must be off, audit, warn or enforce",
        ),
        (
            "default-seccomp-profile: {mode: warn, settings: {profile: x}}",
            "3:61: policies.default-seccomp-profile.settings.profile: unknown key; there are no settings",
        ),
        // It never refuses an update: there is nothing to be strict about.
        (
            "default-seccomp-profile: {mode: warn, updates: strict}",
            "3:50: policies.default-seccomp-profile.updates: unknown key; known keys are mode, settings",
        ),
    ] {
        assert_eq!(refused_below_head(&format!("policies: {{{policy}}}\n")), [expected], "{policy}");
    }
}

#[test]
fn every_word_of_defaults_that_is_not_known_is_refused() {
    for word in ["some", "on", "true", "[safe]", "7"] {
        let lines = format!("defaults: {word}\nnamespaces: [{{match: {{names: [pay]}}, defaults: {word}}}]\n");
        let errors = refused_below_head(&lines);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("3:11: defaults: must be "), "{errors:?}");
        assert!(errors[1].starts_with("4:48: namespaces[0].defaults: must be "), "{errors:?}");
    }
}

#[test]
fn an_entry_that_weakens_a_mutator_must_say_so() {
    let seven = "default-drop-capabilities, default-namespace-labels, default-no-privilege-escalation, \
                 default-no-token-automount, default-read-only-root, default-run-as-non-root, default-seccomp-profile";
    let daring = "default-drop-capabilities, default-read-only-root, default-run-as-non-root";
    for (entry, weaker) in [
        ("defaults: safe", daring),
        ("defaults: off", seven),
        ("ceiling: warn", seven),
        ("policies: {default-run-as-non-root: {mode: audit}}", "default-run-as-non-root"),
        (
            "defaults: safe, policies: {default-run-as-non-root: {mode: enforce}}",
            "default-drop-capabilities, default-read-only-root",
        ),
    ] {
        let lines =
            |relax: &str| format!("defaults: all\nnamespaces:\n- {{match: {{names: [pay]}}, {entry}{relax}}}\n");
        let refusal =
            format!("5:3: namespaces[0]: is weaker than the top for {weaker}; if that is meant, add relax: true");
        assert_eq!(refused_below_head(&lines("")), [refusal], "{entry}");
        configured(&lines(", relax: true"));
    }
    let own =
        "defaults: all\nnamespaces:\n- match: {names: [pay]}\n  policies: {default-read-only-root: {settings: {}}}\n";
    assert_eq!(
        refused_below_head(own),
        ["5:3: namespaces[0]: has settings of its own, which may be weaker than the top's; add relax: true"]
    );
}

#[test]
fn more_defaults_in_an_entry_are_free() {
    for lines in [
        "defaults: safe\nnamespaces: [{match: {names: [pay]}, defaults: all}]\n",
        "defaults: off\nnamespaces: [{match: {names: [pay]}, policies: {default-read-only-root: {mode: audit}}}]\n",
        // A mode that is written stands, whatever `defaults` says below it.
        "policies: {default-seccomp-profile: {mode: enforce}}\nnamespaces: [{match: {names: [pay]}, defaults: off}]\n",
    ] {
        let snapshot = configured(lines);
        assert!(mutators(&snapshot, "pay").len() >= mutators(&snapshot, "").len(), "{lines}");
    }
}

#[test]
fn a_reload_that_weakens_mutators_names_them() {
    let row = |policy, namespace: &str, to: Mode| Weaker {
        policy,
        namespace: namespace.to_owned(),
        change: Change::Mode,
        from: "enforce".to_owned(),
        to: to.to_string(),
    };
    let change = |old: &str, new: &str| weaker(&configured(old), &configured(new));
    assert_eq!(change("defaults: all\n", "defaults: safe\n"), DARING.map(|policy| row(policy, "*", Mode::Off)));
    assert_eq!(
        change("defaults: safe\n", "defaults: safe\nceiling: warn\n"),
        SAFE.map(|policy| row(policy, "*", Mode::Warn))
    );
    assert_eq!(
        change("defaults: safe\n", "defaults: safe\npolicies: {default-seccomp-profile: {mode: audit}}\n"),
        [row("default-seccomp-profile", "*", Mode::Audit)]
    );
    assert_eq!(
        change("namespaces: [{match: {names: [pay]}, defaults: safe}]\n", ""),
        SAFE.map(|policy| row(policy, "pay", Mode::Off))
    );
    assert_eq!(change("defaults: safe\n", "defaults: all\n"), []);
}

/// Returns the target of a `$ref`, or the node itself if it has none.
fn follow<'s>(schema: &'s Value, node: &'s Value) -> &'s Value {
    let way = node["$ref"].as_str().and_then(|way| way.strip_prefix('#'));
    way.map_or(node, |way| schema.pointer(way).expect(way))
}

#[test]
fn the_schema_covers_defaults_and_the_settings_of_mutators() {
    let schema = schema::schema();
    for way in ["/properties", "/properties/namespaces/items/properties"] {
        let top = schema.pointer(way).expect(way);
        assert_eq!(top["defaults"]["enum"], json!(["off", "safe", "all"]), "{way}");
        for id in [&SAFE[..], &DARING[..]].concat() {
            let mutator = &top["policies"]["properties"][id];
            let keys: Vec<&str> = mutator["properties"].as_object().expect(id).keys().map(String::as_str).collect();
            assert_eq!((keys, &mutator["additionalProperties"]), (vec!["mode", "settings"], &json!(false)), "{id}");
            let settings = follow(&schema, &mutator["properties"]["settings"]);
            let names: Vec<&str> =
                settings["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let expected: &[&str] = match id {
                "default-read-only-root" => &["paths", "tmp"],
                "default-namespace-labels" => &["audit", "enforce", "warn"],
                _ => &[],
            };
            assert_eq!((names.as_slice(), &settings["additionalProperties"]), (expected, &json!(false)), "{id}");
        }
        let settings = &top["policies"]["properties"]["default-read-only-root"]["properties"]["settings"];
        let paths = follow(&schema, &follow(&schema, settings)["properties"]["paths"]);
        let tmp = follow(&schema, &follow(&schema, settings)["properties"]["tmp"]);
        assert_eq!(tmp["additionalProperties"], false);
        assert!(tmp["properties"]["mode"].is_object() && tmp["properties"]["options"].is_object(), "{tmp}");
        assert_eq!((&paths["type"], &follow(&schema, &paths["items"])["type"]), (&json!("array"), &json!("string")));
    }
}
