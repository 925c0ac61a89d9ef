//! A server's reports about itself: readiness, metrics, logs, and the reason why it does not start.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bad::CANARY;
use crate::serve::client::BOTH;
use crate::serve::{HARDENED, Serve, bad_pod, good_pod, review, spawn, text, until};

/// Each sample of a text exposition: family, labels, value. Fails on what is no exposition.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    let mut typed = BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} is there twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = family.filter(|family| typed.contains(*family)).unwrap_or(name);
            assert!(typed.contains(family), "{line} has no type");
            samples.push((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().expect("a number")));
        }
    }
    samples
}

#[test]
fn metrics_have_their_families_and_bounded_labels() {
    let server = Serve::new(HARDENED).start();
    for turn in 0..30 {
        let mut asked = review(&format!("uid-{turn}"), &format!("namespace-{turn}"), &bad_pod());
        asked["request"]["kind"]["kind"] = json!(if turn % 2 == 0 { "Pod".to_owned() } else { format!("Kind{turn}") });
        asked["request"]["operation"] = json!(["CREATE", "UPDATE", "DELETE", "CONNECT", "NONSENSE"][turn % 5]);
        asked["request"]["userInfo"]["username"] = json!(format!("somebody-{turn}"));
        let path = if turn % 3 == 0 { "/mutate" } else { "/validate" };
        assert_eq!(server.post(path, asked.to_string()).response()["uid"], format!("uid-{turn}"));
    }
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    let samples = samples(&text);
    let families: BTreeSet<&str> = samples.iter().map(|(name, ..)| name.as_str()).collect();
    for family in [
        "portcullis_decisions_total",
        "portcullis_findings_total",
        "portcullis_decision_duration_seconds_bucket",
        "portcullis_decision_duration_seconds_count",
        "portcullis_requests_unanswerable_total",
        "portcullis_tls_handshake_failures_total",
        "portcullis_connections",
        "portcullis_reviews_shed_total",
        "portcullis_decisions_unrecorded_total",
        "portcullis_trail_events_waiting",
        "portcullis_store_staleness_seconds",
        "portcullis_certificate_expiry_timestamp_seconds",
        "portcullis_configuration_reloads_total",
        "portcullis_configuration_info",
    ] {
        assert!(families.contains(family), "{family} is not among {families:?}");
    }
    let total = |name: &str| samples.iter().filter(|(found, ..)| found == name).map(|(.., value)| value).sum::<f64>();
    assert!((total("portcullis_decisions_total") - 30.0).abs() < 0.1);
    assert!((total("portcullis_decision_duration_seconds_count") - 30.0).abs() < 0.1);
    let known = ["validate", "mutate", "CREATE", "UPDATE", "DELETE", "CONNECT", "error", "deny", "warn", "would-deny"];
    let known: BTreeSet<&str> = known.into_iter().chain(["allow", "unchanged"]).collect();
    for (name, labels, _) in &samples {
        if name == "portcullis_decisions_total" {
            let values = labels.split(',').map(|label| label.split('"').nth(1).expect("a value"));
            assert!(values.clone().all(|value| known.contains(value)), "{labels}");
        }
        let labels = labels.replace("default-namespace-labels", "");
        assert!(
            !labels.contains("namespace-") && !labels.contains("somebody-") && !labels.contains("Kind"),
            "{labels}"
        );
    }
}

#[test]
fn readiness_tells_of_every_condition() {
    let server = Serve::new(HARDENED).start();
    assert_eq!(server.get("/readyz"), (200, "ok\n".to_owned()));
    let (_, text) = server.get("/readyz?verbose");
    for wanted in ["[+]configuration digest ", "[+]stores ", "[+]certificate ", "[+]trail ", "[+]drain serving"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(server.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(server.get("/validate").0, 404);
    assert_eq!(server.get("/debug/pprof").0, 404);
}

#[test]
fn a_request_leaves_one_log_line_with_fields_and_without_its_body() {
    let server = Serve::new(HARDENED).start();
    let mut pod = bad_pod();
    pod["metadata"]["annotations"] = json!({"note": CANARY});
    pod["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": CANARY}]);
    for protocol in BOTH {
        let uid = format!("uid-{protocol:?}");
        let body = review(&uid, "payments", &pod).to_string().into_bytes();
        server.client().post(protocol, "/validate", body).expect("an answer");
        server.event(&uid);
        let of_request =
            || server.logs().into_iter().filter(|line| line["uid"] == uid.as_str()).collect::<Vec<Value>>();
        // Standard error is read by a thread of its own, which may lag behind the answer.
        until("the log line", || (!of_request().is_empty()).then_some(()));
        let lines = of_request();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = &lines[0];
        for (field, value) in [
            ("level", json!("INFO")),
            ("message", json!("decided")),
            ("endpoint", json!("validate")),
            ("decision", json!("deny")),
            ("allowed", json!(false)),
            ("operation", json!("CREATE")),
            ("kind", json!("Pod")),
            ("namespace", json!("payments")),
            ("name", json!("web")),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
        assert!(line["micros"].is_u64() && line["findings"].is_u64() && line["timestamp"].is_string());
        let event = server.event(&uid);
        let id = format!("{}:{}", event["stream"].as_str().expect("text"), event["seq"]);
        assert_eq!(line["id"], id.as_str(), "the decision's id in the trail");
    }
    assert!(server.stderr().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", server.stderr());
    assert!(!server.stderr().contains(CANARY) && !server.stdout().contains(CANARY));
}

#[test]
fn the_first_screen_of_dev_holds_a_line_that_works() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let (mut child, stdout, stderr) = spawn(&mut command);
    let screen = until("the first screen", || {
        let screen = text(&stderr);
        screen.contains("curl ").then_some(screen).filter(|screen| screen.ends_with("\n\n"))
    });
    let line = screen.lines().find(|line| line.trim_start().starts_with("curl ")).expect("a line");
    // The server listens before its first screen.
    let asked = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output();
    let answer: Value = serde_json::from_slice(&asked.expect("curl").stdout).expect("JSON");
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("try-1"), &json!(false)));
    let message = response["status"]["message"].as_str().expect("a message");
    assert!(message.contains("unpinned-images: spec.containers[0].image "), "{message}");
    let lines = until("the event", || {
        let lines = text(&stdout);
        lines.contains("try-1").then_some(lines)
    });
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).expect("only records");
        assert!(record["hash"].is_string());
    }
    child.kill().expect("killed");
    child.wait().expect("its end");
}

/// Error output of a server that ends before it serves.
fn complaint(command: &mut Command) -> String {
    let (mut child, stdout, stderr) = spawn(command);
    let status = until("the end", || child.try_wait().expect("its state"));
    until("its words", || text(&stderr).ends_with('\n').then_some(()));
    assert_eq!(status.code(), Some(2), "{}", text(&stderr));
    assert_eq!(text(&stdout), "", "nothing was recorded");
    text(&stderr)
}

#[test]
fn what_is_missing_or_bad_is_named_with_its_file() {
    let serve = Serve::new(HARDENED);
    let key = std::fs::read_to_string(serve.path("tls.key")).expect("read");
    let secret = key.lines().nth(1).expect("a line").to_owned();
    let certificate = std::fs::read_to_string(serve.path("tls.crt")).expect("read");
    let write = |name: &str, text: &str| std::fs::write(serve.path(name), text).expect("written");
    let says = |wanted: &[&str]| {
        let said = complaint(&mut serve.command());
        assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{wanted:?}: {said}");
        assert!(!said.contains(&secret) && !said.contains("PRIVATE KEY-----"), "{said}");
    };
    write("tls.crt", "no certificate");
    says(&["tls.crt", "certificate"]);
    write("tls.crt", &key);
    says(&["tls.crt", "certificate"]);
    std::fs::remove_file(serve.path("tls.crt")).expect("removed");
    says(&["tls.crt: No such file"]);
    write("tls.crt", &certificate);
    write("tls.key", &certificate);
    says(&["tls.key: holds no PEM-encoded private key"]);
    write("tls.key", &key[..key.len() / 2]);
    says(&["tls.key: ", "key"]);
    let other = serve.authority().issue(&["other"]);
    write("tls.key", &other.key);
    says(&["tls.crt: is not the certificate of the private key in", "tls.key"]);
    std::fs::remove_file(serve.path("tls.key")).expect("removed");
    says(&["tls.key: No such file"]);
    write("tls.key", &key);
}

#[test]
fn a_client_ca_that_holds_none_is_named() {
    for text in ["", "no certificate"] {
        let serve = Serve::new(HARDENED).args(["--client-ca", "clients.crt"]);
        std::fs::write(serve.path("clients.crt"), text).expect("written");
        assert!(complaint(&mut serve.command()).contains("clients.crt"));
    }
    let serve = Serve::new(HARDENED).args(["--client-ca", "nowhere.crt"]);
    assert!(complaint(&mut serve.command()).contains("nowhere.crt: No such file"));
}

#[test]
fn an_address_in_use_is_named() {
    let server = Serve::new(HARDENED).start();
    let serve = Serve::new(HARDENED);
    let address = server.address.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let path = |name: &str| serve.path(name).display().to_string();
    let (config, certificate, key) = (path("config.yaml"), path("tls.crt"), path("tls.key"));
    command.args(["serve", "--config", &config, "--tls-cert", &certificate, "--tls-key", &key]);
    command.args(["--listen", &address, "--admin-listen", "127.0.0.1:0"]);
    let said = complaint(&mut command);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn an_ordinary_pod_leaves_nothing_but_its_decision() {
    let server = Serve::new(HARDENED).start();
    let answer = server.post("/validate", review("good", "default", &good_pod()).to_string()).response();
    assert_eq!(answer["allowed"], true);
    assert!(answer.get("warnings").is_none() && answer.get("status").is_none());
    assert_eq!(server.event("good")["findings"], json!([]));
}
