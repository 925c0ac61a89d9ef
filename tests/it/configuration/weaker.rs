//! Policies that a reload weakened, by policy and namespace.

use portcullis::mode::Mode;
use portcullis::snapshot::{Change, Weaker, weaker};

use crate::judging::configured;

fn row(policy: &'static str, namespace: &str, from: Mode, to: Mode) -> Weaker {
    other(policy, namespace, Change::Mode, from.as_str(), to.as_str())
}

fn other(policy: &'static str, namespace: &str, change: Change, from: &str, to: &str) -> Weaker {
    Weaker { policy, namespace: namespace.to_owned(), change, from: from.to_owned(), to: to.to_owned() }
}

fn change(old: &str, new: &str) -> Vec<Weaker> {
    weaker(&configured(old), &configured(new))
}

const ROOT: &str = "policies: {root-users: {mode: enforce}, unpinned-images: {mode: enforce}}\n";

#[test]
fn nothing_is_weaker_when_nothing_acts_less_far() {
    assert_eq!(change(ROOT, ROOT), []);
    assert_eq!(change("policies: {root-users: {mode: warn}}\n", ROOT), []);
    assert_eq!(change("", ROOT), []);
}

#[test]
fn a_lower_mode_a_lower_ceiling_and_a_missing_policy_are_weaker() {
    assert_eq!(
        change(ROOT, "policies: {root-users: {mode: warn}, unpinned-images: {mode: enforce}}\n"),
        [row("root-users", "*", Mode::Enforce, Mode::Warn)]
    );
    assert_eq!(
        change(ROOT, &format!("ceiling: audit\n{ROOT}")),
        [row("unpinned-images", "*", Mode::Enforce, Mode::Audit), row("root-users", "*", Mode::Enforce, Mode::Audit)]
    );
    assert_eq!(
        change(ROOT, "policies: {unpinned-images: {mode: enforce}}\n"),
        [row("root-users", "*", Mode::Enforce, Mode::Off)]
    );
}

#[test]
fn a_namespace_is_named_only_where_it_differs_from_the_rest() {
    let pay = "namespaces: [{match: {names: [pay]}, relax: true, policies: {root-users: {mode: off}}}]\n";
    assert_eq!(change(ROOT, &format!("{ROOT}{pay}")), [row("root-users", "pay", Mode::Enforce, Mode::Off)]);
    // An entry that goes away leaves the top, which may act less far.
    let raised = "ceiling: audit\npolicies: {root-users: {mode: enforce}}\n";
    assert_eq!(
        change(&format!("{raised}namespaces: [{{match: {{names: [pay]}}, ceiling: enforce}}]\n"), raised),
        [row("root-users", "pay", Mode::Enforce, Mode::Audit)]
    );
    // Everywhere and in pay alike: said once.
    let same = "namespaces: [{match: {names: [pay]}}]\n";
    assert_eq!(
        change(
            &format!("{ROOT}{same}"),
            &format!("ceiling: warn\npolicies: {{root-users: {{mode: enforce}}}}\n{same}")
        ),
        [row("unpinned-images", "*", Mode::Enforce, Mode::Off), row("root-users", "*", Mode::Enforce, Mode::Warn)]
    );
}

#[test]
fn lenient_updates_other_settings_an_older_standard_and_a_lost_kind_are_weaker() {
    let policies = |fields: &str| format!("policies: {{unisolated-pods: {{mode: enforce{fields}}}}}\n");
    assert_eq!(
        change(&policies(", updates: strict"), &policies("")),
        [other("unisolated-pods", "*", Change::Updates, "strict", "lenient")]
    );
    assert_eq!(change(&policies(""), &policies(", updates: strict")), []);
    assert_eq!(
        change(&policies(", deletes: enforce"), &policies(", deletes: warn")),
        [other("unisolated-pods", "*", Change::Deletes, "enforce", "warn")]
    );
    assert_eq!(change(&policies(""), &policies(", deletes: enforce")), []);
    let fewer = ", settings: {directions: []}";
    assert_eq!(
        change(&policies(""), &policies(fewer)),
        [other("unisolated-pods", "*", Change::Settings, "\"{}\"", "\"{\\\"directions\\\":[]}\"")]
    );
    assert_eq!(
        change(ROOT, &format!("podSecurityVersion: v1.0\n{ROOT}")),
        [other("root-users", "*", Change::PodSecurityVersion, "v1.37", "v1.0")]
    );
    let rollout = "workloads: [{group: argoproj.io, kind: Rollout, path: /spec/template}]\n";
    assert_eq!(
        change(&format!("{ROOT}{rollout}"), ROOT),
        [other("workloads", "*", Change::Workload, "argoproj.io/Rollout (rollouts) /spec/template", "")]
    );
}

#[test]
fn labels_that_count_no_more_or_act_less_far_are_weaker() {
    let labels = "podSecurityLabels: tighten\n";
    let off = [row("podSecurityLabels", "*", Mode::Enforce, Mode::Off)];
    assert_eq!(change(labels, ""), off);
    assert_eq!(change(&format!("{labels}{ROOT}"), &format!("podSecurityLabels: ignore\n{ROOT}")), off);
    assert_eq!(change("", labels), []);
    assert_eq!(change(labels, labels), []);
    assert_eq!(
        change(labels, &format!("{labels}ceiling: warn\n")),
        [row("podSecurityLabels", "*", Mode::Enforce, Mode::Warn)]
    );
    let pay = "namespaces: [{match: {names: [pay]}, ceiling: audit, relax: true}]\n";
    assert_eq!(
        change(labels, &format!("{labels}{pay}")),
        [row("podSecurityLabels", "pay", Mode::Enforce, Mode::Audit)]
    );
}
