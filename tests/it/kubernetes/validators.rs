//! Every validator, denied and admitted, in Pods and in the kinds that make them.

use std::collections::BTreeSet;

use axum::http::Method;
use portcullis::object::NamedKind;
use portcullis::policy::Kinds;
use portcullis::policy::catalogue::Entry;
use portcullis::request::Operation;
use serde_json::{Value, json};

use super::custom_kinds;
use super::objects::{Flaw, TEMPLATES, broken_pod, broken_spec, fix, flaws, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;
use crate::fixtures;

/// `hardened`, where the policies that only warn there refuse too.
pub(crate) fn hardened(flaws: &[Flaw]) -> String {
    format!("profile: hardened\n{}", enforcing(flaws))
}

/// A configuration in which the policies of these flaws refuse.
fn enforcing(flaws: &[Flaw]) -> String {
    let policies = flaws.iter().map(|flaw| format!("  {}: {}\n", flaw.policy, fixtures::enforced(flaw.policy)));
    format!("policies:\n{}", policies.collect::<String>())
}

#[test]
fn every_validator_denies_and_admits_pods() {
    every_validator("it-pods", "pods", "", &|name, spec| pod(name, spec));
}

#[test]
fn every_validator_denies_and_admits_deployments() {
    every_validator_in_templates("Deployment");
}

#[test]
fn every_validator_denies_and_admits_cron_jobs() {
    every_validator_in_templates("CronJob");
}

#[test]
fn every_validator_denies_and_admits_stateful_sets_and_daemon_sets() {
    every_validator_in_templates("StatefulSet");
    every_validator_in_templates("DaemonSet");
}

#[test]
fn every_validator_denies_and_admits_jobs_and_pod_templates() {
    every_validator_in_templates("Job");
    every_validator_in_templates("PodTemplate");
}

#[test]
fn every_validator_denies_and_admits_replica_sets_and_replication_controllers() {
    every_validator_in_templates("ReplicaSet");
    every_validator_in_templates("ReplicationController");
}

fn every_validator_in_templates(kind: &str) {
    let (kind, resource, prefix) = TEMPLATES.into_iter().find(|known| known.0 == kind).expect(kind);
    every_validator(&format!("it-{resource}"), resource, prefix, &|name, spec| holder(kind, name, spec));
}

/// The object with one flaw is refused with everything that its author needs; without it, it is admitted in silence.
fn every_validator(namespace: &str, resource: &str, prefix: &str, object: &dyn Fn(&str, Value) -> Value) {
    let plane = Plane::shared();
    let mut user_namespace = spec();
    user_namespace["hostUsers"] = false.into();
    let (inside, elsewhere) = flaws();
    for (namespace, configuration, flaws, good) in [
        (namespace.to_owned(), hardened(&inside), inside, spec()),
        (format!("{namespace}-elsewhere"), enforcing(&elsewhere), elsewhere, user_namespace),
    ] {
        let space = Space::new(plane, &namespace);
        let portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
        for flaw in &flaws {
            let policy = flaw.policy;
            let mut flawed = good.clone();
            flaw.make(&mut flawed);
            let flawed = object(policy, flawed);
            let kind = flawed["kind"].as_str().expect("a kind");
            if !prefix.is_empty() && flaw.depends_on_cluster() {
                let answer = space.create_dry(resource, &flawed);
                assert!(answer.warns(&format!("{policy}: {prefix}{} must ", flaw.field())), "{answer:#?}");
                answer.admitted();
            } else {
                denies(&space, &portcullis, resource, &flawed, flaw, prefix);
            }
            let answer = space.create(resource, &object(policy, good.clone()));
            assert_eq!(answer.warnings, [] as [&str; 0]);
            answer.admitted();
            let event = portcullis.decision(kind, policy);
            assert_eq!((&event["decision"], &event["allowed"]), (&"allow".into(), &true.into()));
        }
    }
}

fn denies(space: &Space, portcullis: &Portcullis, resource: &str, flawed: &Value, flaw: &Flaw, prefix: &str) {
    let answer = space.create(resource, flawed);
    let field = format!("{prefix}{}", flaw.field());
    let (policy, fix) = (flaw.policy, fix(flaw.policy));
    let message = answer.refused();
    let policies: BTreeSet<&str> = message.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(policies, flaw.also().chain([policy]).collect(), "{message}");
    assert_eq!(message.lines().count(), policies.len(), "one flaw, one line: {message}");
    let line = message.lines().find(|line| line.starts_with(&format!("{policy}: {field} must "))).expect(message);
    assert!(line.ends_with(&format!("({fix})")), "{line}");
    let causes = answer.body["details"]["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), policies.len(), "{causes:#?}");
    let is_its_own = |said: &str| said.starts_with(&format!("{policy}: must ")) && said.contains(fix);
    let cause = causes.iter().find(|cause| cause["message"].as_str().is_some_and(is_its_own)).expect(message);
    assert_eq!(cause["field"], field.as_str());
    assert_eq!(space.get(resource, policy).code, 404, "a refused object was stored");

    let event = portcullis.decision(flawed["kind"].as_str().expect("a kind"), policy);
    assert_eq!((&event["decision"], &event["allowed"]), (&"deny".into(), &false.into()));
    let found = event["findings"].as_array().expect("findings").iter().find(|found| found["policy"] == policy);
    assert_eq!(found.expect("its finding")["path"], field.as_str());
    assert_eq!(event["user"]["name"], "admin");
}

/// Each fixture of a policy on another kind, created as a dry run.
#[test]
fn every_validator_of_another_kind_denies_and_admits() {
    custom_kinds::serve(Plane::shared());
    let is_alone = |entry: &&Entry| entry.settings.is_some() || fixtures::ALONE.contains(&entry.meta.id);
    let (alone, together): (Vec<&Entry>, Vec<&Entry>) = fixtures::other_validators().partition(is_alone);
    let line = |entry: &&Entry| format!("  {}: {}\n", entry.meta.id, fixtures::enforced(entry.meta.id));
    let enforced: String = together.iter().map(line).collect();
    denies_and_admits("it-other-kinds", &format!("profile: hardened\npolicies:\n{enforced}"), &together);
    for entry in alone {
        // A policy on Pods, so that the API server's knowledge of the webhooks can be probed with one.
        let configuration = format!("policies:\n  host-ports: {{mode: audit}}\n{}", line(&entry));
        denies_and_admits(&format!("it-{}-fixtures", entry.meta.id), &configuration, &[entry]);
    }
}

fn denies_and_admits(namespace: &str, configuration: &str, entries: &[&Entry]) {
    let plane = Plane::shared();
    let space = Space::new(plane, namespace);
    let admin = plane.admin_of(&space);
    let _portcullis = Portcullis::guard(plane, &[&space], configuration, &[]);
    for entry in entries {
        let (id, fix) = (entry.meta.id, entry.meta.fix);
        for fixture in &fixtures::of(id) {
            let mut object = fixture.object();
            let (resource, is_namespaced) = if entry.meta.kinds == [Kinds::Settings] {
                let known = NamedKind::all_known().find(|known| object["kind"] == known.kind).expect("a known kind");
                (known.resource, known.is_namespaced)
            } else {
                let row = fixture.row(entry);
                if !row.operations.contains(&Operation::Create) {
                    continue;
                }
                (row.resource, row.is_namespaced)
            };
            let api = object["apiVersion"].as_str().expect("a version");
            let api = if api.contains('/') { format!("/apis/{api}") } else { format!("/api/{api}") };
            let path = if is_namespaced {
                object["metadata"]["namespace"] = space.name.as_str().into();
                format!("{api}/namespaces/{}/{resource}?dryRun=All", space.name)
            } else {
                format!("{api}/{resource}?dryRun=All")
            };
            // The webhooks match this namespace alone.
            let is_exempt = object["metadata"]["name"].as_str().is_some_and(|name| name == "kube-system");
            if object["kind"] == "Namespace" && !is_exempt {
                object["metadata"]["name"] = space.name.as_str().into();
            }
            let answer = admin.call(Method::POST, &path, Some(&object));
            if fixture.is_invalid() && answer.code == 422 {
                continue;
            }
            // It was admitted, and then there is a Namespace of that name already.
            if !fixture.is_denied() && answer.code == 409 {
                continue;
            }
            if fixture.is_denied() {
                let message = answer.refused();
                let is_its_own =
                    |line: &str| line.starts_with(&format!("{id}: ")) && line.ends_with(&format!("({fix})"));
                assert!(message.lines().all(is_its_own), "{id}/{}: {message}", fixture.name);
            } else if fixture.name == "admit-other-direction.yaml" {
                // It is the other one of `open-egress` and `open-ingress` that refuses it.
                let message = answer.refused();
                assert!(!message.contains(&format!("{id}: ")), "{id}/{}: {message}", fixture.name);
            } else if fixture.is_warned() {
                assert!(answer.warns(&format!("{id}: ")), "{id}/{}: {answer:#?}", fixture.name);
                answer.admitted();
            } else {
                assert_eq!(answer.warnings, [] as [&str; 0], "{id}/{}", fixture.name);
                answer.admitted();
            }
        }
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
    let (inside, _) = flaws();
    let _portcullis = Portcullis::guard(plane, &[&space], &hardened(&inside), &[]);
    // What needs a user namespace cannot stand beside what needs the node's, nor a token in the place of another volume.
    let flaws = || inside.iter().filter(|flaw| !["proc-mounts", "long-lived-tokens"].contains(&flaw.policy));
    let mut bad = spec();
    flaws().for_each(|flaw| flaw.make(&mut bad));
    bad["initContainers"] = json!([{"name": "init", "image": "busybox"}]);
    let answer = space.create("pods", &pod("bad", bad));
    let message = answer.refused();
    for flaw in flaws() {
        assert!(message.contains(&format!("{}: {} must ", flaw.policy, flaw.field())), "{}: {message}", flaw.policy);
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
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}});
    space.create("resourcequotas", &quota).admitted();
    assert!(portcullis.records().iter().all(|record| record["name"] != "quota"));
}
