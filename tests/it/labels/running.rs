//! Which policies run for the labels: both versions, each once, and what is found twice is said once.

use portcullis::mode::Mode;
use portcullis::pod_security::demands;
use serde_json::{Value, json};

use super::{RESTRICTED, TIGHTEN, breaks, create, found, labelled, root};
use crate::judging::configured;
use crate::kubernetes::objects::{pod, spec};

/// The policies that run in the namespace `default`, with the mode and what asked for each.
fn running(lines: &str, labels: &[(&str, &str)]) -> Vec<(&'static str, Mode, String)> {
    let snapshot = configured(&format!("{TIGHTEN}{lines}"));
    let question =
        portcullis::facts::Question::Namespace { name: "default".to_owned(), keys: std::sync::Arc::default() };
    let world = labelled(labels);
    let Some(portcullis::facts::Answer::Namespace(namespace)) = portcullis::facts::World::known(&world, &question)
    else {
        panic!("the namespace is there");
    };
    let policies = snapshot.tightened("default", &demands(|key| namespace.pod_security(key)));
    let asked =
        |label: Option<portcullis::pod_security::Demand>| label.map(|label| label.to_string()).unwrap_or_default();
    policies.iter().map(|policy| (policy.meta.id, policy.mode, asked(policy.label))).collect()
}

/// A Pod without a seccomp profile, which version 1.19 was the first to ask for.
fn unfiltered() -> Value {
    let mut spec = spec();
    spec["securityContext"].as_object_mut().expect("an object").remove("seccompProfile");
    pod("web", spec)
}

/// A Pod that runs as root in a user namespace, which version 1.35 was the first to excuse.
fn inside() -> Value {
    let mut root = root();
    root["spec"]["hostUsers"] = false.into();
    root
}

#[test]
fn the_label_s_version_counts_beside_the_configured_one() {
    let policies = "policies: {missing-seccomp-profiles: {mode: enforce}, root-users: {mode: enforce}}\n";
    let at = |version: &str| configured(&format!("{TIGHTEN}podSecurityVersion: {version}\n{policies}"));
    for (version, label, object, allowed) in [
        ("v1.18", "v1.18", unfiltered(), true),
        ("v1.18", "v1.19", unfiltered(), false),
        ("v1.19", "v1.18", unfiltered(), false),
        ("latest", "latest", inside(), true),
        ("latest", "v1.34", inside(), false),
        ("v1.34", "latest", inside(), false),
    ] {
        let labels = [("enforce", "restricted"), ("enforce-version", label)];
        let decision = create(&at(version), &labels, &object);
        assert_eq!(decision.allowed, allowed, "configured {version}, labelled {label}: {decision:?}");
    }
    // A version of the future is the newest that is known, and what cannot be read too.
    for version in ["v1.999", "v2.0"] {
        let labels = [("enforce", "restricted"), ("enforce-version", version)];
        let decision = create(&configured(TIGHTEN), &labels, &unfiltered());
        assert!(breaks(&decision, "missing-seccomp-profiles"), "{version}: {decision:?}");
    }
}

#[test]
fn what_is_found_twice_is_said_once_as_far_as_it_acts() {
    let plain = "must not be false";
    let asked = "must not be false, as the namespace's labels ask (enforce=restricted:latest)";
    for (mode, version, message) in [
        ("audit", "latest", asked),
        ("warn", "latest", asked),
        ("warn", "v1.20", asked),
        // The configuration does it already.
        ("enforce", "latest", plain),
        ("enforce", "v1.20", plain),
    ] {
        let lines = format!("{TIGHTEN}podSecurityVersion: {version}\npolicies: {{root-users: {{mode: {mode}}}}}\n");
        let decision = create(&configured(&lines), RESTRICTED, &root());
        assert_eq!(found(&decision), [("root-users", Mode::Enforce, message)], "{mode} at {version}");
    }
    // Under a ceiling too it is said what would act further without it.
    let lines = format!("{TIGHTEN}ceiling: audit\npolicies: {{root-users: {{mode: warn}}}}\n");
    let decision = create(&configured(&lines), RESTRICTED, &root());
    assert_eq!(found(&decision), [("root-users", Mode::Audit, asked)]);
    assert_eq!(decision.findings[0].configured, Some(Mode::Enforce));
}

#[test]
fn what_one_version_alone_finds_acts_as_that_one_does() {
    // The second is safe since 1.29.
    let mut tuned = pod("web", spec());
    tuned["spec"]["securityContext"]["sysctls"] =
        json!([{"name": "kernel.msgmax", "value": "1"}, {"name": "net.ipv4.tcp_keepalive_time", "value": "1"}]);
    let snapshot = configured(&format!("{TIGHTEN}policies: {{unsafe-sysctls: {{mode: enforce}}}}\n"));
    let decision = create(&snapshot, &[("warn", "baseline"), ("warn-version", "v1.28")], &tuned);
    let asked = "must be a safe sysctl, not \"net.ipv4.tcp_keepalive_time\", as the namespace's labels ask \
                 (warn=baseline:v1.28)";
    assert_eq!(
        found(&decision),
        [
            ("unsafe-sysctls", Mode::Enforce, "must be a safe sysctl, not \"kernel.msgmax\""),
            ("unsafe-sysctls", Mode::Warn, asked),
        ]
    );
}

#[test]
fn a_policy_that_finds_it_all_already_runs_once() {
    let restricted = "profile: pss-restricted\n";
    let unlabelled = running(restricted, &[]);
    assert!(unlabelled.iter().all(|(_, mode, label)| *mode == Mode::Enforce && label.is_empty()));
    for labels in [RESTRICTED, &[("warn", "restricted"), ("audit", "restricted")], &[("enforce", "privileged")]] {
        assert_eq!(running(restricted, labels), unlabelled, "{labels:?}");
    }
    // Of baseline all is in restricted or replaced there, but for the milder form of one.
    let beyond: Vec<_> =
        running(restricted, &[("enforce", "baseline")]).into_iter().filter(|(.., label)| !label.is_empty()).collect();
    assert_eq!(beyond, [("proc-mounts", Mode::Enforce, "enforce=baseline:latest".to_owned())]);
    // One demand does not repeat another.
    let once = running("", &[("enforce", "restricted"), ("warn", "restricted"), ("audit", "restricted")]);
    assert_eq!(once.len(), unlabelled.len());
    assert!(once.iter().all(|(.., label)| label == "enforce=restricted:latest"), "{once:?}");
    // Another version does, and so does a weaker mode.
    let twice = running(restricted, &[("enforce", "restricted"), ("enforce-version", "v1.30")]);
    assert_eq!(twice.iter().filter(|(id, ..)| *id == "root-users").count(), 2);
    let raised = running("profile: pss-restricted\npolicies: {root-users: {mode: warn}}\n", RESTRICTED);
    let of_root: Vec<_> = raised.iter().filter(|(id, ..)| *id == "root-users").map(|(_, mode, _)| *mode).collect();
    assert_eq!(of_root, [Mode::Warn, Mode::Enforce]);
}

#[test]
fn a_policy_with_other_settings_does_not_stand_for_the_standard_s() {
    // In a user namespace, baseline's form excuses what restricted's does not.
    let mut unmasked = pod("web", spec());
    unmasked["spec"]["hostUsers"] = false.into();
    unmasked["spec"]["containers"][0]["securityContext"]["procMount"] = "Unmasked".into();
    let snapshot = configured(&format!("{TIGHTEN}policies: {{proc-mounts: {{mode: enforce}}}}\n"));
    assert!(create(&snapshot, &[], &unmasked).allowed);
    assert!(create(&snapshot, &[("enforce", "baseline")], &unmasked).allowed);
    let decision = create(&snapshot, RESTRICTED, &unmasked);
    assert!(!decision.allowed && breaks(&decision, "proc-mounts"), "{decision:?}");
}

#[test]
fn they_run_in_the_catalogue_s_order() {
    let order: Vec<&str> = portcullis::policy::catalogue::CATALOGUE.iter().map(|entry| entry.meta.id).collect();
    let position = |id: &str| order.iter().position(|other| *other == id);
    let ran = running("profile: hardened\nceiling: warn\n", &[("enforce", "baseline"), ("audit-version", "v1.5")]);
    assert!(ran.is_sorted_by_key(|(id, ..)| position(id)), "{ran:?}");
    let labels = [("enforce", "baseline"), ("enforce-version", "v1.20"), ("warn", "restricted")];
    let ran = running("policies: {root-users: {mode: audit}, unpinned-images: {mode: enforce}}\n", &labels);
    assert!(ran.is_sorted_by_key(|(id, ..)| position(id)), "{ran:?}");
    assert_eq!(ran[0].0, "unpinned-images");
}
