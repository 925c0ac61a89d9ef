//! Break-glass with a real API server: a member's own object is admitted, and nothing that a controller makes of it.

use serde_json::{Value, json};

use super::eventually;
use super::objects::{broken_pod, broken_spec, holder};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const CONFIGURATION: &str = "profile: hardened\nbreakGlass: {groups: [\"system:masters\"]}\n";

/// An object with a reason on it.
fn reasoned(mut object: Value) -> Value {
    object["metadata"]["annotations"] = json!({"portcullis.dev/reason": "INC-7: the registry is down"});
    object
}

#[test]
fn a_member_admits_one_object_and_nothing_that_a_controller_makes_of_it() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-break-glass");
    // Everything in the namespace is permitted to jane, who is in no such group.
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "developers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}]});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", space.name);
    plane.admin.call(axum::http::Method::POST, &path, Some(&binding)).admitted();
    let portcullis = Portcullis::guard(plane, &[&space], CONFIGURATION, &[]);

    let jane = space.seen_by(plane.user("jane", "developers"));
    // The API server learns of her rights a moment later.
    let answer = eventually("jane is judged", || {
        let answer = jane.create("pods", &reasoned(broken_pod("janes")));
        (answer.is_success() || answer.message().starts_with("admission webhook")).then_some(answer)
    });
    answer.refused();
    space.create("pods", &broken_pod("without")).refused();
    let answer = space.create("pods", &reasoned(broken_pod("with")));
    assert!(answer.warns("exempt by break-glass (group \"system:masters\"): unpinned-images: "), "{answer:#?}");
    answer.admitted();
    let record = portcullis.decision("Pod", "with");
    let expected = json!({"name": "break-glass", "source": "break-glass", "policy": "unpinned-images",
        "group": "system:masters", "reason": "INC-7: the registry is down"});
    assert_eq!((&record["decision"], &record["exception"]), (&"exempt".into(), &expected), "{record:#}");
    assert_eq!(portcullis.metric("portcullis_break_glass_total"), Some(1.0));

    let mut deployment = reasoned(holder("Deployment", "web", broken_spec()));
    deployment["spec"]["replicas"] = 1.into();
    space.create("deployments", &deployment).admitted();
    let made = eventually("its Pod is refused", || {
        portcullis.records().into_iter().find(|record| {
            record["kind"]["kind"] == "Pod" && record["name"].as_str().is_some_and(|name| name.starts_with("web-"))
        })
    });
    assert_eq!((&made["decision"], &made["exception"]), (&"deny".into(), &Value::Null), "{made:#}");
}
