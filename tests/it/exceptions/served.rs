//! Exceptions of a server that runs: its answers, records, metrics and reloads.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::serve::{Serve, Server, bad_pod, review, until};

pub(super) const POLICIES: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies:\n  \
                        unpinned-images: {mode: enforce}\n  root-users: {mode: enforce}\n";

/// This time from now, to the second.
pub(super) fn soon(seconds: i64) -> Timestamp {
    let end = Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).expect("a time");
    Timestamp::from_second(end.as_second()).expect("a time")
}

fn exception(policies: &str, end: Timestamp) -> String {
    format!(
        "exceptions:\n- {{name: moving, policies: [{policies}], match: {{namespace: default, kind: Pod, name: web}}, \
         expires: {end}, reason: r, owner: o}}\n"
    )
}

pub(super) fn ask(server: &Server, uid: &str) -> Value {
    server.post("/validate", review(uid, "default", &bad_pod()).to_string()).response()
}

#[test]
fn the_record_the_answer_and_the_metrics_say_exempt() {
    let end = soon(3_600);
    let server = Serve::new(&format!("{POLICIES}{}", exception("unpinned-images, root-users", end))).start();
    let answer = ask(&server, "one");
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["auditAnnotations"]["decision"], "exempt");
    let warning = answer["warnings"][0].as_str().expect("a warning");
    assert!(
        warning.starts_with(&format!("exempt by exception \"moving\" until {end}: unpinned-images: ")),
        "{warning}"
    );
    let event = server.event("one");
    assert_eq!((&event["decision"], &event["allowed"]), (&json!("exempt"), &json!(true)));
    let exception = |policy: &str| json!({"name": "moving", "source": "configuration", "policy": policy});
    assert_eq!(event["exception"], exception("unpinned-images"));
    let findings = event["findings"].as_array().expect("a list");
    assert!(findings.len() >= 2);
    for finding in findings {
        assert_eq!(finding["exception"], exception(finding["policy"].as_str().expect("an id")));
        assert_eq!(finding["mode"], "enforce");
    }
    let line = server.stdout();
    let line = line.lines().find(|line| line.contains("\"uid\":\"one\"")).expect("a record").to_owned();
    assert!(
        line.find("\"findings\":") < line.find("],\"exception\":{")
            && line.find("],\"exception\":{") < line.find(",\"patch\":"),
        "{line}"
    );
    let name = "portcullis_decisions_total{endpoint=\"validate\",operation=\"CREATE\",decision=\"exempt\"}";
    let metrics = server.get("/metrics").1;
    assert!(metrics.lines().any(|line| line.contains("exempt") && line.ends_with(" 1")), "{name}\n{metrics}");
}

#[test]
fn an_exception_ends_while_the_server_runs_at_its_second() {
    let end = soon(4);
    let server = Serve::new(&format!("{POLICIES}{}", exception("unpinned-images, root-users", end))).start();
    let mut asked = 0;
    until("a refusal", || {
        asked += 1;
        (ask(&server, &format!("uid-{asked}"))["allowed"] == false).then_some(())
    });
    assert!(asked > 1, "it was over before it began");
    for number in 1..=asked {
        let event = server.event(&format!("uid-{number}"));
        let received: Timestamp = event["time"].as_str().expect("a time").parse().expect("RFC 3339");
        assert_eq!(event["decision"], if received < end { "exempt" } else { "deny" }, "{received} {end}");
    }
}

#[test]
fn a_reload_records_each_policy_that_an_exception_takes_from() {
    let server = Serve::new(POLICIES).start();
    let end = soon(3_600);
    assert_eq!(ask(&server, "one")["allowed"], false);
    let config = format!("{POLICIES}{}", exception("unpinned-images, root-users", end));
    fs::write(server.path("config.yaml"), &config).expect("written");
    let record = |count: usize| {
        until("a reload", || server.events().into_iter().filter(|event| event["record"] == "configuration").nth(count))
    };
    let row = |policy: &str| {
        json!({"policy": policy, "namespace": "default", "change": "exception", "from": "",
            "to": format!("exception \"moving\" until {end}")})
    };
    assert_eq!(record(0)["weaker"], json!([row("unpinned-images"), row("root-users")]));
    assert_eq!(ask(&server, "two")["allowed"], true);
    // One that is over is told in the log.
    fs::write(server.path("config.yaml"), config.replace(&end.to_string(), "2020-01-01T00:00:00Z")).expect("written");
    record(1);
    assert_eq!(ask(&server, "three")["allowed"], false);
    assert!(server.stderr().contains("exceptions[0].expires: is in the past"), "{}", server.stderr());
}
