//! A label by which an entry of `namespaces` matches, in a cluster that is audited.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::Answer;
use super::eventually;
use super::objects::{broken_pod, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const AUDITED: &str = "profile: hardened\nceiling: audit\n\
                       policies: {unlabelled-namespaces: {mode: enforce, settings: {enforce: privileged}}}\n\
                       namespaces: [{match: {labels: {example.com/tier: [pci, prod]}}, ceiling: enforce}]\n";

fn tier(plane: &Plane, space: &Space, value: &Value) -> Answer {
    let path = format!("/api/v1/namespaces/{}", space.name);
    let labels = json!({"metadata": {"labels": {"example.com/tier": value}}});
    plane.admin.call(Method::PATCH, &path, Some(&labels))
}

#[test]
fn a_label_makes_its_namespace_fail_closed_and_no_other() {
    let plane = Plane::shared();
    let (plain, raised) = (Space::new(plane, "it-raised-not"), Space::new(plane, "it-raised"));
    let mut portcullis = Portcullis::guard(plane, &[&plain, &raised], AUDITED, &[]);
    for space in [&plain, &raised] {
        space.create("pods", &broken_pod("before")).admitted();
    }
    assert_eq!(portcullis.decision("Pod", "before")["decision"], "would-deny");

    tier(plane, &raised, &"pci".into()).admitted();
    let answer = eventually("the label is heard of", || {
        let answer = raised.create_dry("pods", &broken_pod("web"));
        // Until the API server has heard of it too, it asks the webhook of other namespaces.
        answer.message().contains("raise-1.portcullis.dev").then_some(answer)
    });
    assert!(answer.refused().starts_with("unpinned-images: "), "{answer:#?}");
    raised.create("pods", &broken_pod("web")).refused();
    raised.create("pods", &pod("good", spec())).admitted();
    plain.create("pods", &broken_pod("web")).admitted();

    // The API server goes by the new labels: it asks the webhook that fails open, which is answered as the old ones say.
    for value in [Value::Null, "dev".into()] {
        let answer = tier(plane, &raised, &value);
        assert!(answer.message().contains("metadata.labels[example.com/tier] must stay \"pci\""), "{answer:#?}");
    }
    tier(plane, &raised, &"prod".into()).admitted();

    portcullis.kill();
    let answer = raised.create("pods", &pod("later", spec()));
    assert_eq!(answer.code, 500, "{answer:#?}");
    assert!(answer.message().contains("failed calling webhook \"raise-1.portcullis.dev\""), "{answer:#?}");
    plain.create("pods", &broken_pod("later")).admitted();
    let services =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    plain.create("services", &services).admitted();
}
