//! `plaintext-connections`: every spelling is found wherever it stands, no look-alike is, and no value is repeated.

use std::time::{Duration, Instant};

use portcullis::request::Source;
use serde_json::{Value, json};

use crate::judging::{create, only, world};
use crate::literal_secrets::{everything_said, found, places};

mod look_alikes;
mod plaintext;

#[test]
fn every_plaintext_connection_is_found_in_each_place() {
    let snapshot = only("plaintext-connections");
    let mut missed = Vec::new();
    for (name, value, word) in plaintext::ALL {
        for (object, place) in places(name, value) {
            let found = found(&snapshot, &object);
            if found.len() != 1 || found[0].0 != place || !found[0].1.contains(word) {
                missed.push(format!("{name} at {place}: {value:?}: {found:?}"));
            }
            assert!(found.iter().all(|(_, message)| value.len() < 16 || !message.contains(value)), "{found:?}");
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_look_alike_is_found_in_any_place() {
    let snapshot = only("plaintext-connections");
    let mut wrong = Vec::new();
    for (name, value) in look_alikes::ALL {
        for (object, _) in places(name, value) {
            let found = found(&snapshot, &object);
            wrong.extend(found.iter().map(|(place, message)| format!("{name}={value:?}: {place}: {message}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// References and defaults are looked up among the container's own variables.
#[test]
fn variables_of_the_container_are_known() {
    let snapshot = only("plaintext-connections");
    for (variables, finds) in [
        (&[("HOST", "db"), ("URL", "postgres://$(HOST)/shop")][..], Some(1)),
        (&[("HOST", "127.0.0.1"), ("URL", "postgres://$(HOST)/shop")], None),
        (&[("HOST", "localhost:5432"), ("URL", "postgres://$(HOST)/shop")], None),
        (&[("MODE", "require"), ("URL", "postgres://db/shop?sslmode=$(MODE)")], None),
        (&[("MODE", "disable"), ("URL", "postgres://db/shop?sslmode=$(MODE)")], Some(1)),
        (&[("PGSSLMODE", "require"), ("URL", "postgres://db/shop")], None),
        (&[("PGSSLMODE", "require"), ("URL", "jdbc:postgresql://db/shop")], Some(1)),
        (&[("PGHOST", "localhost"), ("PGSSLMODE", "disable")], None),
        (&[("PGHOST", "db"), ("PGSSLMODE", "disable")], Some(1)),
        (&[("DB_HOST", "127.0.0.1"), ("DB_SSLMODE", "disable")], None),
        (&[("KAFKA_BROKERS", "localhost:9092"), ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")], None),
        (&[("KAFKA_BROKERS", "kafka:9092"), ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")], Some(1)),
    ] {
        let env: Vec<Value> = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "web", "image": "web", "env": env}]}});
        let places: Vec<String> = found(&snapshot, &pod).into_iter().map(|(place, _)| place).collect();
        let expected: Vec<String> =
            finds.iter().map(|position| format!("spec.containers[0].env[{position}].value")).collect();
        assert_eq!(places, expected, "{variables:?}");
    }
}

/// What somebody writes to take up a thread: every mark that begins something, again and again.
#[test]
fn a_large_text_takes_time_that_grows_with_its_length() {
    let snapshot = only("plaintext-connections");
    for piece in [
        "redis://{{",
        "redis://a?",
        "postgres://localhost,",
        "postgres://localhost/?a=b&",
        "sslmode=",
        "security.protocol=PLAIN;",
        "@tcp(",
        "host=localhost dbname=a ",
        "Server=localhost;Database=a;",
        "jdbc:jdbc:",
        "://",
        "=",
        ":",
        "$(",
        "{{a}}",
        "\"'=",
        "listener.security.protocol.map=a:SSL,",
        "#\n",
        "mysql://localhost/?a=http://b",
        "host: localhost\nsslmode: disable\n",
    ] {
        let text = piece.repeat((1 << 17) / piece.len());
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": text}});
        let start = Instant::now();
        let decision = create(&snapshot, &map, &world(""), Source::ApiServer).expect("readable");
        let took = start.elapsed();
        // Unoptimised, on a busy machine: quadratic time would be minutes.
        assert!(took < Duration::from_secs(4), "{piece:?}: {took:?}");
        let words: Vec<&str> = decision.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(words.iter().all(|message| message.starts_with("must ")), "{piece:?}: {words:?}");
    }
}

#[test]
fn no_output_repeats_a_value() {
    const CANARY: &str = "canary-5d1f";
    let value = format!("postgres://app:{CANARY}@{CANARY}.example.com/{CANARY}");
    let objects: Vec<Value> = places("DATABASE_URL", &value).into_iter().map(|(object, _)| object).collect();
    let config = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n\
                  policies: {plaintext-connections: {mode: enforce}}\ntrail: {file: trail.jsonl, redaction: off}\n";
    let said = everything_said(config, &objects);
    assert!(said.contains("holds a PostgreSQL URL") && !said.contains(CANARY), "{said}");
}

/// Every finding in the manifests of other projects was looked at.
#[test]
fn findings_in_the_corpus_of_real_manifests_are_those_that_were_reviewed() {
    let found = crate::literal_secrets::found_in_corpus("plaintext-connections");
    if let Some(found) = found {
        assert_eq!(found, REVIEWED, "{found:#?}");
    }
}

/// Both send a password to another host in the clear, unless a mesh encrypts what they send.
const REVIEWED: &[&str] = &[
    "Deployment model-registry-deployment spec.template.spec.containers[0].args[3]",
    "Deployment rabbitmq-client spec.template.spec.containers[0].env[0].value",
];
