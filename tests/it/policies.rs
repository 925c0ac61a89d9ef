//! Findings of each policy in its fixtures, in every kind, and by the versions of the Pod Security Standards.

use std::fmt::Write as _;

use portcullis::mode::Mode;
use portcullis::object::resource::{NEW_SERVICE_ACCOUNTS, ServiceAccount};
use portcullis::pod_security::Version;
use portcullis::policy::{Kinds, catalogue};
use portcullis::request::{Request, Source};
use serde_json::json;

use crate::fixtures::{self, Fixture, TEMPLATE_KINDS, wrapped};
use crate::golden;
use crate::judging::{configured, create, only, with_review, world};

/// Place and message of what a policy finds in a fixture's Pod.
fn found(policy: &str, fixture: &Fixture, source: Source) -> Vec<(String, String)> {
    let findings = fixture.findings(&only(policy), &fixture.pod(), source);
    findings.into_iter().map(|finding| (finding.place.shown(), finding.message)).collect()
}

#[test]
fn every_fixture_says_what_is_expected_of_it() {
    for entry in fixtures::pod_validators() {
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

/// Of a policy on other objects a fixture holds one, which is admitted or denied as its name says.
#[test]
fn every_fixture_of_another_kind_says_what_is_expected_of_it() {
    for entry in fixtures::other_validators() {
        let id = entry.meta.id;
        let mut expected = String::new();
        for fixture in fixtures::of(id) {
            let findings = fixture.findings_of(entry, &only(id), Source::ApiServer);
            let refuses = findings.iter().any(|finding| finding.mode == Mode::Enforce);
            let said = (fixture.is_denied() || fixture.is_warned(), fixture.is_denied());
            assert_eq!((!findings.is_empty(), refuses), said, "{id}/{}: {findings:?}", fixture.name);
            for finding in findings {
                let _ = writeln!(expected, "{}: {}: {}", fixture.name, finding.place.shown(), finding.message);
            }
        }
        golden::assert_holds(&format!("tests/policies/{id}/expected.txt"), &expected);
    }
}

/// Of a policy on who writes a fixture holds one object, and names its user. Files have none, and nothing is found in them.
#[test]
fn every_fixture_of_a_policy_on_writers_says_what_is_expected_of_it() {
    for entry in fixtures::writer_validators() {
        let id = entry.meta.id;
        let mut expected = String::new();
        for fixture in fixtures::of(id) {
            let findings = fixture.findings(&only(id), &fixture.object(), Source::ApiServer);
            let refuses = findings.iter().any(|finding| finding.mode == Mode::Enforce);
            assert_eq!((!findings.is_empty(), refuses), (fixture.is_denied(), fixture.is_denied()), "{}", fixture.name);
            for finding in findings {
                let _ = writeln!(expected, "{}: {}: {}", fixture.name, finding.place.shown(), finding.message);
            }
            let by_nobody = create(&only(id), &fixture.object(), &world(""), Source::Manifest).expect("readable");
            assert!(by_nobody.findings.is_empty(), "{}: nobody sends a file", fixture.name);
        }
        golden::assert_holds(&format!("tests/policies/{id}/expected.txt"), &expected);
    }
}

#[test]
fn a_fixture_is_admitted_or_denied_as_its_name_says_and_breaks_nothing_else() {
    for (id, fixture) in fixtures::all() {
        // Those that warn there guess, and would find something in most fixtures. Its settings are its own defaults, as
        // where it stands alone.
        let own = fixtures::enforced(id).replace("{mode: enforce}", "{mode: enforce, settings: {}}");
        let hardened = configured(&format!("profile: hardened\npolicies: {{{id}: {own}}}\n"));
        let mut findings = fixture.findings(&hardened, &fixture.pod(), Source::Manifest);
        findings.retain(|finding| finding.mode == Mode::Enforce);
        let mut by: Vec<&str> = findings.iter().map(|finding| finding.meta.id).collect();
        // What one policy replaces, it finds.
        for by in &mut by {
            if catalogue::find(by).is_some_and(|entry| entry.replaces(Version::LATEST).contains(&id)) {
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
        // Nor from a control of baseline.
        ("host-paths", "deny-windows-pod.yaml", "v1.25", true),
        ("host-ports", "deny-windows-pod.yaml", "v1.25", true),
        ("host-probes", "deny-windows-pod.yaml", "v1.34", true),
        ("volume-types", "deny-windows-pod.yaml", "v1.25", true),
        ("windows-host-process", "deny-windows-pod.yaml", "v1.25", true),
        // Pods in a user namespace may run as root since 1.35, whichever field says so.
        ("root-users", "admit-user-namespace.yaml", "v1.34", true),
        ("root-users", "admit-user-namespace.yaml", "v1.35", false),
        ("root-users", "admit-user-namespace-silent.yaml", "v1.0", true),
        ("root-users", "admit-user-namespace-silent.yaml", "v1.34", true),
        ("root-users", "admit-user-namespace-silent.yaml", "v1.35", false),
        ("root-users", "admit-user-namespace-user-zero.yaml", "v1.22", false),
        ("root-users", "admit-user-namespace-user-zero.yaml", "v1.34", true),
        ("root-users", "admit-user-namespace-user-zero.yaml", "v1.35", false),
        ("root-users", "deny-host-users.yaml", "v1.35", true),
        // And may see all of /proc.
        ("proc-mounts", "deny-pod.yaml", "v1.0", true),
        ("proc-mounts", "deny-pod.yaml", "v1.35", true),
        ("proc-mounts", "admit-user-namespace.yaml", "v1.0", true),
        ("proc-mounts", "admit-user-namespace.yaml", "v1.34", true),
        ("proc-mounts", "admit-user-namespace.yaml", "v1.35", false),
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
        ("host-probes", "deny-pod.yaml", "v1.33", false),
        ("host-probes", "deny-pod.yaml", "v1.34", true),
        ("host-probes", "deny-pre-stop-tcp.yaml", "v1.33", false),
        ("host-probes", "deny-pre-stop-tcp.yaml", "v1.34", true),
        // These were there from the beginning, and never changed.
        ("privileged-containers", "deny-pod.yaml", "v1.0", true),
        ("host-namespaces", "deny-pod.yaml", "v1.0", true),
        ("host-paths", "deny-pod.yaml", "v1.0", true),
        ("host-ports", "deny-pod.yaml", "v1.0", true),
        ("added-capabilities", "deny-pod.yaml", "v1.0", true),
        ("windows-host-process", "deny-pod.yaml", "v1.0", true),
        ("volume-types", "deny-pod.yaml", "v1.0", true),
        ("volume-types", "admit-csi.yaml", "v1.0", false),
        ("volume-types", "admit-ephemeral.yaml", "v1.0", false),
        ("volume-types", "admit-image.yaml", "v1.0", false),
        // AppArmor has had a field since 1.30; both count in every version.
        ("app-armor-overrides", "deny-pod.yaml", "v1.0", true),
        ("app-armor-overrides", "deny-pod.yaml", "v1.29", true),
        ("app-armor-overrides", "deny-annotation.yaml", "v1.0", true),
        ("app-armor-overrides", "deny-annotation.yaml", "latest", true),
        // Before 1.19 seccomp had annotations, and fields did not count; since then annotations do not.
        ("seccomp-unconfined", "deny-pod.yaml", "v1.18", false),
        ("seccomp-unconfined", "deny-pod.yaml", "v1.19", true),
        ("seccomp-unconfined", "deny-pod-level.yaml", "v1.18", false),
        ("seccomp-unconfined", "deny-pod-level.yaml", "v1.19", true),
        ("seccomp-unconfined", "admit-annotation.yaml", "v1.0", true),
        ("seccomp-unconfined", "admit-annotation.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-annotation.yaml", "v1.19", false),
        ("seccomp-unconfined", "admit-container-annotation.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-container-annotation.yaml", "v1.19", false),
        ("seccomp-unconfined", "admit-init-container-annotation.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-init-container-annotation.yaml", "v1.19", false),
        ("seccomp-unconfined", "admit-ephemeral-container-annotation.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-ephemeral-container-annotation.yaml", "v1.19", false),
        ("seccomp-unconfined", "admit-annotation-empty.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-annotation-of-another-case.yaml", "v1.18", true),
        ("seccomp-unconfined", "admit-annotation-of-nobody.yaml", "v1.18", false),
        ("seccomp-unconfined", "admit-annotation-runtime-default.yaml", "v1.18", false),
        ("seccomp-unconfined", "admit-annotation-docker-default.yaml", "v1.18", false),
        ("seccomp-unconfined", "admit-annotation-localhost.yaml", "v1.18", false),
        // A type of SELinux came with 1.31.
        ("se-linux-options", "deny-pod.yaml", "v1.0", true),
        ("se-linux-options", "deny-user.yaml", "v1.0", true),
        ("se-linux-options", "deny-role.yaml", "v1.0", true),
        ("se-linux-options", "admit-container-kvm-t.yaml", "v1.0", false),
        ("se-linux-options", "admit-container-init-t.yaml", "v1.0", false),
        ("se-linux-options", "admit-container-engine-t.yaml", "v1.30", true),
        ("se-linux-options", "admit-container-engine-t.yaml", "v1.31", false),
        // Kernel settings became safe one after another.
        ("unsafe-sysctls", "deny-pod.yaml", "v1.0", true),
        ("unsafe-sysctls", "admit-pod.yaml", "v1.0", false),
        ("unsafe-sysctls", "admit-of-1-27.yaml", "v1.26", true),
        ("unsafe-sysctls", "admit-of-1-27.yaml", "v1.27", false),
        ("unsafe-sysctls", "admit-of-1-29.yaml", "v1.28", true),
        ("unsafe-sysctls", "admit-of-1-29.yaml", "v1.29", false),
        ("unsafe-sysctls", "admit-of-1-32.yaml", "v1.31", true),
        ("unsafe-sysctls", "admit-of-1-32.yaml", "v1.32", false),
        ("unsafe-sysctls", "admit-of-1-37.yaml", "v1.36", true),
        ("unsafe-sysctls", "admit-of-1-37.yaml", "v1.37", false),
        // Policies beyond the standards do not follow them.
        ("unpinned-images", "deny-pod.yaml", "v1.0", true),
        ("writable-root-filesystems", "deny-pod.yaml", "v1.0", true),
        ("automounted-tokens", "deny-pod.yaml", "v1.0", true),
        ("default-service-accounts", "deny-pod.yaml", "v1.0", true),
        ("unisolated-pods", "deny-pod.yaml", "v1.0", true),
        ("unbounded-containers", "deny-pod.yaml", "v1.0", true),
        ("missing-user-namespaces", "deny-pod.yaml", "v1.0", true),
        ("missing-user-namespaces", "admit-windows-pod.yaml", "v1.0", false),
    ] {
        let by = refusing(&format!("{policy}: {{mode: enforce}}"), (policy, fixture), version);
        assert_eq!(by == [policy], is_denied, "{policy}/{fixture} at {version}: {by:?}");
    }
}

/// Of level restricted there is one relaxation less: a user namespace does not excuse procMount.
#[test]
fn the_level_of_proc_mounts_decides_about_user_namespaces() {
    let restricted = "proc-mounts: {mode: enforce, settings: {level: restricted}}";
    for version in ["v1.0", "v1.34", "v1.35", "latest"] {
        for fixture in ["deny-pod.yaml", "admit-user-namespace.yaml"] {
            assert_eq!(
                refusing(restricted, ("proc-mounts", fixture), version),
                ["proc-mounts"],
                "{fixture} at {version}"
            );
        }
        let by = refusing(restricted, ("proc-mounts", "admit-silent.yaml"), version);
        assert!(by.is_empty(), "{version}");
    }
}

/// `OverrideCheckIDs`: one control is reported in the place of another from the version on in which it begins.
#[test]
fn what_a_control_finds_in_the_place_of_another_is_found_once() {
    let restricted = "added-capabilities: {mode: enforce}, undropped-capabilities: {mode: enforce}, \
                      host-paths: {mode: enforce}, volume-types: {mode: enforce}, \
                      seccomp-unconfined: {mode: enforce}, missing-seccomp-profiles: {mode: enforce}";
    for (fixture, version, by) in [
        (("added-capabilities", "deny-pod.yaml"), "v1.21", "added-capabilities"),
        (("added-capabilities", "deny-pod.yaml"), "v1.22", "undropped-capabilities"),
        (("seccomp-unconfined", "admit-annotation.yaml"), "v1.18", "seccomp-unconfined"),
        (("seccomp-unconfined", "deny-pod.yaml"), "v1.19", "missing-seccomp-profiles"),
        (("host-paths", "deny-pod.yaml"), "v1.0", "volume-types"),
        (("host-paths", "deny-pod.yaml"), "latest", "volume-types"),
    ] {
        assert_eq!(refusing(restricted, fixture, version), [by], "{fixture:?} at {version}");
    }
}

/// The policies, among those that are set, that refuse a fixture's Pod in that version of the standards.
fn refusing(policies: &str, (id, name): (&str, &str), version: &str) -> Vec<&'static str> {
    let snapshot = configured(&format!("podSecurityVersion: {version}\npolicies: {{{policies}}}\n"));
    let fixtures = fixtures::of(id);
    let fixture = fixtures.iter().find(|known| known.name == name).unwrap_or_else(|| panic!("{id}/{name}"));
    let findings = fixture.findings(&snapshot, &fixture.pod(), Source::Manifest);
    let mut by: Vec<&str> = findings.iter().map(|finding| finding.meta.id).collect();
    by.dedup();
    by
}

/// As for Pods: an unknown subresource is judged. `HARMLESS` is about pod specs: `status` keeps new labels.
#[test]
fn a_subresource_counts_as_its_resource_unless_its_row_says_otherwise() {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    for (operation, subresource, kind, is_covered) in [
        ("CREATE", "", "ServiceAccount", true),
        ("CREATE", "unheard-of", "ServiceAccount", true),
        ("CREATE", "status", "ServiceAccount", true),
        ("CREATE", "finalize", "ServiceAccount", true),
        ("CREATE", "token", "TokenRequest", false),
        ("UPDATE", "", "ServiceAccount", false),
    ] {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": operation, "subResource": subresource, "object": account, "namespace": "default",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "serviceaccounts"},
        }});
        let covers = |request: &Request<'_>| {
            let is_read = request.object_as::<ServiceAccount>().is_some();
            assert!(is_read || kind != "ServiceAccount", "{operation} {subresource}: the object is not read");
            assert!(!Kinds::Pods.cover(request) || !["status", "finalize", "token"].contains(&subresource));
            Kinds::Resource(NEW_SERVICE_ACCOUNTS).cover(request)
        };
        let covered = with_review(&configured("profile: hardened\n"), &review, covers);
        assert_eq!(covered, is_covered, "{operation} {subresource}");
    }
}
