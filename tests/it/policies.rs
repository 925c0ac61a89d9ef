//! What each policy says of its fixtures, in every kind, and by the versions of the Pod Security Standards.

use std::fmt::Write as _;

use portcullis::mode::Mode;
use portcullis::policy::{PodSecurityVersion, catalogue};
use portcullis::request::Source;

use crate::fixtures::{self, Fixture, TEMPLATE_KINDS, wrapped};
use crate::golden;
use crate::judging::{configured, only};

/// Place and message of what a policy finds in a fixture's Pod.
fn found(policy: &str, fixture: &Fixture, source: Source) -> Vec<(String, String)> {
    let findings = fixture.findings(&only(policy), &fixture.pod(), source);
    findings.into_iter().map(|finding| (finding.place.shown(), finding.message)).collect()
}

#[test]
fn every_fixture_says_what_is_expected_of_it() {
    for entry in fixtures::validators() {
        let id = entry.meta.id;
        let mut expected = String::new();
        for fixture in fixtures::of(id) {
            let written = found(id, &fixture, Source::Manifest);
            let sent = found(id, &fixture, Source::ApiServer);
            for (path, message) in &written {
                let _ = writeln!(expected, "{}: {path}: {message}", fixture.name);
            }
            if sent == written {
                continue;
            }
            // The API server has completed the Pod before it asks.
            if sent.is_empty() {
                let _ = writeln!(expected, "{}, sent by an API server: nothing", fixture.name);
            }
            for (path, message) in &sent {
                let _ = writeln!(expected, "{}, sent by an API server: {path}: {message}", fixture.name);
            }
        }
        golden::assert_holds(&format!("tests/policies/{id}/expected.txt"), &expected);
    }
}

#[test]
fn a_fixture_is_admitted_or_denied_as_its_name_says_and_breaks_nothing_else() {
    for (id, fixture) in fixtures::all() {
        // Those that warn there guess, and would find something in most fixtures.
        let hardened = configured(&format!("profile: hardened\npolicies: {{{id}: {{mode: enforce}}}}\n"));
        let mut findings = fixture.findings(&hardened, &fixture.pod(), Source::Manifest);
        findings.retain(|finding| finding.mode == Mode::Enforce);
        let mut by: Vec<&str> = findings.iter().map(|finding| finding.meta.id).collect();
        // What one policy replaces, it finds.
        for by in &mut by {
            if catalogue::find(by).is_some_and(|entry| entry.replaces(PodSecurityVersion::LATEST).contains(&id)) {
                *by = id;
            }
        }
        // No NetworkPolicy holds a pod on the network of its node.
        if fixture.pod()["spec"]["hostNetwork"] == true {
            by.retain(|other| *other == id || !["host-namespaces", "unisolated-pods"].contains(other));
        }
        // A fixture that is about the ServiceAccount `default` runs as it.
        if id == "automounted-tokens" && fixture.text.contains("kind: ServiceAccount\nmetadata:\n  name: default\n") {
            by.retain(|other| *other != "default-service-accounts");
        }
        let name = format!("{id}/{}", fixture.name);
        assert_eq!(by.contains(&id), fixture.is_denied(), "{name}: {findings:?}");
        assert!(
            by.iter().all(|other| *other == id),
            "{name} differs from a passing pod in more than one thing: {by:?}"
        );
        if !fixture.is_denied() {
            assert_eq!(found(id, &fixture, Source::ApiServer), [], "{name}, sent by an API server");
        }
    }
}

#[test]
fn a_template_is_judged_like_the_pod_that_it_makes() {
    for (id, fixture) in fixtures::all() {
        let pod = fixture.pod();
        let expected = found(id, &fixture, Source::Manifest);
        for source in [Source::Manifest, Source::ApiServer] {
            for kind in TEMPLATE_KINDS {
                let (_, name, way) = kind;
                let findings = fixture.findings(&only(id), &wrapped(&pod, kind), source);
                let below = |path: &str| path.strip_prefix(&format!("{way}.")).map(str::to_owned);
                let found: Vec<(String, String)> = findings
                    .iter()
                    .map(|finding| (below(&finding.place.shown()).unwrap_or_default(), finding.message.clone()))
                    .collect();
                assert_eq!(found, expected, "{id}/{} as {name}", fixture.name);
            }
        }
    }
}

#[test]
fn a_finding_is_a_place_and_a_predicate() {
    for (id, fixture) in fixtures::all() {
        for source in [Source::Manifest, Source::ApiServer] {
            for (path, message) in found(id, &fixture, source) {
                let says = message.starts_with("must ") || message.starts_with("could not be judged");
                assert!(says, "{id}/{}: {message}", fixture.name);
                assert!(!message.ends_with('.') && !message.contains('\n'), "{id}/{}: {message}", fixture.name);
                assert!(path.starts_with("spec.") || path.starts_with("metadata."), "{id}/{}: {path}", fixture.name);
            }
        }
    }
}

/// The exemptions and the beginnings of the controls, from `k8s.io/pod-security-admission/policy/check_*.go`.
#[test]
fn the_version_of_the_standards_decides() {
    for (policy, fixture, version, is_denied) in [
        // Windows pods are exempt since 1.25, but never from runAsNonRoot.
        ("privilege-escalation", "admit-windows-pod.yaml", "v1.24", true),
        ("privilege-escalation", "admit-windows-pod.yaml", "v1.25", false),
        ("undropped-capabilities", "admit-windows-pod.yaml", "v1.24", true),
        ("undropped-capabilities", "admit-windows-pod.yaml", "v1.25", false),
        ("missing-seccomp-profiles", "admit-windows-pod.yaml", "v1.24", true),
        ("missing-seccomp-profiles", "admit-windows-pod.yaml", "v1.25", false),
        ("root-users", "deny-windows-pod.yaml", "v1.24", true),
        ("root-users", "deny-windows-pod.yaml", "latest", true),
        // Pods in a user namespace may run as root since 1.35.
        ("root-users", "admit-user-namespace.yaml", "v1.34", true),
        ("root-users", "admit-user-namespace.yaml", "v1.35", false),
        // Where the controls begin.
        ("root-users", "deny-container-user-zero.yaml", "v1.22", false),
        ("root-users", "deny-container-user-zero.yaml", "v1.23", true),
        ("root-users", "deny-pod-level-user-zero.yaml", "v1.22", false),
        ("root-users", "deny-pod-level-user-zero.yaml", "v1.23", true),
        ("root-users", "deny-pod.yaml", "v1.0", true),
        ("privilege-escalation", "deny-pod.yaml", "v1.7", false),
        ("privilege-escalation", "deny-pod.yaml", "v1.8", true),
        ("missing-seccomp-profiles", "deny-pod.yaml", "v1.18", false),
        ("missing-seccomp-profiles", "deny-pod.yaml", "v1.19", true),
        ("undropped-capabilities", "deny-pod.yaml", "v1.21", false),
        ("undropped-capabilities", "deny-pod.yaml", "v1.22", true),
        // Policies beyond the standards do not follow them.
        ("unpinned-images", "deny-pod.yaml", "v1.0", true),
        ("writable-root-filesystems", "deny-pod.yaml", "v1.0", true),
        ("automounted-tokens", "deny-pod.yaml", "v1.0", true),
    ] {
        let snapshot =
            configured(&format!("podSecurityVersion: {version}\npolicies: {{{policy}: {{mode: enforce}}}}\n"));
        let fixtures = fixtures::of(policy);
        let fixture = fixtures.iter().find(|known| known.name == fixture).expect(fixture);
        let findings = fixture.findings(&snapshot, &fixture.pod(), Source::Manifest);
        assert_eq!(!findings.is_empty(), is_denied, "{policy}/{} at {version}", fixture.name);
    }
}
