//! The version of Kubernetes that the tests run against.

use axum::http::Method;

use super::plane::Plane;
use crate::golden::repository;

#[test]
fn the_api_server_has_the_version_that_is_asked_for() {
    let modules = std::fs::read_to_string(repository("tools/kubernetes/go.mod")).expect("its modules");
    let required = modules.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")).expect("Kubernetes");
    let newest = required.split(' ').next().expect("a version").to_owned();
    // `tools/kubernetes/test-oldest` names another one; so may somebody with programs of their own.
    let wanted = std::env::var("KUBERNETES_VERSION").unwrap_or(newest);
    let version = Plane::shared().admin.call(Method::GET, "/version", None).admitted();
    assert_eq!(version["gitVersion"], wanted);
}
