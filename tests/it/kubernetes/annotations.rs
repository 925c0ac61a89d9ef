//! Audit annotations of a decision in the API server's own audit log.

use serde_json::Value;

use super::eventually;
use super::objects::{broken_pod, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

#[test]
fn the_audit_log_of_the_api_server_carries_the_decision() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-annotations");
    let portcullis = Portcullis::hardened(plane, &space);
    space.create("pods", &broken_pod("bad")).refused();
    space.create("pods", &pod("good", spec())).admitted();
    let configuration = portcullis.decision("Pod", "bad")["configuration"].clone();

    // On a POST the API server's event names no object: the decisions are told apart by the status.
    let annotations = |code: u16| -> Value {
        eventually("the API server logs the request", || {
            let text = std::fs::read_to_string(&plane.place.audit_log).expect("there is an audit log");
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let events = whole.lines().filter(|line| line.contains("it-annotations"));
            let mut events = events.map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
            let is_it = |event: &Value| {
                event["requestURI"] == "/api/v1/namespaces/it-annotations/pods"
                    && event["responseStatus"]["code"] == code
            };
            events.find(is_it).map(|event| event["annotations"].clone())
        })
    };
    let refused = annotations(403);
    assert_eq!(refused["enforce.portcullis.dev/decision"], "deny");
    assert_eq!(refused["enforce.portcullis.dev/policies"], "unpinned-images");
    assert_eq!(refused["enforce.portcullis.dev/configuration"], configuration);
    let admitted = annotations(201);
    assert_eq!(admitted["enforce.portcullis.dev/decision"], "allow");
    assert_eq!(admitted["enforce.portcullis.dev/configuration"], configuration);
}
