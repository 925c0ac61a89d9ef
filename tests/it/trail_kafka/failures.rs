//! Failures that keep a broker from taking records: reported clearly and without a secret, and over once mended.

use std::fs;
use std::time::Duration;

use portcullis::trail::Class;
use portcullis::trail::sink::{Batch, Settings, Sink, SinkError};
use serde_json::{Value, json};

use super::broker::{Broker, PASSWORD};
use super::proxy::Proxy;
use super::{open, settings};
use crate::serve::pki::Authority;

/// Brings records to a sink, numbered from `first`.
async fn bring(sink: &mut Box<dyn Sink>, first: u64, lines: &[String]) -> Result<(), SinkError> {
    let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let stream = "0123456789abcdef";
    sink.deliver(&Batch { stream, class: Class::Allow, first, bytes: bytes.as_bytes() }).await
}

#[track_caller]
fn says(outcome: Result<(), SinkError>, wanted: &[&str]) {
    let said = outcome.expect_err("it failed").to_string();
    assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{wanted:?}: {said}");
    assert!(!said.contains("sesame") && !said.contains("wrong-one"), "a secret: {said}");
}

fn with(settings: &Value, key: &str, value: Value) -> Value {
    let mut settings = settings.clone();
    settings[key] = value;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_what_is_mended_goes_on() {
    let broker = Broker::start(None);
    let folder = tempfile::tempdir().expect("a folder");
    let outside = broker.outside.to_string();
    let settings = settings(folder.path(), &broker, &outside, "one");
    let line = |number: u64| vec![format!("{{\"number\":{number}}}")];

    // Each is mended while the sink lives.
    let mut sink = open(&settings).await;
    says(bring(&mut sink, 0, &line(0)).await, &["may not write to the topic one"]);
    broker.allow_write("one");
    says(bring(&mut sink, 0, &line(0)).await, &["the topic one does not exist"]);
    broker.create("one", None).await;
    bring(&mut sink, 0, &line(0)).await.expect("taken");
    broker.create("another", None).await;
    let mut sink = open(&with(&settings, "topic", json!("another"))).await;
    says(bring(&mut sink, 1, &line(1)).await, &["may not write to the topic another"]);

    fs::write(folder.path().join("password"), "a-wrong-one").expect("written");
    let mut sink = open(&settings).await;
    says(bring(&mut sink, 1, &line(1)).await, &["authentication"]);
    fs::write(folder.path().join("password"), PASSWORD).expect("written");
    bring(&mut sink, 1, &line(1)).await.expect("taken");

    fs::write(folder.path().join("ca.pem"), Authority::new("others").pem).expect("written");
    let mut sink = open(&settings).await;
    says(bring(&mut sink, 2, &line(2)).await, &["certificate", "UnknownIssuer"]);
    fs::write(folder.path().join("ca.pem"), &broker.authority.pem).expect("written");
    bring(&mut sink, 2, &line(2)).await.expect("taken");

    // The wrong kind of port, both ways round.
    let inside = broker.inside.to_string();
    let mut sink = open(&with(&settings, "brokers", json!([inside]))).await;
    says(bring(&mut sink, 3, &line(3)).await, &["tls handshake"]);
    let plain = json!({"type": "kafka", "brokers": [outside], "topic": "one", "insecure": true});
    let mut sink = open(&plain).await;
    says(bring(&mut sink, 3, &line(3)).await, &["without TLS"]);
    let mut sink = open(&with(&plain, "brokers", json!([inside]))).await;
    bring(&mut sink, 3, &line(3)).await.expect("taken");
    let mut sink = open(&with(&settings, "mechanism", json!("SCRAM-SHA-256"))).await;
    bring(&mut sink, 4, &line(4)).await.expect("taken");

    let read: Vec<String> = broker.read("one").into_iter().map(|message| message.value).collect();
    assert_eq!(read, [line(0), line(1), line(2), line(3), line(4)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_said_in_time_and_a_password_may_change_in_it() {
    let proxy = Proxy::start();
    let mut broker = Broker::start(Some(proxy.address));
    proxy.lead_to(broker.outside);
    broker.create("long", None).await;
    broker.allow_write("long");
    let folder = tempfile::tempdir().expect("a folder");
    let mut sink = open(&settings(folder.path(), &broker, &proxy.address.to_string(), "long")).await;
    let lines: Vec<String> = (0..4).map(|number| format!("{{\"number\":{number}}}")).collect();
    bring(&mut sink, 0, &lines[..1]).await.expect("taken");
    // It is taken, but nobody hears of it. A courier waits for a minute, and brings it again.
    proxy.lose_answers();
    let brought = tokio::time::timeout(Duration::from_mins(1), bring(&mut sink, 1, &lines[1..2])).await;
    says(brought.expect("an end"), &["could not connect", "within 5s"]);
    proxy.cut();
    bring(&mut sink, 1, &lines[1..2]).await.expect("taken");
    broker.kill();
    let brought = tokio::time::timeout(Duration::from_mins(1), bring(&mut sink, 2, &lines[2..3])).await;
    says(brought.expect("an end"), &["could not connect", &proxy.address.to_string()]);
    broker.resume();
    bring(&mut sink, 2, &lines[2..3]).await.expect("taken");

    broker.change_password("open-another-sesame");
    broker.stop();
    broker.resume();
    says(bring(&mut sink, 3, &lines[3..]).await, &["authentication"]);
    fs::write(folder.path().join("password"), "open-another-sesame").expect("written");
    bring(&mut sink, 3, &lines[3..]).await.expect("taken");
    let read: Vec<String> = broker.read("long").into_iter().map(|message| message.value).collect();
    assert_eq!(read, lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_for_small_records_gets_them_in_order() {
    let broker = Broker::start(None);
    broker.create("small", Some(("max.message.bytes", "8000"))).await;
    broker.allow_write("small");
    let folder = tempfile::tempdir().expect("a folder");
    let mut sink = open(&settings(folder.path(), &broker, &broker.outside.to_string(), "small")).await;
    let lines: Vec<String> = (0..600).map(|number| format!("{number} {}", "x".repeat(500))).collect();
    // A courier brings a batch again until it is taken.
    let mut is_taken = false;
    for _ in 0..10 {
        match bring(&mut sink, 0, &lines).await {
            Ok(()) => {
                is_taken = true;
                break;
            }
            Err(error) => assert!(error.to_string().contains("max.message.bytes"), "{error}"),
        }
    }
    assert!(is_taken);
    let mut next = 0;
    for message in broker.read("small") {
        let place = lines.iter().position(|line| *line == message.value).expect("one of them");
        assert!(place <= next, "{place} came before {next}");
        next = next.max(place + 1);
    }
    assert_eq!(next, lines.len());
    says(bring(&mut sink, 600, &["x".repeat(9_000)]).await, &["the topic small", "max.message.bytes"]);
}

#[tokio::test]
async fn what_can_never_work_is_refused_and_what_may_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
        json!(folder.path().join(name))
    };
    let good = json!({
        "type": "kafka", "brokers": ["127.0.0.1:1"], "topic": "audit", "user": "portcullis",
        "passwordFile": file("password", PASSWORD), "caFile": file("ca.pem", &Authority::new("brokers").pem),
    });
    let missing = json!(folder.path().join("none"));
    let refused = [
        ("brokers", json!([]), "brokers: must name at least one broker"),
        ("brokers", json!(["kafka"]), "must be host:port"),
        ("brokers", json!(["kafka:0"]), "must be host:port"),
        ("brokers", json!(["a:1,b:2"]), "must be host:port"),
        ("topic", json!("a topic"), "topic: must be"),
        ("topic", json!(".."), "topic: must be"),
        ("user", Value::Null, "belong together"),
        ("passwordFile", missing.clone(), "none: No such file"),
        ("passwordFile", file("empty", "\n"), "is empty"),
        ("caFile", missing, "No such file"),
        ("caFile", file("ca.bad", "no certificate"), "holds no certificate"),
        ("insecure", json!(true), "no effect with `insecure: true`"),
    ];
    for (key, value, wanted) in refused {
        let settings: Settings = serde_json::from_value(with(&good, key, value)).expect("settings");
        let said = settings.open("").await.err().unwrap_or_else(|| panic!("{wanted}")).to_string();
        assert!(said.contains(wanted) && !said.contains("sesame"), "{wanted}: {said}");
    }
    for (key, value) in [("mechanism", json!("PLAIN")), ("password", json!("a-wrong-one")), ("topic", Value::Null)] {
        let said = serde_json::from_value::<Settings>(with(&good, key, value)).expect_err("refused").to_string();
        assert!(!said.contains("wrong-one"), "{said}");
    }
    // Nobody listens there: records wait, and whoever starts the program need not.
    let mut sink = open(&good).await;
    says(bring(&mut sink, 0, &["{}".to_owned()]).await, &["127.0.0.1:1"]);
}
