//! Controllers beside mutators: a template changes when somebody changes it, once, and what was there before goes on.

use std::process::Command;

use serde_json::{Value, json};

use super::eventually;
use super::objects::holder;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// Every mutator, and no validator.
const ALL: &str = "defaults: all\n";

/// A pod spec that says nothing.
fn silent(image: &str) -> Value {
    json!({"containers": [{"name": "web", "image": image}]})
}

fn deployment(name: &str, replicas: u32) -> Value {
    let mut deployment = holder("Deployment", name, silent("nginx:1"));
    deployment["spec"]["replicas"] = replicas.into();
    deployment
}

/// The Deployment once its controller has seen the last change to it.
fn settled(space: &Space, name: &str) -> Value {
    eventually(&format!("the Deployment {name} is seen"), || {
        let deployment = space.get("deployments", name).admitted();
        let generation = &deployment["metadata"]["generation"];
        (deployment["status"]["observedGeneration"] == *generation).then_some(deployment)
    })
}

fn kubectl(plane: &Plane, space: &Space, arguments: &[&str]) {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(&plane.place.kubectl)
        .arg("--kubeconfig")
        .arg(&plane.place.kubeconfig)
        .arg("--cache-dir")
        .arg(cache.path())
        .args(["--namespace", &space.name])
        .args(arguments)
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_defaulted(template: &Value) -> bool {
    template["spec"]["securityContext"]["runAsNonRoot"] == true
        && template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] == true
}

#[test]
fn an_old_deployment_gets_one_replica_set_for_each_change_of_its_template() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-rollouts");
    space.create("deployments", &deployment("old", 1)).admitted();
    eventually("it has its ReplicaSet", || (space.list("replicasets").len() == 1).then_some(()));
    let _portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);

    let sets_after = |count: usize| {
        let deployment = settled(&space, "old");
        // Once more around: a controller that makes ReplicaSets for ever would have made another by then.
        let replicas = deployment["spec"]["replicas"].as_u64().expect("a number") + 1;
        space.patch("deployments", "old", &json!({"spec": {"replicas": replicas}})).admitted();
        let deployment = settled(&space, "old");
        assert_eq!(deployment["status"]["collisionCount"], Value::Null, "{deployment:#}");
        let sets = space.list("replicasets");
        assert_eq!(sets.len(), count, "{:#?}", sets.iter().map(|set| &set["metadata"]["name"]).collect::<Vec<_>>());
        (deployment, sets)
    };

    kubectl(plane, &space, &["scale", "deployment/old", "--replicas=2"]);
    let (deployment, _) = sets_after(1);
    assert!(!is_defaulted(&deployment["spec"]["template"]), "scaling changes no template");

    kubectl(plane, &space, &["rollout", "restart", "deployment/old"]);
    let (deployment, sets) = sets_after(2);
    assert!(is_defaulted(&deployment["spec"]["template"]), "{deployment:#}");
    assert_eq!(sets.iter().filter(|set| is_defaulted(&set["spec"]["template"])).count(), 1);

    kubectl(plane, &space, &["set", "image", "deployment/old", "web=nginx:2"]);
    let (_, sets) = sets_after(3);
    let newest = sets.iter().find(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2");
    assert!(newest.is_some_and(|set| is_defaulted(&set["spec"]["template"])));

    // Back to what had no defaults: they are set again, which is a template of its own.
    kubectl(plane, &space, &["rollout", "undo", "deployment/old", "--to-revision=1"]);
    let (deployment, _) = sets_after(4);
    assert!(is_defaulted(&deployment["spec"]["template"]));
    let pods = space.list("pods");
    assert!(!pods.is_empty());
}

#[test]
fn relabelling_old_deployments_starts_no_rollout() {
    const DEPLOYMENTS: usize = 50;
    let plane = Plane::shared();
    let space = Space::open(plane, "it-relabelled");
    let names: Vec<String> = (0..DEPLOYMENTS).map(|number| format!("old-{number}")).collect();
    for name in &names {
        space.create("deployments", &deployment(name, 0)).admitted();
    }
    eventually("each has its ReplicaSet", || (space.list("replicasets").len() == DEPLOYMENTS).then_some(()));
    let _portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);

    let label = json!({"metadata": {"labels": {"team": "shop"}}});
    let annotation = json!({"metadata": {"annotations": {"example.com/seen": "yes"}}});
    for name in &names {
        let before = settled(&space, name);
        let labelled = space.patch("deployments", name, &label).admitted();
        assert_eq!(labelled["metadata"]["generation"], before["metadata"]["generation"]);
        let annotated = space.patch("deployments", name, &annotation).admitted();
        assert_eq!((&labelled["spec"], &annotated["spec"]), (&before["spec"], &before["spec"]));
    }
    // The Deployment's controller hands its annotations down: once it has, it has seen the change.
    let sets = eventually("every change is seen", || {
        let sets = space.list("replicasets");
        let seen = |set: &Value| set["metadata"]["annotations"]["example.com/seen"] == "yes";
        (sets.iter().filter(|set| seen(set)).count() == DEPLOYMENTS).then_some(sets)
    });
    assert_eq!(sets.len(), DEPLOYMENTS);
    assert!(sets.iter().all(|set| !is_defaulted(&set["spec"]["template"])));
}

/// Plays the kubelet: the Pods of a Job end well. Returns the Job once it is complete.
fn run_through(space: &Space, job: &str) -> Value {
    eventually(&format!("the Job {job} completes"), || {
        for pod in space.list("pods") {
            let is_its_own = pod["metadata"]["labels"]["job-name"] == job;
            if is_its_own && pod["status"]["phase"] == "Pending" {
                assert!(is_defaulted(&pod), "{pod:#}");
                let name = pod["metadata"]["name"].as_str().expect("a name");
                space.patch("pods", &format!("{name}/status"), &json!({"status": {"phase": "Succeeded"}})).admitted();
            }
        }
        let job = space.get("jobs", job).admitted();
        let is_complete = |condition: &Value| condition["type"] == "Complete" && condition["status"] == "True";
        job["status"]["conditions"].as_array()?.iter().any(is_complete).then_some(job)
    })
}

#[test]
fn jobs_and_cron_jobs_run_through() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-job-runs");
    let job = |name: &str, is_suspended: bool| {
        let mut job = holder("Job", name, silent("busybox"));
        job["spec"]["suspend"] = is_suspended.into();
        job
    };
    space.create("jobs", &job("old", true)).admitted();
    let cron = space.create("cronjobs", &holder("CronJob", "nightly", silent("busybox"))).admitted();
    let _portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);

    // Its template cannot change any more: only its Pods get what it lacks.
    space.patch("jobs", "old", &json!({"spec": {"suspend": false}})).admitted();
    assert!(!is_defaulted(&run_through(&space, "old")["spec"]["template"]));

    space.create("jobs", &job("new", false)).admitted();
    assert!(is_defaulted(&run_through(&space, "new")["spec"]["template"]));

    kubectl(plane, &space, &["create", "job", "by-hand", "--from=cronjob/nightly"]);
    run_through(&space, "by-hand");

    // As the controller of CronJobs makes them.
    let mut owned = job("scheduled", false);
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly",
        "uid": cron["metadata"]["uid"], "controller": true}]);
    space.create("jobs", &owned).admitted();
    assert!(!is_defaulted(&run_through(&space, "scheduled")["spec"]["template"]), "an owned template is left alone");

    // A new template of the CronJob gets them.
    let template = json!({"template": {"spec": {"containers": [{"name": "web", "image": "busybox:2"}]}}});
    let cron = space.patch("cronjobs", "nightly", &json!({"spec": {"jobTemplate": {"spec": template}}})).admitted();
    assert!(is_defaulted(&cron["spec"]["jobTemplate"]["spec"]["template"]));
}
