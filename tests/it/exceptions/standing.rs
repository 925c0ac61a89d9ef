//! The standing of exceptions in a server that runs: metrics, `/readyz?verbose`, the daily record, and the log.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::served::{POLICIES, ask, soon};
use crate::serve::{Serve, Server, run, until, verify};

const DAY: i64 = 24 * 3_600;

/// An exception for the Pods of this name, from unpinned images and root users.
fn entry(name: &str, pod: &str, end: Timestamp) -> String {
    format!(
        "- {{name: {name}, policies: [unpinned-images, root-users], match: {{namespace: default, kind: Pod, name: {pod}}}, \
         expires: {end}, reason: r, owner: o}}\n"
    )
}

fn configuration(entries: &[String]) -> String {
    format!("{POLICIES}exceptions:\n{}", entries.concat())
}

/// The line of `/readyz?verbose`. The server is ready, whatever it says.
fn line(server: &Server) -> String {
    let (status, text) = server.get("/readyz?verbose");
    assert_eq!(status, 200, "{text}");
    text.lines().find(|line| line.contains("]exceptions")).expect("a line").to_owned()
}

/// The samples of metrics of exceptions.
fn samples(server: &Server) -> Vec<String> {
    let text = server.get("/metrics").1;
    text.lines().filter(|line| line.starts_with("portcullis_exception")).map(str::to_owned).collect()
}

#[test]
fn metrics_and_readiness_tell_what_became_of_each() {
    let (far, near, past) = (soon(100 * DAY), soon(13 * DAY), soon(-60));
    let entries = [
        entry("a-used", "web", far),
        entry("b-other", "api", near),
        entry("c-past", "web", past),
        // Clean: the Pod has no such ports.
        "- {name: d-clean, policies: [host-ports], match: {namespace: default, kind: Pod, name: web}, ".to_owned()
            + &format!("expires: {far}, reason: r, owner: o}}\n"),
    ];
    let config = configuration(&entries).replace("root-users: {", "host-ports: {mode: enforce}\n  root-users: {");
    let server = Serve::new(&config).start();
    assert_eq!(
        line(&server),
        format!(
            "[!]exceptions: 3 in force; 1 lapsing: b-other until {near}; 1 lapsed: c-past until {past}; 3 unused: a-used, b-other, d-clean"
        )
    );
    for uid in ["one", "two"] {
        assert_eq!(ask(&server, uid)["auditAnnotations"]["decision"], "exempt");
    }
    let expected = format!(
        "portcullis_exception_expiry_timestamp_seconds{{exception=\"a-used\"}} {far}
portcullis_exception_expiry_timestamp_seconds{{exception=\"b-other\"}} {near}
portcullis_exception_expiry_timestamp_seconds{{exception=\"c-past\"}} {past}
portcullis_exception_expiry_timestamp_seconds{{exception=\"d-clean\"}} {far}
portcullis_exception_uses_total{{exception=\"a-used\"}} 2
portcullis_exception_uses_total{{exception=\"b-other\"}} 0
portcullis_exception_uses_total{{exception=\"c-past\"}} 0
portcullis_exception_uses_total{{exception=\"d-clean\"}} 0
portcullis_exceptions{{state=\"active\"}} 2
portcullis_exceptions{{state=\"lapsed\"}} 1
portcullis_exceptions{{state=\"lapsing\"}} 1
portcullis_exceptions_in_force{{need=\"needed\"}} 1
portcullis_exceptions_in_force{{need=\"not-needed\"}} 1
portcullis_exceptions_in_force{{need=\"unused\"}} 1",
        far = far.as_second(),
        near = near.as_second(),
        past = past.as_second()
    );
    // Computed anew at each scrape.
    for _ in 0..2 {
        assert_eq!(samples(&server).join("\n"), expected);
    }
    assert!(line(&server).ends_with("; 1 not needed: d-clean; 1 unused: b-other"), "{}", line(&server));

    // A reload keeps what it leaves, and starts anew with what it changes.
    let reloads = |count: f64| {
        let taken = "portcullis_configuration_reloads_total{result=\"taken\"}";
        until("a reload", || (server.metric(taken) == Some(count)).then_some(()));
    };
    let kept = configuration(&[entry("a-used", "web", near), entry("new", "api", far)]);
    fs::write(server.path("config.yaml"), kept.replace("reason: r", "reason: another")).expect("written");
    reloads(1.0);
    let uses = |name: &str| server.metric(&format!("portcullis_exception_uses_total{{exception=\"{name}\"}}"));
    assert_eq!((uses("a-used"), uses("new"), uses("b-other")), (Some(2.0), Some(0.0), None));
    fs::write(server.path("config.yaml"), configuration(&[entry("a-used", "other", far)])).expect("written");
    reloads(2.0);
    assert_eq!((uses("a-used"), uses("new")), (Some(0.0), None));
    assert_eq!(line(&server), "[+]exceptions 1 in force; 1 unused: a-used");
    fs::write(server.path("config.yaml"), POLICIES).expect("written");
    reloads(3.0);
    assert_eq!(line(&server), "[+]exceptions none are configured");
}

/// The records of exceptions so far.
fn records(server: &Server) -> Vec<Value> {
    server.events().into_iter().filter(|event| event["record"] == "exceptions").collect()
}

#[test]
fn a_record_names_each_exception_and_one_that_ends_is_told_once() {
    let (far, near, end) = (soon(100 * DAY), soon(13 * DAY), soon(4));
    let entries = [entry("a-used", "web", far), entry("b-near", "api", near), entry("c-ending", "api", end)];
    let server = Serve::new(&configuration(&entries)).args(["--record-exceptions-every", "1"]).start();
    assert_eq!(ask(&server, "one")["allowed"], true);
    // At the time of this record the one is used, and the other has ended.
    let record = until("the record", || {
        records(&server).into_iter().find(|record| {
            let row = |name: &str| record["exceptions"].as_array()?.iter().find(|row| row["name"] == name);
            row("a-used").is_some_and(|row| row["uses"] == 1)
                && row("c-ending").is_some_and(|row| row["state"] == "lapsed")
        })
    });
    let rows = record["exceptions"].as_array().expect("a list");
    let told: Vec<Value> =
        rows.iter().map(|row| json!([row["name"], row["state"], row["need"], row["uses"], row["expires"]])).collect();
    let printed = |time: Timestamp| format!("{}.000000Z", time.to_string().trim_end_matches('Z'));
    assert_eq!(
        json!(told),
        json!([
            ["c-ending", "lapsed", "unused", 0, printed(end)],
            ["b-near", "lapsing", "unused", 0, printed(near)],
            ["a-used", "active", "needed", 1, printed(far)],
        ])
    );
    let time = |value: &Value| value.as_str().expect("text").parse::<Timestamp>().expect("RFC 3339");
    assert!(rows.iter().all(|row| time(&row["since"]) <= time(&record["time"])), "{record}");
    assert!(record.get("exceptionsOmitted").is_none() && record["configuration"].is_string(), "{record}");
    // Another look at the ends is over when another record comes.
    let seen = records(&server).len();
    until("two more", || (records(&server).len() >= seen + 2).then_some(()));
    let warnings = server
        .logs()
        .into_iter()
        .filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with("an exception has ended")));
    let warnings: Vec<Value> =
        warnings.map(|line| json!([line["level"], line["exception"], line["expires"]])).collect();
    assert_eq!(json!(warnings), json!([["WARN", "c-ending", end.to_string()]]));

    let (status, stdout, stderr, folder, _) = server.stop();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let file = folder.path().join("trail.jsonl");
    fs::write(&file, stdout).expect("written");
    let (code, said) = verify(&file);
    assert_eq!(code, Some(0), "{said}");
    let (code, rows, stderr) = run(&["trail", "query", file.to_str().expect("UTF-8")], "");
    assert!(code == Some(0) && rows.contains(" exceptions ("), "{rows}{stderr}");
}
