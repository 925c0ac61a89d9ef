//! Updates of a Namespace's Pod Security labels: which are findings, and which of them refuse.

use portcullis::snapshot::Snapshot;
use serde_json::{Map, Value, json};

use crate::judging::{answer, configured, world};

/// Labels from `enforce=baseline warn=restricted`.
fn labels(text: &str) -> Value {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), json!(value))).collect::<Map<_, _>>().into()
}

fn enforced(settings: &str) -> Snapshot {
    configured(&format!("policies: {{unlabelled-namespaces: {{mode: enforce, settings: {{{settings}}}}}}}\n"))
}

/// What refuses an update of a Namespace from one set of labels to another, by a member of `group`.
fn refused(snapshot: &Snapshot, group: &str, subresource: &str, (from, to): (&str, &str)) -> Vec<String> {
    judged(snapshot, "UPDATE", group, subresource, (from, to))
}

fn judged(
    snapshot: &Snapshot,
    operation: &str,
    group: &str,
    subresource: &str,
    (from, to): (&str, &str),
) -> Vec<String> {
    let object = |text: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels(text)}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": operation, "subResource": subresource, "name": "shop", "namespace": "shop",
        "kind": {"group": "", "version": "v1", "kind": "Namespace"},
        "resource": {"group": "", "version": "v1", "resource": "namespaces"},
        "userInfo": {"username": "alice", "groups": [group]},
        "object": object(to), "oldObject": if operation == "UPDATE" { object(from) } else { Value::Null },
    }});
    let decision = answer(snapshot, &review, &world(""));
    let refusing = decision.findings.into_iter().filter(portcullis::decision::ModedFinding::refuses);
    let said = refusing.map(|finding| {
        let place = finding.place.shown().replace("metadata.labels[pod-security.kubernetes.io/", "").replace(']', "");
        format!("{place} {}", finding.message)
    });
    said.collect()
}

#[test]
fn an_update_may_keep_what_was_wrong_and_lower_nothing() {
    let lowered = |name: &str, from: &str, to: &str| {
        format!("{name} must not be lowered from {from} to {to}: only the groups in mayWeaken may")
    };
    let rows = [
        // As it was.
        ("", "", ""),
        ("enforce=privileged", "enforce=privileged", ""),
        ("enforce=foo", "enforce=foo", ""),
        ("", "warn=restricted audit=baseline", ""),
        // Better.
        ("", "enforce=baseline", ""),
        ("enforce=baseline warn=restricted", "enforce=restricted", ""),
        ("enforce=foo", "enforce=baseline", ""),
        ("enforce=baseline enforce-version=v1.20", "enforce=baseline", ""),
        ("enforce=baseline", "enforce=restricted enforce-version=v1.20", ""),
        // Worse.
        ("", "enforce=privileged", "enforce must be baseline or restricted, not \"privileged\""),
        ("enforce=baseline", "", "enforce must be baseline or restricted: the Namespace has no such label"),
        ("enforce=privileged", "enforce=foo", "enforce must be privileged, baseline or restricted, not \"foo\""),
        ("enforce=restricted", "enforce=baseline", &lowered("enforce", "restricted", "baseline")),
        ("enforce=baseline warn=restricted", "enforce=baseline", &lowered("warn", "restricted", "baseline")),
        (
            "enforce=baseline audit=restricted",
            "enforce=baseline audit=privileged",
            &lowered("audit", "restricted", "baseline"),
        ),
        (
            "enforce=baseline",
            "enforce=baseline enforce-version=v1.20",
            &lowered("enforce", "baseline", "baseline of v1.20"),
        ),
        (
            "enforce=baseline enforce-version=v1.30",
            "enforce=baseline enforce-version=1.30",
            "enforce-version must be latest or a version such as v1.30, not \"1.30\"",
        ),
    ];
    let snapshot = enforced("mayWeaken: [platform]");
    for (from, to, expected) in rows {
        for subresource in ["", "status", "finalize", "unheard-of"] {
            let said = refused(&snapshot, "developers", subresource, (from, to)).join("; ");
            assert_eq!(said, expected, "{from} -> {to} through {subresource:?}");
        }
    }
}

#[test]
fn members_of_the_listed_groups_lower_labels_and_write_no_malformed_ones() {
    let snapshot = enforced("mayWeaken: [platform]");
    for (from, to) in [
        ("enforce=restricted", "enforce=baseline"),
        ("enforce=baseline", "enforce=privileged"),
        ("enforce=baseline warn=restricted", ""),
    ] {
        assert!(!refused(&snapshot, "Platform", "", (from, to)).is_empty(), "{from} -> {to}");
        assert_eq!(refused(&snapshot, "platform", "", (from, to)), [""; 0], "{from} -> {to}");
    }
    let malformed = ("enforce=privileged", "enforce=Baseline");
    assert_eq!(refused(&snapshot, "platform", "", malformed).len(), 1);
}

#[test]
fn levels_and_versions_are_as_the_settings_ask() {
    for (settings, to, expected) in [
        ("enforce: privileged", "", ""),
        ("enforce: restricted", "enforce=baseline", "enforce must be restricted, not \"baseline\""),
        // What is refused need not be warned of.
        ("warn: restricted", "enforce=restricted", ""),
        ("warn: restricted", "enforce=baseline", "warn must be restricted: the Namespace has no such label"),
        ("audit: restricted", "enforce=baseline audit=baseline", "audit must be restricted, not \"baseline\""),
        (
            "oldestVersion: v1.30",
            "enforce=baseline enforce-version=v1.29",
            "enforce-version must be v1.30 or newer, not \"v1.29\"",
        ),
        ("oldestVersion: v1.30", "enforce=baseline enforce-version=v1.30", ""),
        ("oldestVersion: latest", "enforce=baseline enforce-version=v1.999", ""),
        ("oldestVersion: v1.30", "enforce=baseline", ""),
        ("exempt: [shop]", "enforce=foo", ""),
        ("exempt: [Shop, sho]", "", "enforce must be baseline or restricted: the Namespace has no such label"),
    ] {
        let said = judged(&enforced(settings), "CREATE", "developers", "", ("", to)).join("; ");
        assert_eq!(said, expected, "{settings}: {to}");
    }
}
