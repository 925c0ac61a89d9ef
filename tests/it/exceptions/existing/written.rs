//! `existing` as it is written: errors with their place, and what a reload tells.

use portcullis::config::compile_at;
use portcullis::snapshot::{Change, weaker};

use super::super::{NOW, configured, time};
use crate::judging::HEAD;

/// The lines that these lines below the head are refused with.
fn refused(lines: &str) -> Vec<String> {
    let error = compile_at("c", &format!("{HEAD}{lines}"), None, time(NOW)).err().unwrap_or_else(|| panic!("{lines}"));
    error.to_string().lines().map(|line| line.strip_prefix("c:").expect(line).to_owned()).collect()
}

#[test]
fn each_error_says_what_to_write() {
    let mapping =
        "3:11: existing: must be a mapping, such as existing: {admit: true, createdBefore: 2026-01-31T00:00:00Z}";
    let time = "3:38: existing.createdBefore: must be a time in RFC 3339, such as 2026-01-31T00:00:00Z";
    for (written, error) in [
        ("true", mapping),
        ("[]", mapping),
        ("2026-01-31T00:00:00Z", mapping),
        ("{}", "3:11: existing.admit: is missing; write admit: true, or leave existing out"),
        (
            "{createdBefore: 2026-01-31T00:00:00Z}",
            "3:11: existing.admit: is missing; write admit: true, or leave existing out",
        ),
        ("{admit: \"true\"}", "3:19: existing.admit: must be true or false"),
        ("{admit: 1}", "3:19: existing.admit: must be true or false"),
        (
            "{admit: true}",
            "3:11: existing.createdBefore: is missing; write the time before which a workload must have been created, such as \
             createdBefore: 2026-01-31T00:00:00Z",
        ),
        ("{admit: true, createdBefore: 2026-01-31}", "3:40: existing.createdBefore: must be a time in RFC 3339"),
        ("{admit: true, createdBefore: 7}", "3:40: existing.createdBefore: must be a string"),
        ("{admit: true,  createdBefore: now}", &time.replace("38", "41")),
        ("{admit: false, createdBefore: now}", &time.replace("38", "41")),
        (
            "{admit: true, createdBefore: 2026-11-26T12:00:01Z}",
            "3:40: existing.createdBefore: is in the future: workloads that are yet to be created would count as existing; \
             write 2026-11-26T12:00:00Z or earlier",
        ),
        (
            "{admit: true, createdBefore: 2026-11-26T12:00:00.1Z}",
            "3:40: existing.createdBefore: is in the future: workloads that are yet to be created would count as existing",
        ),
        ("{admit: true, createdAfter: 2026-01-31T00:00:00Z}", "3:25: existing.createdAfter: unknown key; did you mean"),
        (
            "{admit: true, namespaces: []}",
            "3:25: existing.namespaces: unknown key; known keys are admit, createdBefore",
        ),
        ("{admit: true, admit: false}", "3:25: existing.admit: is here twice; keep one"),
    ] {
        let lines = refused(&format!("existing: {written}\n"));
        assert!(lines.iter().any(|line| line.starts_with(error)), "{written}: {lines:?}");
    }
    let of_an_entry = "namespaces:\n- {match: {names: [shop]}, existing: {admit: true}}\n";
    assert!(
        refused(of_an_entry)[0].starts_with("4:28: namespaces[0].existing: unknown key"),
        "{:?}",
        refused(of_an_entry)
    );
}

#[test]
fn only_a_time_that_is_admitted_counts() {
    for (written, before) in [
        ("", None),
        ("existing:\n", None),
        ("existing: {admit: false}\n", None),
        ("existing: {admit: false, createdBefore: 2030-01-01T00:00:00Z}\n", None),
        ("existing: {admit: true, createdBefore: 2026-01-31T00:00:00Z}\n", Some("2026-01-31T00:00:00Z")),
        ("existing: {admit: yes, createdBefore: 2026-01-31T00:00:00.9+02:00}\n", Some("2026-01-30T22:00:00Z")),
        ("existing: {admit: true, createdBefore: 2026-11-26T12:00:00Z}\n", Some(NOW)),
    ] {
        assert_eq!(configured(written).existing(), before.map(time), "{written}");
    }
}

#[test]
fn a_reload_tells_each_policy_that_it_takes_from() {
    let policies = |labels: &str| {
        format!(
            "podSecurityLabels: {labels}\npolicies:\n  unpinned-images: {{mode: enforce}}\n  root-users: {{mode: warn}}\n  \
             host-paths: {{mode: enforce, updates: strict}}\n  host-ports: {{mode: audit}}\n\
             namespaces:\n- {{match: {{names: [pay]}}, policies: {{root-users: {{mode: enforce}}}}}}\n"
        )
    };
    let on = |before: &str| format!("existing: {{admit: true, createdBefore: {before}}}\n");
    let rows = |old: &str, new: &str, labels: &str| {
        let (old, new) = (configured(&(policies(labels) + old)), configured(&(policies(labels) + new)));
        let rows = weaker(&old, &new);
        assert!(rows.iter().all(|row| row.change == Change::Existing));
        let told = |row: portcullis::snapshot::Weaker| [row.policy.to_owned(), row.namespace, row.from, row.to];
        rows.into_iter().map(told).collect::<Vec<_>>()
    };
    let row = |policy: &str, namespace: &str, from: &str, to: &str| [policy, namespace, from, to].map(str::to_owned);
    let (early, late) = ("2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z");
    let told = |time: &str| format!("created before {time}");
    assert_eq!(
        rows("", &on(early), "ignore"),
        [row("unpinned-images", "*", "", &told(early)), row("root-users", "pay", "", &told(early))]
    );
    assert_eq!(
        rows(&on(early), &on(late), "tighten"),
        [
            row("unpinned-images", "*", &told(early), &told(late)),
            row("podSecurityLabels", "*", &told(early), &told(late)),
            row("root-users", "pay", &told(early), &told(late)),
        ]
    );
    for (old, new) in [(on(late), on(early)), (on(early), on(early)), (on(early), String::new())] {
        assert_eq!(rows(&old, &new, "ignore"), [] as [[String; 4]; 0]);
    }
    // What did not refuse before did not become weaker.
    let both = "policies: {unpinned-images: {mode: MODE}}\n";
    let (old, new) = (both.replace("MODE", "warn"), both.replace("MODE", "enforce") + &on(early));
    assert_eq!(weaker(&configured(&old), &configured(&new)), []);
    let json = serde_json::to_value(Change::Existing).expect("JSON");
    assert_eq!(json, "existing");
}
