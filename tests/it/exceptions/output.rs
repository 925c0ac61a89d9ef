//! What `check` and `review` say of exceptions, by running the program.

use portcullis::cluster::NoCluster;
use portcullis::decision::{Endpoint, decide_at_once};
use portcullis::policy::catalogue::CATALOGUE;
use portcullis::review;
use portcullis::trail::{Caller, Chain, Event, Origin, RECORD, Redaction};
use serde_json::{Value, json};

use super::{NOW, container, create, enforced, exception, pod, time};
use crate::serve::run;
use crate::trail_bound::objects;
use crate::trail_spool::Random;

/// Writes a configuration with one exception from unpinned images in the namespace `shop`, and two Pods: one of which is all
/// excepted.
fn folder(expires: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect(name);
    write(
        "config.yaml",
        &format!(
            "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\npolicies:\n  unpinned-images: {{mode: enforce}}\n  \
             privileged-containers: {{mode: enforce}}\nexceptions:\n- name: old-images\n  policies: [unpinned-images]\n  \
             match: {{namespace: shop, kind: Pod}}\n  expires: {expires}\n  reason: moving\n  owner: team-shop\n"
        ),
    );
    write("excepted.json", &pod("web", &[container("web", "nginx")]).to_string());
    let bad = json!({"name": "web", "image": "nginx", "securityContext": {"privileged": true}});
    write("refused.json", &pod("web", &[bad]).to_string());
    folder
}

fn check(folder: &tempfile::TempDir, format: &str, file: &str) -> (Option<i32>, String, String) {
    let path = |name: &str| folder.path().join(name).display().to_string();
    run(&["check", "--config", &path("config.yaml"), "--format", format, &path(file)], "")
}

/// A day from now, to the second.
fn tomorrow() -> String {
    let end = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    jiff::Timestamp::from_second(end.as_second()).expect("a time").to_string()
}

#[test]
fn check_ends_with_0_where_all_refusals_are_excepted_and_names_the_exception() {
    let end = tomorrow();
    let folder = folder(&end);
    let (code, out, err) = check(&folder, "text", "excepted.json");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let exempt = format!("[unpinned-images] (exempt by exception \"old-images\" until {end})\n");
    assert!(out.contains(": enforce: Pod shop/web: spec.containers[0].image ") && out.contains(&exempt), "{out}");
    assert!(out.contains("1 object judged: 0 would be refused, 1 finding"), "{out}");

    let (code, out, _) = check(&folder, "json", "excepted.json");
    let row: Value = serde_json::from_str(&out).expect(&out);
    assert_eq!((code, &row["decision"]), (Some(0), &json!("allow")));
    let finding = &row["findings"][0];
    assert_eq!(finding["mode"], "enforce");
    assert_eq!(finding["exception"], json!({"name": "old-images", "expires": end}));

    let (code, out, _) = check(&folder, "json", "refused.json");
    let row: Value = serde_json::from_str(&out).expect(&out);
    assert_eq!((code, &row["decision"]), (Some(1), &json!("deny")));
    let names: Vec<&Value> =
        row["findings"].as_array().expect("a list").iter().map(|one| &one["exception"]["name"]).collect();
    assert_eq!(names, [&json!("old-images"), &Value::Null]);
}

#[test]
fn check_warns_of_an_end_in_the_past_and_refuses() {
    let folder = folder("2020-01-01T00:00:00Z");
    let (code, out, err) = check(&folder, "text", "excepted.json");
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("config.yaml:10:12: warning: exceptions[0].expires: is in the past: "), "{err}");
    assert!(!out.contains("exempt"), "{out}");
}

#[test]
fn check_keeps_host_ports_where_only_the_host_network_is_excepted() {
    let mut on_host = pod("web", &[json!({"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]})]);
    on_host["spec"]["hostNetwork"] = json!(true);
    let folder = folder(&tomorrow());
    let config = folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let text = text.replace("privileged-containers", "host-ports").replace("unpinned-images", "host-namespaces");
    std::fs::write(&config, text).expect("written");
    std::fs::write(folder.path().join("host.json"), on_host.to_string()).expect("written");
    let (code, out, _) = check(&folder, "text", "host.json");
    assert!(out.contains("[host-namespaces] (exempt by") && out.contains("[host-ports]\n"), "{out}");
    assert_eq!(code, Some(1), "as the server refuses it");
}

#[test]
fn the_user_is_warned_with_name_and_end_within_the_limit_of_a_warning() {
    let name = "n".repeat(63);
    let one = exception(&name, "unpinned-images", "namespace: shop");
    let long = format!("registry.example.com/{}", "a".repeat(250));
    let containers: Vec<Value> = (0..40).map(|number| container(&format!("c{number}"), &long)).collect();
    let decision = create(&enforced(&["unpinned-images"], &[one]), &pod("web", &containers));
    let warnings = review::warnings(&decision, Some("a:1"));
    let begin = format!(
        "exempt by exception \"{name}\" until 2027-01-31T00:00:00Z: unpinned-images: spec.containers[0].image "
    );
    assert!(warnings[0].starts_with(&begin), "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 256), "{warnings:?}");
    assert_eq!(warnings.len(), 12);
    assert_eq!(warnings[11], "and 29 more: decision a:1");
}

#[test]
fn a_record_of_many_excepted_findings_keeps_to_its_bound() {
    let judging: Vec<&str> =
        CATALOGUE.iter().filter(|entry| entry.safety.is_none()).map(|entry| entry.meta.id).collect();
    let one = exception(&"n".repeat(63), &judging.join(", "), "namespace: shop");
    let snapshot = enforced(&judging, &[one]);
    let (mut random, mut most) = (Random::seeded(5), 0);
    for case in 0..12 {
        let mut sent: Value = serde_json::from_str(&objects::review(&mut random, case)).expect("JSON");
        sent["request"]["namespace"] = json!("shop");
        let sent = sent.to_string();
        let review = review::decode(sent.as_bytes(), snapshot.workloads(), time(NOW)).expect("has a uid");
        let decision = decide_at_once(&snapshot, &review.request, &NoCluster::Missed);
        let redaction = Redaction::default();
        let origin = Origin { cluster: "prod", redaction: &redaction };
        let event =
            Event::new(&review.request, Endpoint::Validate, Caller::Unknown, origin, &decision, u64::MAX).to_bytes();
        let mut line = Vec::new();
        Chain::after("0123456789abcdef".to_owned(), u64::MAX - 2, "f".repeat(64)).seal(&event, &mut line);
        assert!(line.len() <= RECORD, "{case}: {} bytes", line.len());
        let event: Value = serde_json::from_slice(&event).expect("JSON");
        let findings = event["findings"].as_array().expect("a list").iter();
        most = most.max(findings.filter(|finding| finding["exception"]["name"].is_string()).count());
    }
    assert_eq!(most, 64, "no record was full of them");
}
