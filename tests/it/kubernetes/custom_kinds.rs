//! Kinds that come with a CustomResourceDefinition, and that policies judge: the Gateway API's own definitions, and skeletons of
//! OpenShift's Route and of Istio's PeerAuthentication.

use std::collections::BTreeSet;

use axum::http::Method;
use portcullis::object::resource::Resource;
use serde_json::Value;

use super::discovery::{CRDS, crd};
use super::eventually;
use super::plane::Plane;
use crate::golden::repository;
use crate::judging::documents;

/// Definitions of the Gateway API.
const FILES: [&str; 3] = ["gateways", "httproutes", "grpcroutes"];

/// Fields of those kinds whose definitions are skeletons, as the documentation of their projects has them.
const FIELDS: [(&str, &[&str]); 2] = [
    ("Route", &["spec.host", "spec.path", "spec.tls.termination", "spec.tls.insecureEdgeTerminationPolicy"]),
    ("PeerAuthentication", &["spec.mtls.mode", "spec.portLevelMtls[*].mode"]),
];

fn gateway_api() -> Vec<Value> {
    let of_file = |kind: &&str| {
        let path = repository(&format!("../shared/crds/gateway-api-{kind}.yaml"));
        documents(&std::fs::read_to_string(&path).expect("a definition")).remove(0)
    };
    FILES.iter().map(of_file).collect()
}

/// The paths of the fields of a kind.
pub(crate) fn paths(kind: &str) -> BTreeSet<String> {
    if let Some((_, fields)) = FIELDS.iter().find(|(known, _)| *known == kind) {
        return fields.iter().map(|field| (*field).to_owned()).collect();
    }
    let definitions = gateway_api();
    let definition = definitions.iter().find(|definition| definition["spec"]["names"]["kind"] == kind).expect(kind);
    let versions = definition["spec"]["versions"].as_array().expect("versions");
    let version = versions.iter().find(|version| version["name"] == "v1").expect("v1");
    let mut paths = BTreeSet::new();
    walk(&version["schema"]["openAPIV3Schema"], "", &mut paths);
    paths
}

/// Adds every field of a schema. Those of definitions hold no references.
fn walk(schema: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            walk(&schema[key], &format!("{path}[*]"), paths);
        }
    }
    for (field, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        walk(value, &path, paths);
        paths.insert(path);
    }
}

/// Serves the kinds, unless another test has done so.
pub(crate) fn serve(plane: &Plane) {
    let gateway_api = gateway_api();
    let skeletons = [
        crd("route.openshift.io", "Route", "routes"),
        crd("security.istio.io", "PeerAuthentication", "peerauthentications"),
    ];
    for definition in gateway_api.iter().chain(&skeletons) {
        let answer = plane.admin.call(Method::POST, CRDS, Some(definition));
        assert!(answer.is_success() || answer.code == 409, "{answer:#?}");
    }
    for row in Resource::all().filter(|row| row.is_added()) {
        let path = format!("/apis/{}/v1/{}", row.group, row.resource);
        eventually("a kind that was added is served", || {
            plane.admin.call(Method::GET, &path, None).is_success().then_some(())
        });
    }
}
