//! A kind that comes after the server is judged, under the plural that was guessed.

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::spec;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

pub(crate) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP: &str = "agents.example.com";

/// A kind that takes every field.
pub(crate) fn crd(group: &str, kind: &str, plural: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

#[test]
fn a_kind_that_comes_later_is_judged_under_the_plural_that_was_guessed() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-discovery");
    let rows = format!("workloads: [{{group: {GROUP}, kind: Sandbox, path: /spec/podTemplate}}]\n");
    let portcullis = Portcullis::guard(plane, &[&space], &format!("profile: hardened\n{rows}"), &[]);
    eventually("it is missed", || {
        let shown = portcullis.admin("/readyz?verbose").contains("[!]workloads: agents.example.com Sandbox: ");
        (shown && portcullis.metric("portcullis_workloads_missing") == Some(1.0)).then_some(())
    });
    plane.admin.call(Method::POST, CRDS, Some(&crd(GROUP, "Sandbox", "sandboxes"))).admitted();
    eventually("it is served", || {
        let shown = portcullis.admin("/readyz?verbose").contains("[+]workloads ");
        (shown && portcullis.metric("portcullis_workloads_missing") == Some(0.0)).then_some(())
    });
    let path = format!("/apis/{GROUP}/v1/namespaces/{}/sandboxes", space.name);
    let sandbox = |privileged: bool| {
        let mut pod = spec();
        if privileged {
            pod["containers"][0]["securityContext"]["privileged"] = json!(true);
        }
        json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Sandbox", "metadata": {"name": "a"},
            "spec": {"podTemplate": {"spec": pod}}})
    };
    let refused = plane.admin.call(Method::POST, &path, Some(&sandbox(true)));
    assert!(
        refused.refused().contains("spec.podTemplate.spec.containers[0].securityContext.privileged"),
        "{refused:#?}"
    );
    plane.admin.call(Method::POST, &path, Some(&sandbox(false))).admitted();
    plane.admin.call(Method::DELETE, &format!("{CRDS}/sandboxes.{GROUP}"), None).admitted();
}
