//! Findings that existed before, with the real controllers: an old workload keeps its Pods, and forged chains gain nothing.

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{broken_spec, holder, pod, spec};
use super::owners::{owned, record, refused, running, worse_spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// Enforces the profile `hardened`, with what was created before this second as existing.
fn enforce(plane: &Plane, space: &Space, before: Timestamp) -> Portcullis {
    let configuration = format!("profile: hardened\nexisting: {{admit: true, createdBefore: {before}}}\n");
    Portcullis::guard(plane, &[space], &configuration, &[])
}

/// The time of an object's creation.
fn created(object: &Value) -> Timestamp {
    object["metadata"]["creationTimestamp"].as_str().expect("a time").parse().expect("RFC 3339")
}

/// A time that every object of the namespace was created before, and none that is made from now on.
fn now(space: &Space) -> Timestamp {
    let last = eventually("the second is over", || {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "clock-"}});
        let tick = created(&space.create("configmaps", &map).admitted());
        let resources = ["deployments", "replicasets", "jobs", "cronjobs", "statefulsets"];
        let times = resources.into_iter().flat_map(|resource| space.list(resource)).map(|object| created(&object));
        (times.max().is_none_or(|latest| latest < tick)).then_some(tick)
    });
    assert!(last <= Timestamp::now());
    last
}

/// The policies and the inherited ones of a record's findings that would refuse.
fn findings(record: &Value) -> Vec<(&str, bool)> {
    let findings = record["findings"].as_array().expect("a list").iter();
    let enforced = findings.filter(|finding| finding["mode"] == "enforce");
    enforced.map(|one| (one["policy"].as_str().expect("an id"), one["inherited"] == Value::Bool(true))).collect()
}

fn scale(space: &Space, resource: &str, name: &str, replicas: u32) {
    space.patch(resource, name, &json!({"spec": {"replicas": replicas}})).admitted();
}

#[test]
fn an_old_deployment_scales_up_and_a_new_one_does_not() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-existing");
    let old = space.create("deployments", &running("Deployment", "old", broken_spec())).admitted();
    eventually("its Pod", || (space.list("pods").len() == 1).then_some(()));
    let before = now(&space);
    assert!(created(&old) < before);
    // After the time, and before anybody enforces.
    let new = space.create("deployments", &running("Deployment", "new", broken_spec())).admitted();
    assert!(created(&new) >= before);
    eventually("the Pod of the new one", || (space.list("pods").len() == 2).then_some(()));
    let portcullis = enforce(plane, &space, before);
    space.create("deployments", &running("Deployment", "late", broken_spec())).refused();

    scale(&space, "deployments", "old", 3);
    eventually("its other Pods", || (space.list("pods").len() == 4).then_some(()));
    let seen = record(&portcullis, "old-", |_| true).expect("a record");
    assert_eq!((&seen["decision"], &seen["allowed"], &seen["exception"]), (&"warn".into(), &true.into(), &Value::Null));
    assert_eq!(findings(&seen), [("unpinned-images", true)], "{seen:#}");
    assert_eq!(seen["user"]["name"], "system:serviceaccount:kube-system:replicaset-controller");

    scale(&space, "deployments", "new", 2);
    let seen = eventually("a decision", || record(&portcullis, "new-", |_| true));
    assert_eq!((&seen["decision"], findings(&seen)), (&"deny".into(), vec![("unpinned-images", false)]), "{seen:#}");

    // What an edit of the old one brings is judged at the edit.
    let patch = json!({"spec": {"template": {"spec": {"containers": [worse_spec()["containers"][0]]}}}});
    let answer = space.patch("deployments", "old", &patch);
    assert!(answer.refused().contains("undropped-capabilities"), "{answer:#?}");
}

#[test]
fn a_workload_created_in_that_very_second_is_not_old() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-existing-second");
    let set = space.create("statefulsets", &holder("StatefulSet", "web", broken_spec())).admitted();
    let portcullis = enforce(plane, &space, created(&set));
    scale(&space, "statefulsets", "web", 1);
    let seen = eventually("a decision", || record(&portcullis, "web-", |_| true));
    assert_eq!((&seen["decision"], findings(&seen)), (&"deny".into(), vec![("unpinned-images", false)]), "{seen:#}");
    let later = created(&set).checked_add(jiff::SignedDuration::from_secs(1)).expect("a time");
    eventually("the next second", || (Timestamp::now() >= later).then_some(()));
    portcullis.configure(&format!("profile: hardened\nexisting: {{admit: true, createdBefore: {later}}}\n"));
    eventually("its Pod", || (space.list("pods").len() == 1).then_some(()));
    let told = portcullis.records().into_iter().find(|record| record["record"] == "configuration").expect("a reload");
    let weaker = told["weaker"].as_array().expect("a list");
    let row = weaker.iter().find(|row| row["policy"] == "unpinned-images").expect("a row");
    assert_eq!((&row["change"], &row["namespace"]), (&"existing".into(), &"*".into()), "{told:#}");
}

#[test]
fn forged_chains_under_old_workloads_gain_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-existing-forged");
    let old = space.create("deployments", &running("Deployment", "web", broken_spec())).admitted();
    let made = eventually("its Pod", || space.list("pods").pop());
    let clean = space.create("deployments", &holder("Deployment", "clean", spec())).admitted();
    let cron = space.create("cronjobs", &holder("CronJob", "cron", broken_spec())).admitted();
    let name = eventually("its ReplicaSet", || {
        let sets = space.list("replicasets").into_iter();
        sets.map(|set| set["metadata"]["name"].as_str().expect("a name").to_owned()).find(|set| set.starts_with("web-"))
    });
    // Nothing judges it yet when somebody writes into the ReplicaSet of a Deployment.
    space.patch("deployments", "web", &json!({"spec": {"paused": true}})).admitted();
    let patch = |spec: &Value| json!({"spec": {"template": {"spec": {"containers": [spec["containers"][0]]}}}});
    space.patch("replicasets", &name, &patch(&worse_spec())).admitted();
    let before = now(&space);
    let portcullis = enforce(plane, &space, before);

    // Nobody can say when an object was created.
    let mut backdated = running("ReplicaSet", "backdated", spec());
    backdated["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
    assert!(created(&space.create("replicasets", &backdated).admitted()) >= before);

    // A Pod with a forged owner, sent by a user.
    let set = space.get("replicasets", &name).admitted();
    space.create("pods", &owned(pod("forged", broken_spec()), &set)).refused();

    // A ReplicaSet owned by an old Deployment with another template, and one owned by a ConfigMap.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    let map = space.create("configmaps", &map).admitted();
    for (name, owner, spec) in
        [("of-clean", &clean, broken_spec()), ("of-old", &old, worse_spec()), ("of-map", &map, broken_spec())]
    {
        space.create("replicasets", &owned(running("ReplicaSet", name, spec), owner)).admitted();
        refused(&portcullis, &space, name, "replicaset-controller");
    }
    // A Job that claims to be an old CronJob's.
    let mut job = owned(holder("Job", "forged-job", worse_spec()), &cron);
    job["spec"]["suspend"] = false.into();
    space.create("jobs", &job).admitted();
    refused(&portcullis, &space, "forged-job", "job-controller");

    // A patched ReplicaSet of an old Deployment: it cannot be patched any more, and its next Pod is refused.
    let mut other = worse_spec();
    other["containers"][0]["image"] = "nginx:1.28.0".into();
    space.patch("replicasets", &name, &patch(&other)).refused();
    space.delete("pods", made["metadata"]["name"].as_str().expect("a name")).admitted();
    let seen = eventually("its next Pod", || record(&portcullis, &format!("{name}-"), |one| one["decision"] == "deny"));
    // The ReplicaSet that was patched has two findings, of which its Deployment has one.
    let mut seen = findings(&seen);
    seen.sort_unstable();
    assert_eq!(seen, [("undropped-capabilities", false), ("unpinned-images", true)]);
    // It does not become an old workload of its own.
    let answer = space.patch("replicasets", &name, &json!({"metadata": {"ownerReferences": null}}));
    assert!(answer.refused().contains("undropped-capabilities"), "{answer:#?}");
    assert!(!answer.refused().contains("unpinned-images"), "{answer:#?}");
}

#[test]
fn an_old_deployment_can_be_orphaned_and_a_forged_one_cannot() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-existing-orphans");
    space.create("deployments", &running("Deployment", "web", broken_spec())).admitted();
    eventually("its Pod", || (space.list("pods").len() == 1).then_some(()));
    space.create("deployments", &holder("Deployment", "clean", spec())).admitted();
    // Under a ConfigMap anybody may write what they like into a Deployment while nothing is enforced.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    let map = space.create("configmaps", &map).admitted();
    let mut forged = owned(json!({"spec": {"replicas": 0}}), &map);
    forged["spec"]["template"] = json!({"spec": {"containers": [worse_spec()["containers"][0]]}});
    space.patch("deployments", "clean", &forged).admitted();
    let portcullis = enforce(plane, &space, now(&space));

    let orphan = |resource: &str, name: &str| {
        let path = match resource {
            "configmaps" => format!("/api/v1/namespaces/{}/configmaps/{name}", space.name),
            _ => format!("/apis/apps/v1/namespaces/{}/{resource}/{name}", space.name),
        };
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"});
        plane.admin.call(Method::DELETE, &path, Some(&options)).admitted();
    };
    orphan("deployments", "web");
    eventually("it is gone", || (!space.get("deployments", "web").is_success()).then_some(()));
    let set = space.list("replicasets").into_iter().find(|set| set["metadata"]["labels"]["app"] == "web");
    let set = set.expect("its ReplicaSet stays");
    assert_eq!(set["metadata"]["ownerReferences"], Value::Null, "{set:#}");
    let name = set["metadata"]["name"].as_str().expect("a name");
    scale(&space, "replicasets", name, 2);
    eventually("another Pod", || (space.list("pods").len() == 2).then_some(()));

    // The forged one gets no Pod, and keeps the ConfigMap.
    scale(&space, "deployments", "clean", 1);
    let seen = eventually("its Pod", || record(&portcullis, "clean-", |_| true));
    assert_eq!(seen["decision"], "deny", "{seen:#}");
    space.patch("deployments", "clean", &json!({"metadata": {"ownerReferences": null}})).refused();
    orphan("configmaps", "map");
    eventually("the garbage collector was refused", || {
        portcullis.records().into_iter().find(|record| {
            record["name"] == "clean"
                && record["operation"] == "UPDATE"
                && record["decision"] == "deny"
                && record["user"]["name"] == "system:serviceaccount:kube-system:generic-garbage-collector"
        })
    });
    assert_ne!(space.get("deployments", "clean").admitted()["metadata"]["ownerReferences"], Value::Null);
}

#[test]
fn an_owner_that_is_taken_away_through_the_status_gains_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-existing-status");
    space.create("deployments", &holder("Deployment", "clean", spec())).admitted();
    let _portcullis = enforce(plane, &space, now(&space));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    let map = space.create("configmaps", &map).admitted();
    let mut forged = owned(json!({"spec": {"replicas": 0}}), &map);
    forged["spec"]["template"] = json!({"spec": {"containers": [worse_spec()["containers"][0]]}});
    space.patch("deployments", "clean", &forged).refused();
    // Without the template it is owned, and the status takes the owner away unseen.
    space.patch("deployments", "clean", &owned(json!({}), &map)).admitted();
    space.patch("deployments", "clean/status", &json!({"metadata": {"ownerReferences": null}})).admitted();
    assert_eq!(space.get("deployments", "clean").admitted()["metadata"]["ownerReferences"], Value::Null);
    forged.as_object_mut().expect("a mapping").remove("metadata");
    space.patch("deployments", "clean", &forged).refused();
}
