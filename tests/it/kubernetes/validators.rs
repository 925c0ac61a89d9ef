//! Every validator, denied and admitted, in Pods and in the kinds that make them.

use serde_json::Value;

use super::objects::{FLAWS, TEMPLATES, broken_pod, broken_spec, fix, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

#[test]
fn every_validator_denies_and_admits_pods() {
    every_validator("it-pods", "pods", "", &|name, spec| pod(name, spec));
}

#[test]
fn every_validator_denies_and_admits_deployments() {
    let (kind, resource, prefix) = TEMPLATES[3];
    every_validator("it-deployments", resource, prefix, &|name, spec| holder(kind, name, spec));
}

#[test]
fn every_validator_denies_and_admits_cron_jobs() {
    let (kind, resource, prefix) = TEMPLATES[7];
    every_validator("it-cron-jobs", resource, prefix, &|name, spec| holder(kind, name, spec));
}

/// The object with one flaw is refused with everything that its author needs; without it, it is admitted in silence.
fn every_validator(namespace: &str, resource: &str, prefix: &str, object: &dyn Fn(&str, Value) -> Value) {
    let plane = Plane::shared();
    let space = Space::new(plane, namespace);
    let portcullis = Portcullis::hardened(plane, &space);
    for flaw in FLAWS {
        let mut flawed = spec();
        (flaw.make)(&mut flawed);
        let flawed = object(flaw.policy, flawed);
        let answer = space.create(resource, &flawed);
        let field = format!("{prefix}{}", flaw.field);
        let (policy, fix) = (flaw.policy, fix(flaw.policy));
        let message = answer.refused();
        assert_eq!(message.lines().count(), 1, "one flaw, one line: {message}");
        assert!(message.starts_with(&format!("{policy}: {field} must ")), "{message}");
        assert!(message.ends_with(&format!("({fix})")), "{message}");
        let causes = answer.body["details"]["causes"].as_array().expect("causes");
        assert_eq!(causes.len(), 1, "{causes:#?}");
        assert_eq!(causes[0]["field"], field.as_str());
        let cause = causes[0]["message"].as_str().expect("a message");
        assert!(cause.starts_with(&format!("{policy}: must ")) && cause.contains(fix), "{cause}");
        assert_eq!(space.get(resource, policy).code, 404, "a refused object was stored");

        let event = portcullis.decision(flawed["kind"].as_str().expect("a kind"), policy);
        assert_eq!((&event["decision"], &event["allowed"]), (&"deny".into(), &false.into()));
        assert_eq!(event["findings"][0]["policy"], policy);
        assert_eq!(event["findings"][0]["path"], field.as_str());
        assert_eq!(event["user"]["name"], "admin");

        let answer = space.create(resource, &object(policy, spec()));
        assert_eq!(answer.warnings, [] as [&str; 0]);
        answer.admitted();
        let event = portcullis.decision(flawed["kind"].as_str().expect("a kind"), policy);
        assert_eq!((&event["decision"], &event["allowed"]), (&"allow".into(), &true.into()));
    }
}

#[test]
fn every_kind_that_holds_a_pod_template_is_judged() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-kinds");
    let portcullis = Portcullis::hardened(plane, &space);
    for (kind, resource, prefix) in TEMPLATES {
        let answer = space.create(resource, &holder(kind, "web", broken_spec()));
        let place = format!("unpinned-images: {prefix}spec.containers[0].image ");
        assert!(answer.refused().starts_with(&place), "{kind}: {answer:#?}");
        space.create(resource, &holder(kind, "web", spec())).admitted();
        assert_eq!(portcullis.decision(kind, "web")["decision"], "allow");
    }
}

#[test]
fn a_refusal_names_every_finding() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-findings");
    let _portcullis = Portcullis::hardened(plane, &space);
    let bare = serde_json::json!({
        "hostNetwork": true,
        "initContainers": [{"name": "init", "image": "busybox"}],
        "containers": [{"name": "web", "image": "nginx"}],
    });
    let answer = space.create("pods", &pod("bare", bare));
    let message = answer.refused();
    for flaw in FLAWS {
        assert!(message.contains(&format!("{}: ", flaw.policy)), "{}: {message}", flaw.policy);
    }
    assert!(message.contains("spec.initContainers[0].image"), "{message}");
    let causes = answer.body["details"]["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), message.lines().count());
}

#[test]
fn what_breaks_the_posture_can_be_deleted() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-deletes");
    space.create("pods", &broken_pod("old")).admitted();
    space.create("deployments", &holder("Deployment", "old", broken_spec())).admitted();
    let _portcullis = Portcullis::hardened(plane, &space);
    space.delete("pods", "old").admitted();
    space.delete("deployments", "old").admitted();
    assert_eq!(space.get("pods", "old").code, 404);
}

#[test]
fn an_object_of_another_kind_is_none_of_our_business() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-others");
    let portcullis = Portcullis::hardened(plane, &space);
    let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    space.create("configmaps", &map).admitted();
    assert!(portcullis.records().iter().all(|record| record["name"] != "map"));
}
