//! The Pod Security Standards: what `k8s.io/pod-security-admission` finds at version 1.37 is what the policies find.

use std::collections::BTreeSet;

use super::{Corpora, Labelled, Row, Standard};
use crate::standards::controls::{CONTROLS, Control};
use crate::standards::{LEVELS, Level, NEWEST};

/// The fewest labelled objects.
const FEWEST: usize = 2_300;

/// Owned by a CronJob: what is found in it is recorded, and refused at its owner.
const OWNED: (&str, &str) = ("kyverno/restrict-jobs/resource.yaml", "goodjob");

/// Results of `check` over all corpora, under the profile of a level.
fn under(level: Level) -> Option<&'static Corpora> {
    match level {
        Level::Baseline => Corpora::under_baseline(),
        Level::Restricted => Corpora::under_restricted(),
    }
}

/// The policies that are controls of a level.
fn policies(level: Level) -> BTreeSet<&'static str> {
    CONTROLS.iter().filter_map(|control| control.asked(level, NEWEST)).map(|control| control.policy).collect()
}

/// The policies that must find something: the label names what is failed at either level.
fn expected(standard: &Standard, level: Level) -> BTreeSet<&'static str> {
    let is_asked =
        |control: &&'static Control| control.asked(level, NEWEST).is_some_and(|asked| asked.id == control.id);
    let failed = CONTROLS.iter().filter(|control| standard.failed.contains(control.id)).filter(is_asked);
    failed.map(|control| control.policy).collect()
}

#[test]
fn the_policies_find_what_the_standards_find_and_nothing_else() {
    let mut disagreed = Vec::new();
    for level in LEVELS {
        let Some(corpora) = under(level) else { return };
        let mut agreed = 0;
        for (entry, labelled, row) in corpora.judged() {
            let Some(standard) = &labelled.standard else { continue };
            let known = |id: &String| CONTROLS.iter().any(|control| control.id == id);
            assert!(standard.failed.iter().all(known), "{}: {:?}", entry.file, standard.failed);
            let (expected, found) = (expected(standard, level), row.policies().collect::<BTreeSet<_>>());
            let verdict = if level == Level::Baseline { &standard.baseline } else { &standard.restricted };
            let is_owned = (entry.file.as_str(), row.name.as_str()) == OWNED;
            let decision = if verdict == "fail" && !is_owned { "deny" } else { "allow" };
            if found == expected && row.decision == decision {
                agreed += 1;
            } else {
                let what = format!("{}: {} {}: {level}", entry.file, row.kind, row.name);
                disagreed.push(format!("{what}: {}, {found:?}, not {decision}, {expected:?}", row.decision));
            }
        }
        println!("{agreed} verdicts agree at {level}");
        assert!(agreed + disagreed.len() >= FEWEST, "{agreed}");
    }
    assert!(disagreed.is_empty(), "the standards say otherwise:\n{}", disagreed.join("\n"));
}

#[test]
fn hardened_finds_what_restricted_finds() {
    let (Some(hardened), Some(restricted)) = (Corpora::get(), under(Level::Restricted)) else { return };
    let standards = policies(Level::Restricted);
    let mut rows = 0;
    for (file, judged) in &hardened.rows {
        assert_eq!(judged.len(), restricted.rows[file].len(), "{file}");
        for (row, other) in judged.iter().zip(&restricted.rows[file]) {
            let found: BTreeSet<_> = row.policies().filter(|policy| standards.contains(policy)).collect();
            assert_eq!(found, other.policies().collect(), "{file}: {} {}", row.kind, row.name);
            rows += 1;
        }
    }
    assert!(rows >= FEWEST, "{rows}");
}

#[test]
fn what_the_standards_do_not_judge_breaks_none_of_their_controls() {
    for level in LEVELS {
        let Some(corpora) = under(level) else { return };
        // Not of Kubernetes: the standards know nothing of it, and the configuration of this test does.
        let is_unknown = |labelled: &Labelled, row: &Row| labelled.standard.is_none() && row.kind != "DeploymentConfig";
        for (entry, _, row) in corpora.judged().filter(|(_, labelled, row)| is_unknown(labelled, row)) {
            let broken: Vec<_> = row.policies().collect();
            assert!(broken.is_empty(), "{}: {} {} holds no pod, and breaks {broken:?}", entry.file, row.kind, row.name);
        }
    }
}

/// Baseline policies that each family of BadPods violates, by its folder.
const DANGERS: [(&str, &[&str]); 8] = [
    ("everything-allowed", &["host-namespaces", "host-paths", "privileged-containers"]),
    ("priv-and-hostpid", &["host-namespaces", "privileged-containers"]),
    ("priv", &["privileged-containers"]),
    ("hostpath", &["host-paths"]),
    ("hostpid", &["host-namespaces"]),
    ("hostnetwork", &["host-namespaces"]),
    ("hostipc", &["host-namespaces"]),
    ("nothing-allowed", &[]),
];

#[test]
fn every_dangerous_bad_pod_is_refused_by_the_policy_that_is_its_danger() {
    let Some(corpora) = under(Level::Baseline) else { return };
    let mut refused = 0;
    for (entry, labelled, row) in corpora.judged().filter(|(entry, ..)| entry.source == "badpods") {
        let family = entry.file.split('/').nth(1).expect("badpods/FAMILY/KIND/FILE");
        let (_, dangers) = DANGERS.iter().find(|(name, _)| *name == family).expect(family);
        // The Services beside the StatefulSets hold no pod.
        let dangers = if labelled.standard.is_some() { *dangers } else { &[] };
        let found: BTreeSet<_> = row.policies().collect();
        assert_eq!(found, dangers.iter().copied().collect(), "{}: {}", entry.file, row.kind);
        assert_eq!(row.decision, if dangers.is_empty() { "allow" } else { "deny" }, "{}: {}", entry.file, row.kind);
        for danger in dangers {
            let message = row.findings.iter().find(|found| found.policy == *danger).expect(danger);
            assert!(message.message.starts_with("must ") && message.mode == "enforce", "{}", message.message);
        }
        refused += usize::from(!dangers.is_empty());
    }
    assert!(refused >= 64, "{refused} were refused");
}
