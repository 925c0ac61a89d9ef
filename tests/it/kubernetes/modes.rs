//! Modes: ceilings, one namespace at a time, warnings, dry runs.

use std::process::Command;

use serde_json::Value;

use super::objects::{broken_pod, broken_spec, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

#[test]
fn one_namespace_is_enforced_while_the_others_are_watched() {
    let plane = Plane::shared();
    let (payments, other) = (Space::new(plane, "it-payments"), Space::new(plane, "it-other"));
    let configuration = "profile: hardened\nceiling: audit\n\
                         namespaces:\n- {match: {names: [it-payments]}, ceiling: enforce}\n";
    let portcullis = Portcullis::guard(plane, &[&payments, &other], configuration, &[]);

    payments.create("pods", &broken_pod("web")).refused();
    assert_eq!(portcullis.decision("Pod", "web")["decision"], "deny");
    payments.create("pods", &pod("web", spec())).admitted();

    let answer = other.create("pods", &broken_pod("web"));
    assert_eq!(answer.warnings, [] as [&str; 0], "audit says nothing to the user");
    answer.admitted();
    let event = portcullis.decision("Pod", "web");
    assert_eq!(event["namespace"], "it-other");
    assert_eq!((&event["decision"], &event["allowed"]), (&"would-deny".into(), &true.into()));
    let finding = &event["findings"][0];
    assert_eq!((&finding["policy"], &finding["mode"]), (&"unpinned-images".into(), &"audit".into()));
    assert_eq!(finding["configured"], "enforce", "what the ceiling lowered");
    other.create("deployments", &holder("Deployment", "web", broken_spec())).admitted();
    assert_eq!(portcullis.decision("Deployment", "web")["decision"], "would-deny");
}

#[test]
fn a_dry_run_is_judged_and_recorded_as_one() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-dry-runs");
    let portcullis = Portcullis::hardened(plane, &space);
    space.create_dry("pods", &broken_pod("bad")).refused();
    space.create_dry("pods", &pod("good", spec())).admitted();
    assert_eq!(space.get("pods", "good").code, 404);
    for (name, decision) in [("bad", "deny"), ("good", "allow")] {
        let records = portcullis.records();
        let record = records.iter().find(|record| record["name"] == name).expect("it is recorded");
        assert_eq!((&record["decision"], &record["dryRun"]), (&decision.into(), &Value::Bool(true)));
    }
}

#[test]
fn kubectl_shows_warnings_and_refusals() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-kubectl");
    let configuration = "profile: hardened\npolicies:\n  unpinned-images: {mode: warn}\n";
    let _portcullis = Portcullis::guard(plane, &[&space], configuration, &[]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let apply = |object: Value| {
        let file = dir.path().join("object.json");
        std::fs::write(&file, object.to_string()).expect("the file is written");
        let output = Command::new(&plane.place.kubectl)
            .arg("--kubeconfig")
            .arg(&plane.place.kubeconfig)
            .arg("--cache-dir")
            .arg(dir.path())
            .args(["apply", "--namespace", &space.name, "--filename"])
            .arg(&file)
            .output()
            .expect("kubectl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };

    let (succeeded, out, err) = apply(broken_pod("web"));
    assert!(succeeded, "{err}");
    assert_eq!(out, "pod/web created\n");
    assert!(err.starts_with("Warning: unpinned-images: spec.containers[0].image must end in a digest"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");

    let mut root = spec();
    root["securityContext"]["runAsUser"] = 0.into();
    let (succeeded, _, err) = apply(pod("root", root));
    assert!(!succeeded);
    assert!(err.starts_with("Error from server (Forbidden): "), "{err}");
    assert!(err.contains("root-users: spec.securityContext.runAsUser must not be 0"), "{err}");
}
