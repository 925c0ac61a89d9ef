//! Meaning of a configuration: profiles, modes, ceilings, namespaces.

use std::collections::BTreeMap;

use portcullis::config::{compile, compile_profile};
use portcullis::mode::Mode;
use portcullis::snapshot::Snapshot;

use crate::judging::{HEAD, configured};

/// Effective mode of each policy in a namespace.
fn modes(snapshot: &Snapshot, namespace: &str) -> BTreeMap<&'static str, Mode> {
    snapshot.policies(namespace).iter().map(|policy| (policy.meta.id, policy.mode)).collect()
}

fn mode(snapshot: &Snapshot, namespace: &str, policy: &str) -> Mode {
    modes(snapshot, namespace)[policy]
}

#[test]
fn without_a_profile_only_what_is_written_is_in_force() {
    let snapshot = configured("policies: {root-users: {mode: warn}}\n");
    assert_eq!(modes(&snapshot, ""), BTreeMap::from([("root-users", Mode::Warn)]));
    assert_eq!(configured("").policies("any").len(), 0);
}

#[test]
fn off_means_off_whether_quoted_or_not() {
    for off in ["off", "\"off\"", "'off'", "false"] {
        let snapshot = configured(&format!("profile: hardened\npolicies: {{root-users: {{mode: {off}}}}}\n"));
        assert_eq!(mode(&snapshot, "", "root-users"), Mode::Off, "{off}");
        assert_eq!(configured(&format!("profile: hardened\nceiling: {off}\n")).strongest(""), Mode::Off, "{off}");
        assert!(configured(&format!("defaults: {off}\n")).mutators("").is_empty(), "{off}");
    }
}

#[test]
fn what_is_written_changes_the_profile_and_leaves_the_rest() {
    let mut hardened = modes(&configured("profile: hardened\n"), "");
    assert_eq!(hardened.insert("root-users", Mode::Audit), Some(Mode::Enforce));
    let snapshot = configured("profile: hardened\npolicies: {root-users: {mode: audit}}\n");
    assert_eq!(modes(&snapshot, ""), hardened);
    assert!(hardened.values().filter(|mode| **mode == Mode::Enforce).count() >= 18, "{hardened:?}");
}

#[test]
fn a_ceiling_lowers_and_never_raises() {
    let snapshot = configured("profile: hardened\nceiling: warn\npolicies: {root-users: {mode: audit}}\n");
    assert_eq!(mode(&snapshot, "", "root-users"), Mode::Audit);
    assert_eq!(mode(&snapshot, "", "unpinned-images"), Mode::Warn);
    let policy = snapshot.policies("").iter().find(|policy| policy.meta.id == "unpinned-images").expect("in force");
    assert_eq!(policy.configured, Mode::Enforce, "what was configured is remembered");
}

#[test]
fn audit_only_is_hardened_under_a_ceiling() {
    let snapshot = compile_profile("audit-only", None).expect("compiles").snapshot;
    let policies = snapshot.policies("");
    let configured_modes: BTreeMap<_, _> = policies.iter().map(|policy| (policy.meta.id, policy.configured)).collect();
    assert_eq!(configured_modes, modes(&configured("profile: hardened\n"), ""));
    assert!(policies.len() >= 20 && policies.iter().all(|policy| policy.mode == Mode::Audit));
    // A configuration's own ceiling stands in the profile's place.
    assert_eq!(configured("profile: audit-only\nceiling: warn\n").strongest(""), Mode::Warn);
    assert!(snapshot.mutators("").is_empty(), "a profile holds validators");
}

#[test]
fn raising_a_namespace_is_free() {
    let snapshot = configured(
        "profile: hardened\nceiling: audit\npolicies: {root-users: {mode: warn}}\nnamespaces:\n- match: {names: [pay]}\n  ceiling: enforce\n\
         - match: {names: [shop]}\n  ceiling: enforce\n  policies: {root-users: {mode: enforce}}\n",
    );
    assert_eq!(mode(&snapshot, "pay", "unpinned-images"), Mode::Enforce);
    assert_eq!(mode(&snapshot, "pay", "root-users"), Mode::Warn);
    assert_eq!(mode(&snapshot, "shop", "root-users"), Mode::Enforce);
    assert_eq!(mode(&snapshot, "elsewhere", "unpinned-images"), Mode::Audit);
    assert_eq!(mode(&snapshot, "", "unpinned-images"), Mode::Audit);
}

#[test]
fn an_entry_counts_for_every_namespace_that_it_names() {
    let snapshot = configured(
        "profile: hardened\nnamespaces:\n- match: {names: [pay, shop]}\n  ceiling: audit\n  relax: true\n\
         - match: {names: [bank]}\n  ceiling: warn\n  relax: true\n",
    );
    assert_eq!(snapshot.strongest("pay"), Mode::Audit);
    assert_eq!(snapshot.strongest("shop"), Mode::Audit);
    assert_eq!(snapshot.strongest("bank"), Mode::Warn);
    assert_eq!(snapshot.strongest("other"), Mode::Enforce);
    assert_eq!(snapshot.named_namespaces(), ["bank", "pay", "shop"]);
}

#[test]
fn an_entry_without_a_ceiling_has_the_top_s() {
    let snapshot =
        configured("profile: hardened\nceiling: warn\nnamespaces:\n- match: {names: [pay]}\n  defaults: all\n");
    assert_eq!(snapshot.strongest("pay"), Mode::Warn);
    assert_eq!(snapshot.strongest_default("pay"), Mode::Warn);
    assert!(snapshot.mutators("").is_empty());
}

#[test]
fn a_ceiling_from_the_command_line_lowers_every_namespace() {
    let text = format!("{HEAD}profile: hardened\nnamespaces:\n- match: {{names: [pay]}}\n  ceiling: enforce\n");
    let snapshot = compile("config.yaml", &text, Some(Mode::Audit)).expect("compiles").snapshot;
    assert_eq!((snapshot.strongest(""), snapshot.strongest("pay")), (Mode::Audit, Mode::Audit));
}

#[test]
fn the_digest_is_of_the_bytes_of_the_file() {
    let digest = |text: &str| compile("", text, None).expect("compiles").snapshot.digest().to_string();
    let first = digest(HEAD);
    assert!(first.len() == 64 && first.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    assert_eq!(first, digest(HEAD));
    assert_ne!(first, digest(&format!("{HEAD}# a comment\n")));
}

#[test]
fn labels_may_act_up_to_the_ceiling_where_they_count() {
    let lines = "ceiling: warn\nnamespaces:\n- {match: {names: [pay]}, ceiling: enforce}\n- {match: {names: [shop]}}\n\
                 - {match: {names: [free]}, ceiling: off, relax: true}\n";
    let snapshot = configured(&format!("podSecurityLabels: tighten\n{lines}"));
    let ignoring = configured(lines);
    for (namespace, mode) in [("", Mode::Warn), ("pay", Mode::Enforce), ("shop", Mode::Warn), ("free", Mode::Off)] {
        assert_eq!((snapshot.labels(namespace), snapshot.strongest(namespace)), (mode, mode), "{namespace}");
        assert_eq!((ignoring.labels(namespace), ignoring.strongest(namespace)), (Mode::Off, Mode::Off), "{namespace}");
    }
    assert_eq!(snapshot.policies("pay").len(), 0, "without labels nothing is added");
    assert!(snapshot.mutators("pay").is_empty() && snapshot.strongest_default("pay") == Mode::Off);
}

#[test]
fn empty_values_are_nothing() {
    let snapshot = configured(
        "profile:\nceiling:\ndefaults:\npolicies:\npodSecurityVersion:\npodSecurityLabels:\nnamespaces:\nexceptions: []\nexisting:\nworkloads:\ntrail:\n",
    );
    assert_eq!(snapshot.policies("").len(), 0);
}
