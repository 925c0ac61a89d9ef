//! An exception that requires a policy whose findings another object may resolve: templates are admitted, and Pods decide.

use super::eventually;
use super::objects::{broken_pod, broken_spec};
use super::owners::{record, running};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, isolation};

#[test]
fn a_required_policy_that_depends_on_another_object_is_decided_on_the_pod() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-requires");
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    let exception = |kind: &str| {
        format!(
            "- {{name: for-{}, policies: [unpinned-images], match: {{namespace: {}, kind: {kind}, name: web}}, requires: \
             [unisolated-pods], expires: {tomorrow}, reason: it, owner: it}}\n",
            kind.to_lowercase(),
            space.name
        )
    };
    let configuration = format!(
        "profile: hardened\npolicies: {{unisolated-pods: {{mode: warn}}}}\nexceptions:\n{}{}",
        exception("Deployment"),
        exception("Pod")
    );
    let portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
    let answer = space.create("deployments", &running("Deployment", "web", broken_spec()));
    assert!(answer.warns("exempt by exception \"for-deployment\" until "), "{answer:#?}");
    assert!(answer.warns("unisolated-pods: spec.template.metadata.labels must be selected"), "{answer:#?}");
    answer.admitted();
    // Nothing isolates the Pods yet: the exception counts neither for the Deployment's nor for a user's.
    let made = eventually("its Pod", || record(&portcullis, "web-", |one| one["operation"] == "CREATE"));
    assert_eq!(made["decision"], "deny", "{made:#}");
    let answer = space.create("pods", &broken_pod("web"));
    assert!(answer.refused().starts_with("unpinned-images: "), "{answer:#?}");

    space.create("networkpolicies", &isolation("all", serde_json::json!({}))).admitted();
    let answer = space.create("pods", &broken_pod("web"));
    assert!(answer.warns("exempt by exception \"for-pod\" until "), "{answer:#?}");
    answer.admitted();
    let made = eventually("its next Pod", || record(&portcullis, "web-", |one| one["allowed"] == true));
    assert_eq!(
        (&made["decision"], &made["exception"]["name"]),
        (&"exempt".into(), &"for-deployment".into()),
        "{made:#}"
    );
}
