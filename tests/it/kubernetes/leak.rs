//! A secret in a URL, and who sees it once Portcullis is dead: what the README says of `--path-token-file` is so.

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::broken_pod;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const TOKEN: &str = "leaked-token-0123456789abcdef0123456789";
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

#[test]
fn a_dead_webhook_shows_the_token_in_its_path_to_whoever_creates_a_pod() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-leak");
    let mut portcullis = Portcullis::hardened(plane, &space);
    // Somebody who may create Pods in this namespace, and read no webhook configuration.
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", space.name);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "creator"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "creator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "creator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]});
    plane.admin.call(Method::POST, &format!("{path}/roles"), Some(&role)).admitted();
    plane.admin.call(Method::POST, &format!("{path}/rolebindings"), Some(&binding)).admitted();
    let mallory = Space::named(&plane.user("mallory", "developers"), &space.name);
    eventually("mallory may create Pods", || {
        mallory.create_dry("pods", &broken_pod("web")).message().contains("denied the request").then_some(())
    });
    let read = plane.user("mallory", "developers").call(Method::GET, &format!("{REGISTRATION}/{}", space.name), None);
    assert_eq!(read.code, 403, "who may read them is another matter");

    let registered = plane.admin.call(Method::GET, &format!("{REGISTRATION}/{}", space.name), None).admitted();
    let names = registered["webhooks"].as_array().expect("webhooks").iter().map(|webhook| {
        let url = webhook["clientConfig"]["url"].as_str().expect("a URL");
        json!({"name": webhook["name"], "clientConfig": {"url": format!("{url}/{TOKEN}")}})
    });
    let patch = json!({"webhooks": names.collect::<Vec<Value>>()});
    plane.admin.call(Method::PATCH, &format!("{REGISTRATION}/{}", space.name), Some(&patch)).admitted();
    portcullis.kill();

    let said = eventually("the token is shown", || {
        let answer = mallory.create("pods", &broken_pod("web"));
        answer.message().contains(TOKEN).then(|| answer.message().to_owned())
    });
    assert!(
        said.contains("failed calling webhook \"enforce.portcullis.dev\"") && said.contains("Post \"https://"),
        "{said}"
    );
    assert!(said.contains(&format!("/validate/{TOKEN}?timeout=")), "{said}");
    // And so it stands in the audit log, where it stays.
    eventually("the audit log", || {
        std::fs::read_to_string(&plane.place.audit_log).expect("an audit log").contains(TOKEN).then_some(())
    });
}
