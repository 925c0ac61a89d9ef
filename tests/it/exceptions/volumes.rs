//! A volume that an owner's exception or its age excuses is the volume of the owner's template, and no other.

use serde_json::{Value, json};

use super::owners::{Stored, controller, created, of, owned, owner};
use super::{configured, container, enforced, exception, pod};

/// An object with one volume, in its template or in the Pod that it is.
fn with_volume(mut object: Value, at: &str, source: &Value) -> Value {
    object.pointer_mut(at).expect("a spec")["volumes"] = json!([{"name": "data", "hostPath": source}]);
    object
}

#[test]
fn another_path_of_the_node_is_not_excused() {
    let containers = [container("web", "nginx")];
    let template = "/spec/template/spec";
    let logs = json!({"path": "/var/log/web", "type": ""});
    let mut deployment = with_volume(owner("apps/v1", "Deployment", "web", &containers, None), template, &logs);
    deployment["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
    let excepted = enforced(&["host-paths"], &[exception("web", "host-paths", &of("Deployment"))]);
    let old = configured(
        "policies: {host-paths: {mode: enforce}}\nexisting: {admit: true, createdBefore: 2024-01-01T00:00:00Z}\n",
    );
    for (source, is_same) in [
        (logs.clone(), true),
        (json!({"path": "/var/log/web"}), true),
        (json!({"path": "/"}), false),
        (json!({"path": "/var/log/web", "type": "Directory"}), false),
    ] {
        let set = owner("apps/v1", "ReplicaSet", "web-5d", &containers, Some(&deployment));
        let set = with_volume(set, template, &source);
        let made = owned(with_volume(pod("web-5d-x", &containers), "/spec", &source), &set);
        let world = Stored::of(&[&set, &deployment]);
        for snapshot in [&excepted, &old] {
            let decision = created(snapshot, &made, &controller("replicaset-controller"), &world);
            assert_eq!(decision.allowed, is_same, "{source}: {:?}", decision.findings);
        }
    }
}
