//! Exceptions for the owners of Pods, with the real controllers: a Deployment's exception admits its Pods, and forged chains gain
//! nothing.

use serde_json::{Value, json};

use super::eventually;
use super::objects::{Flaw, broken_spec, flaws, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;
use super::validators::hardened;

/// The profile `hardened`, and an exception for the `kind` named `web` from the flaws of its template and of forged ones.
fn guard(plane: &Plane, space: &Space, kind: &str) -> Portcullis {
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    let configuration = format!(
        "profile: hardened\nexceptions:\n- {{name: for-web, policies: [unpinned-images, undropped-capabilities], match: {{namespace: \
         {}, kind: {kind}, name: web}}, expires: {tomorrow}, reason: it, owner: it}}\n",
        space.name
    );
    Portcullis::guard(plane, &[space], &configuration, &[])
}

/// A pod spec with the flaw that `web` has too, and another one.
pub(super) fn worse_spec() -> Value {
    let mut spec = broken_spec();
    Flaw::of("added-capabilities").make(&mut spec);
    spec
}

/// An object that another one controls.
pub(super) fn owned(mut object: Value, by: &Value) -> Value {
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": by["apiVersion"], "kind": by["kind"],
        "name": by["metadata"]["name"], "uid": by["metadata"]["uid"], "controller": true}]);
    object
}

/// The last record of a Pod whose name begins so, that satisfies `is_it`.
pub(super) fn record(portcullis: &Portcullis, prefix: &str, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
    portcullis.records().into_iter().rfind(|record| {
        let is_named = record["name"].as_str().is_some_and(|name| name.starts_with(prefix));
        record["kind"]["kind"] == "Pod" && is_named && record["dryRun"] == Value::Bool(false) && is_it(record)
    })
}

/// Waits until the real controller of `kind` has tried to make a Pod of an object, and holds that it was refused.
pub(super) fn refused(portcullis: &Portcullis, space: &Space, name: &str, controller: &str) {
    let prefix = format!("{name}-");
    let record = eventually(&format!("a Pod of {name}"), || {
        record(portcullis, &prefix, |record| record["operation"] == "CREATE")
    });
    assert_eq!(record["decision"], "deny", "{record:#}");
    assert_eq!(record["user"]["name"], format!("system:serviceaccount:kube-system:{controller}"));
    let is_its = |pod: &Value| pod["metadata"]["name"].as_str().is_some_and(|pod| pod.starts_with(&prefix));
    assert!(!space.list("pods").iter().any(is_its), "{name} has a Pod");
}

pub(super) fn running(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = holder(kind, name, spec);
    object["spec"]["replicas"] = 1.into();
    object
}

#[test]
fn a_deployments_exception_admits_its_pods() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-owned-pods");
    let portcullis = guard(plane, &space, "Deployment");
    let answer = space.create("deployments", &running("Deployment", "web", broken_spec()));
    assert!(answer.warns("exempt by exception \"for-web\" until "), "{answer:#?}");
    answer.admitted();
    space.create("deployments", &running("Deployment", "other", broken_spec())).refused();
    eventually("its Pod", || (space.list("pods").len() == 1).then_some(()));
    let record = record(&portcullis, "web-", |_| true).expect("a record");
    assert_eq!(
        (&record["decision"], &record["exception"]["name"]),
        (&"exempt".into(), &"for-web".into()),
        "{record:#}"
    );
    assert_eq!(record["user"]["name"], "system:serviceaccount:kube-system:replicaset-controller");
}

#[test]
fn for_every_policy_a_deployments_exception_covers_its_pods() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-owned-flaws");
    let (inside, _) = flaws();
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    let mut configuration = format!("{}exceptions:\n", hardened(&inside));
    for flaw in &inside {
        let policies: Vec<&str> = flaw.also().chain([flaw.policy]).collect();
        configuration += &format!(
            "- {{name: {name}, policies: {policies:?}, match: {{namespace: {}, kind: Deployment, name: {name}}}, expires: \
             {tomorrow}, reason: it, owner: it}}\n",
            space.name,
            name = flaw.policy,
        );
    }
    let portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
    for flaw in &inside {
        let mut flawed = spec();
        flaw.make(&mut flawed);
        space.create("deployments", &running("Deployment", flaw.policy, flawed)).admitted();
    }
    for flaw in &inside {
        let name = flaw.policy;
        let seen = eventually(&format!("a Pod of {name}"), || record(&portcullis, &format!("{name}-"), |_| true));
        assert_eq!((&seen["decision"], &seen["exception"]["name"]), (&"exempt".into(), &name.into()), "{seen:#}");
    }
}

#[test]
fn a_cron_jobs_exception_admits_its_pods() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-owned-jobs");
    let portcullis = guard(plane, &space, "CronJob");
    let cron = space.create("cronjobs", &holder("CronJob", "web", broken_spec())).admitted();
    let mut job = owned(holder("Job", "web-1", broken_spec()), &cron);
    job["spec"]["suspend"] = false.into();
    space.create("jobs", &job).admitted();
    let seen = eventually("its Pod", || record(&portcullis, "web-1-", |_| true));
    assert_eq!((&seen["decision"], &seen["exception"]["name"]), (&"exempt".into(), &"for-web".into()), "{seen:#}");
    // A Job that somebody forged has another flaw than the CronJob.
    let mut forged = owned(holder("Job", "forged", worse_spec()), &cron);
    forged["spec"]["suspend"] = false.into();
    space.create("jobs", &forged).admitted();
    refused(&portcullis, &space, "forged", "job-controller");
}

#[test]
fn forged_replica_sets_gain_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-forged-sets");
    let portcullis = guard(plane, &space, "Deployment");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
    let map = space.create("configmaps", &map).admitted();
    let of_map = owned(running("ReplicaSet", "of-map", broken_spec()), &map);
    space.create("replicasets", &of_map).admitted();
    refused(&portcullis, &space, "of-map", "replicaset-controller");

    for paused in [true, false] {
        let mut deployment = holder("Deployment", "web", broken_spec());
        deployment["spec"]["paused"] = paused.into();
        let deployment = space.create("deployments", &deployment).admitted();
        for (name, has_its_labels) in [("like", true), ("unlike", false)] {
            let name = format!("{name}-{}", if paused { "paused" } else { "active" });
            let mut set = owned(running("ReplicaSet", &name, worse_spec()), &deployment);
            if has_its_labels {
                set["spec"]["selector"] = json!({"matchLabels": {"app": "web", "set": name}});
                set["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "set": name});
                set["metadata"]["labels"] = json!({"app": "web", "set": name});
            }
            space.create("replicasets", &set).admitted();
            // The controller of Deployments may take a set for an old one of its own, and scale it down before it has a Pod.
            eventually("it was refused, or is scaled down", || {
                let set = space.get("replicasets", &name);
                let is_down = !set.is_success() || set.body["spec"]["replicas"] == 0;
                (is_down || record(&portcullis, &format!("{name}-"), |one| one["decision"] == "deny").is_some())
                    .then_some(())
            });
            assert!(record(&portcullis, &format!("{name}-"), |one| one["allowed"] == true).is_none());
        }
        space.delete("deployments", "web").admitted();
        eventually("it is gone", || (!space.get("deployments", "web").is_success()).then_some(()));
    }
    assert_eq!(space.list("pods"), [] as [Value; 0]);
}

#[test]
fn a_patched_replica_set_and_a_pod_of_a_user_gain_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-patched-sets");
    let portcullis = guard(plane, &space, "Deployment");
    space.create("deployments", &running("Deployment", "web", broken_spec())).admitted();
    let made = eventually("its Pod", || space.list("pods").pop());
    let name = made["metadata"]["ownerReferences"][0]["name"].as_str().expect("an owner");
    let set = space.get("replicasets", name).body;
    let forged = owned(pod("forged", broken_spec()), &set);
    space.create("pods", &forged).refused();

    space.patch("deployments", "web", &json!({"spec": {"paused": true}})).admitted();
    let container = &worse_spec()["containers"][0];
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    space.patch("replicasets", name, &patch).admitted();
    space.delete("pods", made["metadata"]["name"].as_str().expect("a name")).admitted();
    let record =
        eventually("its next Pod", || record(&portcullis, &format!("{name}-"), |one| one["decision"] == "deny"));
    assert!(record["findings"].to_string().contains("undropped-capabilities"), "{record:#}");
}
