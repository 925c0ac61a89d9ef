//! Every error of a configuration at once, each with its place and a way out.

use std::collections::BTreeSet;

use portcullis::config::compile;
use portcullis::mode::Mode;
use portcullis::policy::catalogue::CATALOGUE;

use crate::fixtures;
use crate::judging::{HEAD, configured};

/// The lines that a text is refused with, without the name of the file.
fn refused(text: &str) -> Vec<String> {
    let error = compile("config.yaml", text, None).err().unwrap_or_else(|| panic!("compiles:\n{text}"));
    let lines = error.to_string();
    lines.lines().map(|line| line.strip_prefix("config.yaml:").expect(line).to_owned()).collect()
}

/// The same for lines that stand below the head, which has two.
pub(super) fn refused_below_head(lines: &str) -> Vec<String> {
    refused(&format!("{HEAD}{lines}"))
}

#[test]
fn every_error_is_said_at_once_with_its_place_and_a_way_out() {
    let text = "\
apiVersion: portcullis.dev/v1alpha2
kind: Configuratoin
profle: hardened
profile: hardned
ceiling: enforced
defaults: some
podSecurityVersion: 1.30
podSecurityLabels: loosen
policies:
  unpinned-image: {mode: enforce}
  root-users: {mode: enforce, setings: {}}
  privilege-escalation: {mode: blok}
  undropped-capabilities: enforce
  automounted-tokens: {mode: warn, updates: never, settings: {allow: []}}
  writable-root-filesystems: {updates: strict}
namespaces:
- match: {name: [pay]}
- match: {names: [pay]}
  cieling: audit
- relax: true
- pay
exceptions: [{who: me}]
workloads:
- {group: argoproj.io, kind: Rollout, path: spec.template}
- {group: argoproj.io, kind: Rollout, path: /spec/template, versoin: v1}
trail: {fil: x, file: 7}
";
    assert_eq!(
        refused(text),
        [
            "1:13: apiVersion: must be portcullis.dev/v1alpha1",
            "2:7: kind: must be Configuration",
            "3:1: profle: unknown key; did you mean profile?",
            "4:10: profile: no profile has this name; did you mean hardened?",
            "5:10: ceiling: must be off, audit, warn or enforce",
            "6:11: defaults: must be off, safe or all",
            "7:21: podSecurityVersion: must be a string",
            "8:20: podSecurityLabels: must be ignore or tighten",
            "10:3: policies.unpinned-image: no policy has this id; did you mean unpinned-images?",
            "11:31: policies.root-users.setings: unknown key; did you mean settings?",
            "12:32: policies.privilege-escalation.mode: must be off, audit, warn or enforce",
            "13:27: policies.undropped-capabilities: must be a mapping",
            "14:45: policies.automounted-tokens.updates: must be strict or lenient",
            "14:63: policies.automounted-tokens.settings.allow: unknown key; there are no settings",
            "15:3: policies.writable-root-filesystems: needs a mode: the profile does not set one",
            "17:11: namespaces[0].match.name: unknown key; did you mean names?",
            "19:3: namespaces[1].cieling: unknown key; did you mean ceiling?",
            "20:3: namespaces[2].match: must name namespaces: match: {names: [NAME]}, or a label of theirs: match: {labels: {KEY: VALUE}}",
            "21:3: namespaces[3]: must be a mapping",
            "22:14: exceptions[0].name: is missing; write name: old-shop-images",
            "22:14: exceptions[0].policies: must name policies, such as policies: [root-users]",
            "22:14: exceptions[0].match: is missing; write match: {namespace: NAME, kind: Deployment, name: NAME}",
            "22:14: exceptions[0].expires: is missing; write expires: 2027-01-31T00:00:00Z",
            "22:14: exceptions[0].reason: is missing; write why it is needed",
            "22:14: exceptions[0].owner: is missing; write who answers for it",
            "22:15: exceptions[0].who: unknown key; known keys are name, policies, match, expires, reason, owner, ticket, \
             requires",
            "24:45: workloads[0].path: must be a JSON pointer to the pod template, such as /spec/template; * stands for \
             every item",
            "25:61: workloads[1].versoin: unknown key; known keys are group, kind, resource, path, immutable",
            "26:9: trail.fil: unknown key; did you mean file?",
            "26:23: trail.file: must be a string",
        ]
    );
}

#[test]
fn what_is_no_single_mapping_is_refused() {
    assert_eq!(refused(""), ["1:1: is empty; write apiVersion: portcullis.dev/v1alpha1 and kind: Configuration"]);
    assert_eq!(refused("# nothing\n---\n"), refused(""));
    assert_eq!(refused("- a\n"), ["1:1: must be a mapping"]);
    assert_eq!(refused("a: [\n").len(), 1, "broken YAML is one error");
    assert!(refused("a: [\n")[0].starts_with("1:4: "), "{:?}", refused("a: [\n"));
    assert_eq!(
        refused(&format!("{HEAD}---\nkind: Other\n")),
        ["4:1: a configuration is one document; remove this one"]
    );
}

#[test]
fn a_missing_head_is_written_out() {
    assert_eq!(
        refused("profile: hardened\n"),
        [
            "1:1: apiVersion: is missing; write apiVersion: portcullis.dev/v1alpha1",
            "1:1: kind: is missing; write kind: Configuration"
        ]
    );
}

#[test]
fn a_repeated_key_is_refused_at_every_level() {
    for (lines, place) in [
        ("ceiling: audit\nceiling: enforce\n", "4:1: ceiling"),
        ("policies:\n  root-users: {mode: warn}\n  root-users: {mode: off}\n", "5:3: policies.root-users"),
        ("policies: {root-users: {mode: warn, mode: off}}\n", "3:37: policies.root-users.mode"),
        ("namespaces:\n- match: {names: [pay]}\n  match: {names: [other]}\n", "5:3: namespaces[0].match"),
        ("namespaces:\n- match: {names: [pay], names: [x]}\n", "4:25: namespaces[0].match.names"),
        ("trail: {file: a, file: b}\n", "3:18: trail.file"),
    ] {
        assert_eq!(refused_below_head(lines), [format!("{place}: is here twice; keep one")], "{lines}");
    }
    let settings = refused_below_head("policies: {root-users: {mode: warn, settings: {a: {b: 1, b: 2}}}}\n");
    assert!(
        settings.contains(&"3:58: policies.root-users.settings: b is here twice; keep one".to_owned()),
        "{settings:?}"
    );
}

#[test]
fn settings_are_a_mapping_of_known_names() {
    for settings in ["[]", "[1]", "7", "text", "off"] {
        let lines = format!("policies: {{root-users: {{mode: warn, settings: {settings}}}}}\n");
        assert_eq!(refused_below_head(&lines), ["3:47: policies.root-users.settings: must be a mapping"], "{settings}");
    }
    let lines = "namespaces:\n- match: {names: [pay]}\n  relax: true\n  policies:\n    root-users:\n      mode: warn\n      \
                 settings:\n        a: 1\n";
    assert_eq!(
        refused_below_head(lines),
        ["10:9: namespaces[0].policies.root-users.settings.a: unknown key; there are no settings"]
    );
}

/// Each policy lists settings that it refuses, in `tests/policies/<id>/bad-settings.yaml`.
#[test]
fn settings_that_a_policy_does_not_have_are_refused() {
    for entry in CATALOGUE {
        let id = entry.meta.id;
        let rows = fixtures::table(id, "bad-settings.yaml");
        for row in rows.as_array().expect("a list") {
            let (settings, error) = (&row["settings"], row["error"].as_str().expect("error"));
            let lines = refused_below_head(&format!("policies: {{{id}: {{mode: warn, settings: {settings}}}}}\n"));
            let [line] = lines.as_slice() else { panic!("{id}: {settings}: {lines:?}") };
            let (_, said) = line.split_once(&format!(": policies.{id}.settings")).expect(line);
            // What is said of them as a whole has no path below them.
            let said = said.strip_prefix('.').or(said.strip_prefix(": ")).expect(line);
            assert_eq!(said, error, "{id}: {settings}");
        }
    }
}

#[test]
fn an_entry_that_is_weaker_than_the_top_must_say_so() {
    let top = "profile: hardened\npolicies: {root-users: {mode: enforce, updates: strict}}\nnamespaces:\n- match: {names: [pay]}\n";
    // Everything that the profile enforces, in the order of the ids.
    let hardened = configured("profile: hardened\n");
    let enforced = hardened.policies("").iter().filter(|policy| policy.mode == Mode::Enforce);
    let enforced: BTreeSet<&str> = enforced.map(|policy| policy.meta.id).collect();
    assert!(
        enforced.is_superset(&BTreeSet::from(["root-users", "unisolated-pods", "unpinned-images"])),
        "{enforced:?}"
    );
    assert!(!enforced.contains("unbounded-containers"), "which warns");
    let enforced = enforced.into_iter().collect::<Vec<_>>().join(", ");
    for (entry, weaker) in [
        ("  ceiling: warn\n", enforced.as_str()),
        ("  policies: {unpinned-images: {mode: warn}}\n", "unpinned-images"),
        ("  policies: {unpinned-images: {mode: off}, root-users: {mode: audit}}\n", "root-users, unpinned-images"),
        ("  policies: {root-users: {updates: lenient}}\n", "root-users"),
    ] {
        let refusal =
            format!("6:3: namespaces[0]: is weaker than the top for {weaker}; if that is meant, add relax: true");
        for relax in ["", "  relax: false\n"] {
            assert_eq!(refused_below_head(&format!("{top}{entry}{relax}")), std::slice::from_ref(&refusal), "{entry}");
        }
        let said = format!("{HEAD}{top}{entry}  relax: true\n");
        assert!(compile("config.yaml", &said, None).is_ok(), "{said}");
    }
    let own = "profile: hardened\nnamespaces:\n- match: {names: [pay]}\n  policies: {root-users: {settings: {}}}\n";
    assert_eq!(
        refused_below_head(own),
        ["5:3: namespaces[0]: has settings of its own, which may be weaker than the top's; add relax: true"]
    );
    assert_eq!(
        refused_below_head("namespaces:\n- match: {names: [pay]}\n  relax: yes please\n"),
        ["5:10: namespaces[0].relax: must be true or false"]
    );
}

#[test]
fn an_entry_that_holds_labels_back_must_say_so() {
    let labels = "podSecurityLabels: tighten\nnamespaces:\n- match: {names: [pay]}\n  ceiling: warn\n";
    assert_eq!(
        refused_below_head(labels),
        ["5:3: namespaces[0]: is weaker than the top for podSecurityLabels; if that is meant, add relax: true"]
    );
    assert!(compile("config.yaml", &format!("{HEAD}{labels}  relax: true\n"), None).is_ok());
}

#[test]
fn namespaces_are_named_in_full() {
    for (names, place) in [
        ("[\"pay-*\"]", "4:19: namespaces[0].match.names: must be the name of a namespace, in full"),
        ("[Pay]", "4:19: namespaces[0].match.names: must be the name of a namespace, in full"),
        ("[7]", "4:19: namespaces[0].match.names: must be a string; put it in quotation marks"),
        ("pay", "4:18: namespaces[0].match.names: must be a list"),
        (
            "[]",
            "4:3: namespaces[0].match: must name namespaces: match: {names: [NAME]}, or a label of theirs: match: {labels: {KEY: VALUE}}",
        ),
    ] {
        let lines = format!("namespaces:\n- match: {{names: {names}}}\n");
        assert_eq!(refused_below_head(&lines), [place], "{names}");
    }
}

#[test]
fn a_namespace_that_an_earlier_entry_names_is_refused() {
    let shadowed = |place: &str, name: &str, line: u64| {
        format!(
            "{place}.match.names: {name} is named at line {line} already, and the first entry that names a namespace \
             counts; name it once"
        )
    };
    for (entries, errors) in [
        (
            "- match: {names: [pay, shop]}\n- match: {names: [shop, pay]}\n  ceiling: audit\n  relax: true\n",
            vec![shadowed("5:19: namespaces[1]", "shop", 4), shadowed("5:25: namespaces[1]", "pay", 4)],
        ),
        (
            "- match: {names: [pay]}\n- match: {names: [bank]}\n- match: {names: [shop, bank]}\n",
            vec![shadowed("6:25: namespaces[2]", "bank", 5)],
        ),
        ("- match: {names: [pay, pay]}\n", vec![shadowed("4:24: namespaces[0]", "pay", 4)]),
        ("- match: {names: &n [pay]}\n- match: {names: *n}\n", vec![shadowed("4:22: namespaces[1]", "pay", 4)]),
    ] {
        assert_eq!(refused_below_head(&format!("namespaces:\n{entries}")), errors, "{entries}");
    }
}

#[test]
fn what_follows_the_document_is_refused() {
    for rest in
        ["...\nceiling: audit\n", "---\nceiling: audit\n", "--- {ceiling: audit}\n", "---ceiling: audit\n", "... x\n"]
    {
        let errors = refused(&format!("{HEAD}profile: hardened\n{rest}"));
        assert_eq!(errors.len(), 1, "{rest}: {errors:?}");
        assert!(errors[0].starts_with("4:") || errors[0].starts_with("5:1: "), "{rest}: {errors:?}");
    }
    let harmless = format!("---\n# before\n---\n{HEAD}profile: hardened\n...\n# after\n--- # nothing\n");
    assert!(compile("config.yaml", &harmless, None).is_ok());
}

#[test]
fn an_override_of_a_merged_key_is_not_here_twice() {
    let merged = "policies:\n  root-users: &strict {mode: enforce, updates: strict}\n  proc-mounts: {<<: *strict, mode: warn}\n  \
                  host-ports: {<<: [*strict], mode: audit}\n";
    assert!(compile("config.yaml", &format!("{HEAD}{merged}"), None).is_ok());
    assert_eq!(
        refused_below_head(&merged.replace("mode: warn", "mode: warn, mode: audit")),
        ["5:42: policies.proc-mounts.mode: is here twice; keep one"]
    );
    assert_eq!(
        refused_below_head(&merged.replace("mode: warn", "<<: *strict")),
        ["5:30: policies.proc-mounts.<<: is here twice; keep one, or merge a list: <<: [*a, *b]"]
    );
}

#[test]
fn a_version_of_the_standards_is_latest_or_one_that_is_known() {
    for version in ["latest", "v1.0", "v1.25", "v1.36"] {
        assert!(compile("", &format!("{HEAD}podSecurityVersion: {version}\n"), None).is_ok(), "{version}");
    }
    for version in ["v1.99", "v2.0", "1.25", "v1", "v1.", "v1.025", "v1.+5", "v1.-1", "v1.25.3", "newest", "\"\""] {
        let [line] = refused_below_head(&format!("podSecurityVersion: {version}\n")).try_into().expect("one error");
        assert!(line.contains(": podSecurityVersion: must be "), "{version}: {line}");
    }
}

#[test]
fn what_is_no_text_quotes_no_value() {
    let secret = "hunter2-and-more";
    for lines in [
        format!("trail: {{file: [{secret}]}}\n"),
        format!("policies: {{root-users: {{mode: {secret}}}}}\n"),
        format!("policies: {{root-users: {{mode: warn, settings: {secret}}}}}\n"),
        format!("ceiling: {secret}\n"),
    ] {
        assert!(!refused_below_head(&lines).concat().contains(secret), "{lines}");
    }
}
