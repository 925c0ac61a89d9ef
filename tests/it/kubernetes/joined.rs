//! The API server's own audit log and our trail, joined: each request that it logged with our annotations has its one
//! decision here, and the other way round.

use std::path::Path;

use serde_json::Value;

use super::eventually;
use super::objects::{broken_pod, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const PREFIX: &str = "enforce.portcullis.dev/";

/// The completed requests that created Pods there, as the API server logged them.
fn logged(file: &Path, namespace: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("there is an audit log");
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole.lines().filter(|line| line.contains(namespace));
    let events = events.map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let is_ours = |event: &Value| {
        event["verb"] == "create"
            && event["objectRef"]["resource"] == "pods"
            && event["objectRef"]["namespace"] == namespace
            && event["annotations"].get(format!("{PREFIX}decision")).is_some()
    };
    events.filter(is_ours).collect()
}

/// True if the API server's event and ours are about the same request: they agree on user, namespace, answer and
/// configuration, and our time lies within its own. A user's requests that overlap in time and get the same answer
/// cannot be told apart by that.
fn is_same(logged: &Value, ours: &Value) -> bool {
    let annotation = |name: &str| &logged["annotations"][format!("{PREFIX}{name}")];
    let policies: Vec<&str> =
        ours["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["policy"].as_str()).collect();
    let named = annotation("policies").as_str().unwrap_or_default();
    let time = |event: &Value, name: &str| event[name].as_str().expect("a time").to_owned();
    logged["user"]["username"] == ours["user"]["name"]
        && logged["objectRef"]["namespace"] == ours["namespace"]
        && *annotation("decision") == ours["decision"]
        && *annotation("configuration") == ours["configuration"]
        && named.split(',').filter(|name| !name.is_empty()).all(|name| policies.contains(&name))
        && named.is_empty() == policies.is_empty()
        // Both in UTC with microseconds.
        && time(logged, "requestReceivedTimestamp") <= time(ours, "time")
        && time(ours, "time") <= time(logged, "stageTimestamp")
}

#[test]
fn the_audit_log_of_the_api_server_and_the_trail_join_one_to_one() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-joined");
    let portcullis = Portcullis::hardened(plane, &space);
    let users = ["it-joined-alice", "it-joined-bob", "it-joined-carol"];
    std::thread::scope(|threads| {
        for user in users {
            let space = space.seen_by(plane.user(user, "system:masters"));
            threads.spawn(move || {
                for turn in 0..6 {
                    let name = format!("{user}-{turn}");
                    match turn % 3 {
                        0 => {
                            space.create("pods", &broken_pod(&name)).refused();
                        }
                        1 => {
                            space.create("pods", &pod(&name, spec())).admitted();
                        }
                        _ => {
                            space.create_dry("pods", &pod(&name, spec())).admitted();
                        }
                    }
                }
            });
        }
    });
    let requests = eventually("the API server logs every request", || {
        let events = logged(&plane.place.audit_log, &space.name);
        let events: Vec<Value> =
            events.into_iter().filter(|event| users.iter().any(|user| event["user"]["username"] == *user)).collect();
        (events.len() >= users.len() * 6).then_some(events)
    });
    assert_eq!(requests.len(), users.len() * 6);
    let decisions: Vec<Value> = portcullis
        .records()
        .into_iter()
        .filter(|event| event["endpoint"] == "validate" && users.iter().any(|user| event["user"]["name"] == *user))
        .collect();
    assert_eq!(decisions.len(), requests.len());
    for request in &requests {
        let same: Vec<&Value> = decisions.iter().filter(|ours| is_same(request, ours)).collect();
        assert_eq!(same.len(), 1, "{request:#}\n{same:#?}");
        let code = if same[0]["allowed"] == true { 201 } else { 403 };
        assert_eq!(request["responseStatus"]["code"], code);
        assert_eq!(request["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun")), same[0]["dryRun"] == true);
    }
    for ours in &decisions {
        assert_eq!(requests.iter().filter(|request| is_same(request, ours)).count(), 1, "{ours:#}");
    }
}
