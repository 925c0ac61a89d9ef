//! Containers that come, and resources that change, by a subresource of a running Pod.

use serde_json::json;

use super::objects::{broken_pod, ephemeral_container, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

#[test]
fn an_ephemeral_container_is_judged() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-ephemeral");
    let portcullis = Portcullis::hardened(plane, &space);
    space.create("pods", &pod("web", spec())).admitted();

    let shell = json!({"spec": {"ephemeralContainers": [{"name": "shell", "image": "busybox"}]}});
    let answer = space.patch("pods", "web/ephemeralcontainers", &shell);
    let message = answer.refused();
    assert!(message.contains("unpinned-images: spec.ephemeralContainers[0].image must "), "{message}");
    assert!(message.contains("privilege-escalation: spec.ephemeralContainers[0].securityContext."), "{message}");
    let event = portcullis.decision("Pod", "web");
    assert_eq!((&event["decision"], &event["operation"]), (&"deny".into(), &"UPDATE".into()));
    assert_eq!(event["resource"]["subresource"], "ephemeralcontainers");

    let shell = json!({"spec": {"ephemeralContainers": [ephemeral_container("shell")]}});
    let answer = space.patch("pods", "web/ephemeralcontainers", &shell);
    assert_eq!(answer.warnings.len(), 1, "{answer:#?}");
    assert!(answer.warns("interactive-access: spec.ephemeralContainers[0].name must "), "{answer:#?}");
    answer.admitted();
    assert_eq!(portcullis.decision("Pod", "web")["decision"], "warn");
}

#[test]
fn a_second_violating_container_is_refused_where_the_first_is_inherited() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-ephemeral-old");
    space.create("pods", &broken_pod("old")).admitted();
    let _portcullis = Portcullis::hardened(plane, &space);

    // The very flaw of the container that is there.
    let mut second = ephemeral_container("shell");
    second["image"] = "nginx:1.27.3".into();
    let answer = space.patch("pods", "old/ephemeralcontainers", &json!({"spec": {"ephemeralContainers": [second]}}));
    let message = answer.refused();
    assert!(message.starts_with("unpinned-images: spec.ephemeralContainers[0].image "), "{message}");
    assert_eq!(message.lines().count(), 1, "what was there before does not refuse: {message}");
    assert!(answer.warns("unpinned-images: spec.containers[0].image"), "{answer:#?}");

    let good = json!({"spec": {"ephemeralContainers": [ephemeral_container("shell")]}});
    space.patch("pods", "old/ephemeralcontainers", &good).admitted();
}

#[test]
fn a_resize_is_judged() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-resize");
    space.create("pods", &broken_pod("old")).admitted();
    let portcullis = Portcullis::hardened(plane, &space);
    let resources = json!({"requests": {"cpu": "60m"}});
    let resize = json!({"spec": {"containers": [{"name": "web", "resources": resources}]}});
    let answer = space.patch("pods", "old/resize", &resize);
    assert!(answer.warns("unpinned-images: spec.containers[0].image"), "{answer:#?}");
    answer.admitted();
    let event = portcullis.decision("Pod", "old");
    assert_eq!(event["resource"]["subresource"], "resize");
    assert_eq!((&event["decision"], &event["findings"][0]["inherited"]), (&"warn".into(), &true.into()));
}
