//! The trail as OpenTelemetry logs, at a collector that fails, rejects and asks for rest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use portcullis::trail::Class;
use portcullis::trail::sink::{Batch, SinkError};
use prost::Message;
use serde_json::{Value, json};

use crate::ports::Port;
use crate::serve::pki::Authority;
use crate::sinks::receiver::{Got, Receiver, Reply};
use crate::sinks::{CLUSTER, PATIENCE, Spooled, block_on, caught_up, failures, refusal, settings};

const TOKEN: &str = "Bearer collector-token-1";

fn taken() -> Reply {
    Reply::Take(ExportLogsServiceResponse::default().encode_to_vec())
}

fn rejected(count: i64, message: &str) -> Reply {
    let partial = ExportLogsPartialSuccess { rejected_log_records: count, error_message: message.to_owned() };
    Reply::Take(ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
}

fn sink(spooled: &Spooled, address: impl std::fmt::Display) -> Value {
    let token = spooled.file("token", TOKEN);
    json!({"type": "otlp", "endpoint": format!("http://{address}"), "insecure": true, "headers": {"authorization": token}})
}

fn secure(spooled: &Spooled, receiver: &Receiver, authority: &Authority) -> Value {
    let mut sink = sink(spooled, "none");
    sink["endpoint"] = json!(format!("https://localhost:{}/", receiver.address.port()));
    sink["insecure"] = json!(false);
    sink["caFile"] = json!(spooled.file("ca.crt", &authority.pem));
    sink
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn message(got: &Got) -> ExportLogsServiceRequest {
    assert_eq!((got.path.as_str(), got.header("content-type")), ("/v1/logs", "application/x-protobuf"));
    ExportLogsServiceRequest::decode(got.body.clone()).expect("a message")
}

fn records(got: &Got) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for logs in message(got).resource_logs {
        let resource = logs.resource.expect("a resource").attributes;
        assert_eq!(text(&resource, "service.name").as_deref(), Some("portcullis"));
        assert_eq!(text(&resource, "k8s.cluster.name").as_deref(), Some(CLUSTER));
        records.extend(logs.scope_logs.into_iter().flat_map(|scope| scope.log_records));
    }
    records
}

fn body(record: &LogRecord) -> String {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Any::StringValue(line)) => line.clone(),
        other => panic!("no line: {other:?}"),
    }
}

#[test]
fn every_line_is_a_record_of_its_own_through_every_outage() {
    block_on(async {
        let authority = Authority::new("collector");
        let receiver = Receiver::start(Some(&authority), |number, got| {
            assert_eq!(got.header("authorization"), TOKEN);
            match number % 8 {
                1 => Reply::Refuse(503, Vec::new(), vec![b'x'; 1 << 20]),
                3 => Reply::Refuse(500, Vec::new(), Vec::new()),
                5 => Reply::LoseAnswer,
                _ => taken(),
            }
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let couriers = spooled.carry(&[("otlp", &settings(&secure(&spooled, &receiver, &authority)))]).await;
        spooled.decide(0, 5_000).await;
        spooled.trail.stop().await.expect("a clean end");
        couriers.finish(PATIENCE).await;
        assert!(failures(&couriers, "otlp") > 2, "nothing broke");
        let mut found: Vec<String> = receiver.taken().iter().flat_map(records).map(|record| body(&record)).collect();
        // What was taken while its answer was lost came again, line by line the same.
        let (count, mut all) = (found.len(), spooled.all());
        found.sort();
        found.dedup();
        all.sort();
        assert!(found == all, "{} of {} lines", found.len(), all.len());
        assert!(count > found.len(), "no answer was lost");
    });
}

#[test]
fn a_record_says_what_is_needed_to_find_it() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| taken()).await;
        let spooled = Spooled::new(4 << 20);
        let couriers = spooled.carry(&[("otlp", &settings(&sink(&spooled, receiver.address)))]).await;
        spooled.decide(0, 10).await;
        caught_up(&couriers, "otlp").await;
        let records: Vec<LogRecord> = receiver.taken().iter().flat_map(records).collect();
        let of = |uid: &str| {
            let uid = format!("\"uid\":\"{uid}\"");
            records.iter().find(|record| body(record).contains(&uid)).expect("the record")
        };
        let denied = of("uid-7");
        let line: Value = serde_json::from_str(&body(denied)).expect("JSON");
        for (name, wanted) in [
            ("portcullis.stream", line["stream"].as_str().expect("a stream").to_owned()),
            ("portcullis.seq", line["seq"].to_string()),
            ("portcullis.class", "refused".to_owned()),
            ("portcullis.decision", "deny".to_owned()),
            ("portcullis.kind", "Pod".to_owned()),
            ("portcullis.name", "web-7".to_owned()),
            ("k8s.namespace.name", "payments".to_owned()),
            ("user.name", "alice \u{1f511} \"quoted\"".to_owned()),
        ] {
            assert_eq!(text(&denied.attributes, name), Some(wanted), "{name}");
        }
        // 2026-05-04T03:02:01.123456Z
        assert_eq!(denied.time_unix_nano, 1_777_863_721_123_456_000);
        assert_eq!(denied.event_name, "portcullis.decision");
        let severity = |uid: &str| (of(uid).severity_number, of(uid).severity_text.as_str());
        assert_eq!(
            [severity("uid-0"), severity("uid-7"), severity("uid-8")],
            [(9, "INFO"), (13, "WARN"), (17, "ERROR")]
        );
        let start = records.iter().find(|record| record.event_name == "portcullis.start").expect("a start");
        assert_eq!((start.severity_number, text(&start.attributes, "portcullis.decision")), (9, None));
        couriers.finish(Duration::ZERO).await;
    });
}

/// The result of delivering the records so far.
async fn deliver(sink: &mut dyn portcullis::trail::sink::Sink, spooled: &Spooled) -> Result<(), SinkError> {
    let (stream, bytes) = (spooled.index.stream(Class::Allow), spooled.lines(Class::Allow));
    sink.deliver(&Batch { stream: &stream, class: Class::Allow, first: 0, bytes: &bytes }).await
}

#[test]
fn rejected_records_and_strange_answers_are_failures_that_are_said_without_a_secret() {
    block_on(async {
        let receiver = Receiver::start(None, |number, _| match number {
            0 => rejected(2, "too old\nX"),
            1 => rejected(2, "who is collector-token-1?"),
            2 => rejected(0, "a warning"),
            3 => Reply::Take(b"<html>hello</html>".to_vec()),
            4 => Reply::Refuse(401, Vec::new(), TOKEN.as_bytes().to_vec()),
            5 => Reply::Refuse(307, vec![("location", "http://127.0.0.1:9/".to_owned())], Vec::new()),
            _ => taken(),
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let mut opened = settings(&sink(&spooled, receiver.address)).open(CLUSTER).await.expect("opened");
        let error = deliver(&mut *opened, &spooled).await.expect_err("rejected").to_string();
        assert!(error.starts_with("record ") && error.ends_with(":0 and 1 more were rejected: too old\\nX"), "{error}");
        for wanted in
            [Some("repeats a secret"), None, Some("not an OTLP/protobuf answer"), Some("401"), Some("307"), None]
        {
            let result = deliver(&mut *opened, &spooled).await;
            match (wanted, result) {
                (None, result) => result.expect("taken"),
                (Some(wanted), Err(error)) => {
                    let error = error.to_string();
                    assert!(error.contains(wanted) && !error.contains("collector-token-1"), "{error}");
                }
                (Some(wanted), Ok(())) => panic!("{wanted}: it was taken"),
            }
        }
        // A token may be replaced; one that is gone is said by its file.
        std::fs::remove_file(spooled.path("token")).expect("removed");
        let error = deliver(&mut *opened, &spooled).await.expect_err("no token").to_string();
        assert!(error.contains("token: No such file"), "{error}");
    });
}

/// A batch of records with nothing but numbers.
fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("{{\"uid\":\"uid-{number}\"}}\n")).collect()
}

#[test]
fn what_is_rejected_in_part_is_narrowed_down_and_only_that_comes_again() {
    block_on(async {
        let requests: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let (seen, is_lenient) = (Arc::clone(&requests), Arc::new(AtomicBool::new(false)));
        let lenient = Arc::clone(&is_lenient);
        let receiver = Receiver::start(None, move |_, got| {
            let bodies: Vec<String> = records(got).iter().map(body).collect();
            let is_bad = |body: &&String| body.contains("\"uid-123\"") || body.contains("\"uid-900\"");
            let bad = bodies.iter().filter(is_bad).count();
            seen.lock().expect("requests").push(bodies);
            if lenient.load(Ordering::SeqCst) {
                taken()
            } else {
                rejected(i64::try_from(bad).expect("a count"), "for collector-token-1: old")
            }
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let mut opened = settings(&sink(&spooled, receiver.address)).open(CLUSTER).await.expect("opened");
        let bytes = numbered(1_000);
        let batch = Batch { stream: "s1", class: Class::Allow, first: 50, bytes: bytes.as_bytes() };
        let requests = || std::mem::take(&mut *requests.lock().expect("requests"));
        let bad: Vec<String> = [123, 900].map(|number| format!("{{\"uid\":\"uid-{number}\"}}")).into();
        let error = opened.deliver(&batch).await.expect_err("rejected").to_string();
        assert_eq!(error, "record s1:173 and 1 more were rejected: (what it said repeats a secret)");
        let first = requests();
        assert!(first.len() < 50, "{} requests", first.len());
        let mut all: Vec<String> = first.concat();
        assert!(all.len() < 4_000, "{} records", all.len());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1_000);
        for _ in 0..2 {
            let again = opened.deliver(&batch).await.expect_err("rejected again").to_string();
            assert_eq!((again, requests()), (error.clone(), vec![bad.clone()]));
        }
        is_lenient.store(true, Ordering::SeqCst);
        opened.deliver(&batch).await.expect("taken");
        assert_eq!(requests(), [bad]);
        opened.deliver(&batch).await.expect("taken");
        assert_eq!(requests().concat().len(), 1_000, "the next time it is new");
    });
}

#[test]
fn a_backlog_passes_a_collector_that_limits_its_bodies_and_a_record_too_large_is_named() {
    block_on(async {
        let authority = Authority::new("collector");
        for (limit, most_refused) in [(512 << 10, 0), (40_000, 12)] {
            let refused = Arc::<AtomicUsize>::default();
            let count = Arc::clone(&refused);
            let receiver = Receiver::start(Some(&authority), move |_, got| {
                if got.body.len() <= limit {
                    return taken();
                }
                count.fetch_add(1, Ordering::SeqCst);
                Reply::Refuse(413, Vec::new(), Vec::new())
            })
            .await;
            let spooled = Spooled::new(8 << 20);
            spooled.decide(0, 6_000).await;
            spooled.trail.stop().await.expect("a clean end");
            let settings = settings(&secure(&spooled, &receiver, &authority));
            let couriers = spooled.carry(&[("otlp", &settings)]).await;
            couriers.finish(PATIENCE).await;
            let refused = refused.load(Ordering::SeqCst);
            assert!(failures(&couriers, "otlp") == 0 && refused <= most_refused, "{limit}: {refused} were too large");
            let sent: Vec<String> = receiver.taken().iter().flat_map(records).map(|record| body(&record)).collect();
            for class in Class::ALL {
                let lines = String::from_utf8(spooled.lines(class)).expect("UTF-8");
                let wanted: Vec<&str> = lines.lines().collect();
                let of_class =
                    sent.iter().filter(|line| wanted.first().is_some_and(|first| stream(first) == stream(line)));
                assert!(of_class.eq(wanted.iter()), "{limit}: {}", class.as_str());
            }
            let mut opened = settings.open(CLUSTER).await.expect("opened");
            let long = format!("{}{{\"uid\":\"{}\"}}\n", numbered(3), "x".repeat(limit));
            let batch = Batch { stream: "s1", class: Class::Allow, first: 50, bytes: long.as_bytes() };
            let error = opened.deliver(&batch).await.expect_err("too large").to_string();
            assert!(error.contains("record s1:53, of ") && error.contains("413"), "{error}");
        }
    });
}

fn stream(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("JSON");
    line["stream"].as_str().expect("a stream").to_owned()
}

#[test]
fn a_collector_that_asks_for_rest_gets_it() {
    block_on(async {
        let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let seen = Arc::clone(&times);
        let receiver = Receiver::start(None, move |number, _| {
            seen.lock().expect("times").push(Instant::now());
            match number {
                0 => Reply::Refuse(429, vec![("retry-after", "2".to_owned())], Vec::new()),
                1 => Reply::Refuse(503, vec![("retry-after", "1".to_owned())], Vec::new()),
                _ => taken(),
            }
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let couriers = spooled.carry(&[("otlp", &settings(&sink(&spooled, receiver.address)))]).await;
        caught_up(&couriers, "otlp").await;
        let times = times.lock().expect("times").clone();
        assert!(times[1] - times[0] >= Duration::from_secs(2), "{times:?}");
        assert!(times[2] - times[1] >= Duration::from_secs(1), "{times:?}");
        couriers.finish(Duration::ZERO).await;
    });
}

#[test]
fn a_certificate_of_another_is_no_collector_and_one_out_of_reach_does_not_stop_the_start() {
    block_on(async {
        let authority = Authority::new("collector");
        let receiver = Receiver::start(Some(&authority), |_, _| taken()).await;
        let spooled = Spooled::new(4 << 20);
        let wrong = settings(&secure(&spooled, &receiver, &Authority::new("another")));
        let mut opened = wrong.open(CLUSTER).await.expect("opened");
        let error = deliver(&mut *opened, &spooled).await.expect_err("another's certificate").to_string();
        assert!(error.contains("certificate"), "{error}");
        let port = Port::reserve();
        let nobody = settings(&sink(&spooled, port.address()));
        let mut opened = nobody.open(CLUSTER).await.expect("opened");
        let error = deliver(&mut *opened, &spooled).await.expect_err("nobody").to_string();
        assert!(error.contains("refused"), "{error}");
        assert!(receiver.taken().is_empty());
        let mut plain = sink(&spooled, receiver.address);
        plain["insecure"] = json!(false);
        assert!(refusal(&plain).await.contains("endpoint: must begin with https://"));
    });
}
