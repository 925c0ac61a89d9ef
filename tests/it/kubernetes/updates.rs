//! A write is not refused for anything that it left unchanged: objects that were stored before Portcullis came can
//! still be worked with, and do not get worse.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::Answer;
use super::eventually;
use super::objects::{Flaw, broken_pod, broken_spec, container, holder};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

/// Admitted, with a warning that says that it was so before.
#[track_caller]
fn tolerated(answer: Answer) -> Value {
    assert!(answer.warns("unpinned-images: "), "{answer:#?}");
    answer.admitted()
}

#[test]
fn an_old_pod_can_be_worked_with_and_gets_no_worse() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-old-pods");
    let mut old = broken_pod("old");
    old["metadata"]["finalizers"] = json!(["example.com/wait"]);
    space.create("pods", &old).admitted();
    let portcullis = Portcullis::hardened(plane, &space);

    tolerated(space.patch("pods", "old", &json!({"metadata": {"labels": {"team": "shop"}}})));
    tolerated(space.patch("pods", "old", &json!({"metadata": {"annotations": {"example.com/seen": "yes"}}})));
    let event = portcullis.decision("Pod", "old");
    assert_eq!((&event["decision"], &event["findings"][0]["inherited"]), (&"warn".into(), &true.into()));
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    space.patch("pods", "old/status", &status).admitted();

    let image = |image: &str| json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    let answer = space.patch("pods", "old", &image("nginx:1.28.0"));
    assert!(answer.refused().starts_with("unpinned-images: spec.containers[0].image "), "{answer:#?}");
    let pinned = container("web")["image"].as_str().expect("an image").to_owned();
    let answer = space.patch("pods", "old", &image(&pinned));
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
    let back = space.patch("pods", "old", &image("nginx:1.27.3"));
    back.refused();

    space.delete("pods", "old").admitted();
    space.get("pods", "old").admitted();
    space.patch("pods", "old", &json!({"metadata": {"finalizers": null}})).admitted();
    assert_eq!(space.get("pods", "old").code, 404, "its last finalizer went");
}

#[test]
fn an_old_violator_that_is_being_deleted_can_lose_its_finalizer() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-finalizers");
    let mut pod = broken_pod("old");
    pod["metadata"]["finalizers"] = json!(["example.com/wait"]);
    space.create("pods", &pod).admitted();
    let mut deployment = holder("Deployment", "old", broken_spec());
    deployment["metadata"]["finalizers"] = json!(["example.com/wait"]);
    space.create("deployments", &deployment).admitted();
    let _portcullis = Portcullis::hardened(plane, &space);
    for resource in ["pods", "deployments"] {
        space.delete(resource, "old").admitted();
        tolerated(space.patch(resource, "old", &json!({"metadata": {"finalizers": null}})));
        assert_eq!(space.get(resource, "old").code, 404);
    }
}

#[test]
fn an_old_deployment_can_be_worked_with() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-old-deployments");
    space.create("deployments", &holder("Deployment", "old", broken_spec())).admitted();
    let _portcullis = Portcullis::hardened(plane, &space);

    tolerated(space.patch("deployments", "old", &json!({"metadata": {"labels": {"team": "shop"}}})));
    tolerated(space.patch("deployments", "old", &json!({"metadata": {"annotations": {"example.com/seen": "yes"}}})));
    tolerated(space.patch("deployments", "old", &json!({"spec": {"replicas": 1}})));
    space.patch("deployments", "old/scale", &json!({"spec": {"replicas": 2}})).admitted();
    space.patch("deployments", "old/status", &json!({"status": {"observedGeneration": 1}})).admitted();
    assert_eq!(space.get("deployments", "old").admitted()["spec"]["replicas"], 2);
}

#[test]
fn a_changed_template_is_judged_whole() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-templates");
    space.create("deployments", &holder("Deployment", "old", broken_spec())).admitted();
    space.create("cronjobs", &holder("CronJob", "old", broken_spec())).admitted();
    let portcullis = Portcullis::hardened(plane, &space);

    // A label that no policy looks at: its Pods will be new ones all the same.
    let template = json!({"template": {"metadata": {"labels": {"team": "shop"}}}});
    let answer = space.patch("deployments", "old", &json!({"spec": template}));
    assert!(answer.refused().starts_with("unpinned-images: spec.template.spec.containers[0].image "), "{answer:#?}");
    assert_eq!(portcullis.decision("Deployment", "old")["findings"][0]["inherited"], false);
    let answer = space.patch("cronjobs", "old", &json!({"spec": {"jobTemplate": {"spec": template}}}));
    let place = "unpinned-images: spec.jobTemplate.spec.template.spec.containers[0].image ";
    assert!(answer.refused().starts_with(place), "{answer:#?}");

    let mut second = container("second");
    second["image"] = "nginx".into();
    let change = json!({"spec": {"template": {"spec": {"containers": [second]}}}});
    assert_eq!(space.patch("deployments", "old", &change).refused().lines().count(), 2);

    let mended = json!({"spec": {"template": {"spec": {"containers": [container("web")]}}}});
    let answer = space.patch("deployments", "old", &mended);
    assert_eq!(answer.warnings, [] as [&str; 0]);
    answer.admitted();
}

#[test]
fn strict_updates_excuse_nothing() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-strict");
    let mut old = broken_pod("old");
    Flaw::of("writable-root-filesystems").make(&mut old["spec"]);
    space.create("pods", &old).admitted();
    let strict = "profile: hardened\npolicies:\n  unpinned-images: {mode: enforce, updates: strict}\n";
    let _portcullis = Portcullis::guard(plane, &[&space], strict, &[]);
    let answer = space.patch("pods", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    let message = answer.refused();
    assert!(message.starts_with("unpinned-images: "), "{message}");
    assert_eq!(message.lines().count(), 1, "the other policy is lenient: {message}");
}

#[test]
fn strict_updates_let_an_old_violator_go() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-strict-ends");
    for (resource, mut old) in
        [("pods", broken_pod("old")), ("deployments", holder("Deployment", "old", broken_spec()))]
    {
        old["metadata"]["finalizers"] = json!(["example.com/wait"]);
        space.create(resource, &old).admitted();
    }
    let mut owner = holder("Deployment", "owner", broken_spec());
    owner["spec"]["replicas"] = 1.into();
    space.create("deployments", &owner).admitted();
    let pods = || space.list("pods").into_iter().filter(|pod| pod["metadata"]["ownerReferences"].is_array()).count();
    eventually("the Deployment has its Pod", || (pods() > 0).then_some(()));

    let strict = "profile: hardened\npolicies:\n  unpinned-images: {mode: enforce, updates: strict}\n";
    let _portcullis = Portcullis::guard(plane, &[&space], strict, &[]);
    for resource in ["pods", "deployments"] {
        let freed = json!({"metadata": {"finalizers": null}});
        assert!(space.patch(resource, "old", &freed).refused().contains("unpinned-images: "), "{resource} stays");
        space.delete(resource, "old").admitted();
        let relabelled = json!({"metadata": {"finalizers": null, "labels": {"team": "shop"}}});
        assert!(
            space.patch(resource, "old", &relabelled).refused().contains("unpinned-images: "),
            "{resource} changes"
        );
        tolerated(space.patch(resource, "old", &freed));
        assert_eq!(space.get(resource, "old").code, 404);
    }
    // The garbage collector takes its own finalizer away once the ReplicaSet and its Pods are gone.
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/owner", space.name);
    let foreground = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"});
    plane.admin.call(Method::DELETE, &path, Some(&foreground)).admitted();
    eventually("the Deployment is gone", || (space.get("deployments", "owner").code == 404).then_some(()));
    assert_eq!(pods(), 0, "its Pods went first");
}
