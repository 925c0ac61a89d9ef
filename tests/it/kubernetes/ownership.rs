//! Templates that a controller owns are not refused: their Pods are.

use serde_json::{Value, json};

use super::eventually;
use super::objects::{broken_spec, holder};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// The last of the records about a kind that satisfies `is_it`.
fn record(portcullis: &Portcullis, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("a decision about a {kind}"), || {
        portcullis.records().into_iter().rfind(|record| record["kind"]["kind"] == kind && is_it(record))
    })
}

#[test]
fn a_replica_set_of_an_old_deployment_is_warned_of_and_its_pods_are_refused() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-replica-sets");
    let mut deployment = holder("Deployment", "old", broken_spec());
    deployment["spec"]["replicas"] = 1.into();
    deployment["spec"]["paused"] = true.into();
    space.create("deployments", &deployment).admitted();
    let portcullis = Portcullis::hardened(plane, &space);

    // Now the controller makes the ReplicaSet, and the next controller its Pod.
    let answer = space.patch("deployments", "old", &json!({"spec": {"paused": false}}));
    assert!(answer.warns("unpinned-images: "), "{answer:#?}");
    answer.admitted();
    let set = record(&portcullis, "ReplicaSet", |record| record["operation"] == "CREATE");
    assert_eq!((&set["decision"], &set["allowed"]), (&"warn".into(), &true.into()));
    assert_eq!(set["findings"][0]["path"], "spec.template.spec.containers[0].image");
    assert_eq!(set["user"]["name"], "system:serviceaccount:kube-system:deployment-controller");
    let pod = record(&portcullis, "Pod", |record| record["dryRun"] == Value::Bool(false));
    assert_eq!((&pod["decision"], &pod["operation"]), (&"deny".into(), &"CREATE".into()));
    assert_eq!(pod["user"]["name"], "system:serviceaccount:kube-system:replicaset-controller");
    assert!(pod["name"].as_str().expect("a name").starts_with("old-"), "{pod:#}");

    let failure = eventually("the ReplicaSet says why it has no Pod", || {
        let set = space.list("replicasets").pop()?;
        let conditions = set["status"]["conditions"].as_array()?;
        conditions.iter().find(|condition| condition["type"] == "ReplicaFailure").cloned()
    });
    assert!(failure["message"].as_str().expect("a message").contains("unpinned-images"), "{failure:#}");
    assert_eq!(space.list("pods"), [] as [Value; 0]);
}

#[test]
fn who_forges_an_owner_gains_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-owners");
    let portcullis = Portcullis::hardened(plane, &space);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let map = space.create("configmaps", &map).admitted();
    let mut job = holder("Job", "owned", broken_spec());
    job["spec"]["suspend"] = false.into();
    job["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "controller": true, "uid": map["metadata"]["uid"],
    }]);
    let answer = space.create("jobs", &job);
    assert!(answer.warns("unpinned-images: spec.template.spec.containers[0].image"), "{answer:#?}");
    answer.admitted();
    let pod = record(&portcullis, "Pod", |record| record["dryRun"] == Value::Bool(false));
    assert_eq!(pod["decision"], "deny");
    assert_eq!(pod["user"]["name"], "system:serviceaccount:kube-system:job-controller");
    assert_eq!(space.list("pods"), [] as [Value; 0]);
}
