//! Kinds that come with a CustomResourceDefinition, and that policies judge: the Gateway API's own definitions, and skeletons of
//! OpenShift's Route and of Istio's PeerAuthentication.

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

/// Serves the kinds, unless another test has done so.
pub(crate) fn serve(plane: &Plane) {
    let of_file = |kind: &&str| {
        let path = repository(&format!("../shared/crds/gateway-api-{kind}.yaml"));
        documents(&std::fs::read_to_string(&path).expect("a definition")).remove(0)
    };
    let gateway_api: Vec<Value> = FILES.iter().map(of_file).collect();
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
