//! The Pod Security labels of namespaces, as a cluster has them. Kubernetes' own admission reads them too, and refuses
//! Pods before any webhook is asked: what Portcullis refuses is seen in templates, which it only warns of, and what
//! Portcullis says of Pods in labels that warn.

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{TEMPLATES, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

/// Namespaces that are made a moment before what goes into them.
const TRIES: usize = 20;
const TIGHTEN: &str = "podSecurityLabels: tighten\n";
const RULED: &str = "host-namespaces: spec.template.spec.hostPID must not be true, as the namespace's labels ask \
                     (enforce=baseline:latest)";

fn host() -> Value {
    let mut spec = spec();
    spec["hostPID"] = true.into();
    spec
}

fn labels(labels: &[(&str, Value)]) -> Value {
    let labels = labels.iter().map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), value.clone()));
    json!({"metadata": {"labels": labels.collect::<Value>()}})
}

/// Sets labels of a namespace; `null` takes one away.
fn label(plane: &Plane, space: &Space, written: &[(&str, Value)]) {
    let path = format!("/api/v1/namespaces/{}", space.name);
    plane.admin.call(Method::PATCH, &path, Some(&labels(written))).admitted();
}

fn deployment(name: &str) -> Value {
    holder("Deployment", name, host())
}

#[test]
fn a_label_counts_from_when_it_is_set_until_it_is_removed() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-labelled-later");
    let portcullis = Portcullis::guard(plane, &[&space], TIGHTEN, &[]);
    space.create("deployments", &deployment("before")).admitted();
    assert_eq!(portcullis.decision("Deployment", "before")["decision"], "allow");

    label(plane, &space, &[("enforce", "baseline".into())]);
    let refused = eventually("the label is heard of", || {
        let answer = space.create_dry("deployments", &deployment("web"));
        (!answer.is_success()).then_some(answer)
    });
    assert!(refused.refused().starts_with(RULED), "{refused:#?}");
    for (kind, resource, path) in TEMPLATES {
        let answer = space.create(resource, &holder(kind, "web", host()));
        assert!(answer.refused().contains(&format!("host-namespaces: {path}spec.hostPID must not be true")), "{kind}");
    }
    space.create("deployments", &holder("Deployment", "good", spec())).admitted();
    // What was there before can be scaled, and take a label.
    space.patch("deployments", "before", &json!({"spec": {"replicas": 1}})).admitted();
    let answer = space.patch("deployments", "before", &json!({"metadata": {"labels": {"team": "pay"}}}));
    assert!(answer.warns("host-namespaces: "), "{answer:#?}");
    answer.admitted();

    label(plane, &space, &[("enforce", Value::Null)]);
    eventually("the label is gone", || space.create_dry("deployments", &deployment("web")).is_success().then_some(()));
    space.create("deployments", &deployment("after")).admitted();
    assert_eq!(portcullis.decision("Deployment", "after")["decision"], "allow");
}

#[test]
fn a_namespace_that_was_made_a_moment_ago_has_its_labels() {
    let plane = Plane::shared();
    let probed = Space::new(plane, "it-labels-probed");
    let spaces: Vec<Space> =
        (0..TRIES).map(|number| Space::named(&plane.admin, &format!("it-labels-new-{number}"))).collect();
    let guarded: Vec<&Space> = std::iter::once(&probed).chain(&spaces).collect();
    let portcullis = Portcullis::guard(plane, &guarded, TIGHTEN, &[]);
    for space in &spaces {
        let mut namespace = labels(&[("enforce", "baseline".into()), ("warn", "restricted".into())]);
        (namespace["apiVersion"], namespace["kind"]) = ("v1".into(), "Namespace".into());
        namespace["metadata"]["name"] = space.name.as_str().into();
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
        let answer = space.create("deployments", &deployment("web"));
        assert!(answer.refused().starts_with(RULED), "{answer:#?}");
        space.create("deployments", &holder("Deployment", "good", spec())).admitted();
    }
    // A Pod, which needs an account of its own.
    let space = &spaces[0];
    let made = space.create("serviceaccounts", &account("web", None));
    assert!(made.is_success(), "{made:#?}");
    let mut root = spec();
    root["securityContext"]["runAsNonRoot"] = false.into();
    let answer = space.create("pods", &pod("root", root));
    let said = "root-users: spec.securityContext.runAsNonRoot must not be false, as the namespace's labels ask \
                (warn=restricted:latest)";
    assert!(answer.warns(said), "{answer:#?}");
    answer.admitted();
    let event = portcullis.decision("Pod", "root");
    assert_eq!((&event["decision"], &event["findings"][0]["mode"]), (&"warn".into(), &"warn".into()));
}

#[test]
fn under_the_ceiling_audit_they_are_recorded_and_hold_nobody_up() {
    let plane = Plane::shared();
    let (watched, raised) = (Space::new(plane, "it-labels-watched"), Space::new(plane, "it-labels-raised"));
    for space in [&watched, &raised] {
        label(plane, space, &[("enforce", "baseline".into())]);
    }
    let configuration =
        format!("{TIGHTEN}ceiling: audit\nnamespaces: [{{match: {{names: [it-labels-raised]}}, ceiling: enforce}}]\n");
    let portcullis = Portcullis::guard(plane, &[&watched, &raised], &configuration, &[]);
    watched.create("deployments", &deployment("web")).admitted();
    let event = portcullis.decision("Deployment", "web");
    assert_eq!(event["decision"], "would-deny");
    let finding = &event["findings"][0];
    assert_eq!((&finding["policy"], &finding["mode"]), (&"host-namespaces".into(), &"audit".into()));
    assert_eq!(finding["configured"], "enforce", "what the ceiling lowered");
    assert!(raised.create("deployments", &deployment("web")).refused().starts_with(RULED));
}
