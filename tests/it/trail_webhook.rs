//! The trail as signed batches over HTTP: what a receiver can tell of them, and who waits for whom.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use portcullis::trail::Class;
use portcullis::trail::sink::{Batch, SinkError};
use serde_json::{Value, json};

use crate::ports::Port;
use crate::serve::pki::Authority;
use crate::serve::{HARDENED, Serve, good_pod, review, verify};
use crate::sinks::receiver::{Got, Receiver, Reply};
use crate::sinks::{CLUSTER, PATIENCE, Spooled, block_on, caught_up, eventually, failures, refusal, settings};

const OLD: &str = "the-older-of-two-secrets";
const NEW: &str = "the-newer-of-two-secrets";

fn taken() -> Reply {
    Reply::Take(Vec::new())
}

fn sink(spooled: &Spooled, receiver: &Receiver) -> Value {
    let url = format!("http://{}/hooks/trail", receiver.address);
    json!({"type": "webhook", "url": url, "insecure": true, "secretFile": spooled.file("secret", &format!("{NEW}\n"))})
}

/// HMAC-SHA256 by another's program.
fn openssl(secret: &str, text: &[u8]) -> String {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-hex", "-hmac", secret]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("openssl");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), text).expect("written");
    let output = child.wait_with_output().expect("its end");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.trim().rsplit(' ').next().expect("a digest").to_owned()
}

fn signed(got: &Got) -> Vec<u8> {
    [got.header("portcullis-timestamp").as_bytes(), b".", &got.body].concat()
}

async fn deliver(sink: &mut dyn portcullis::trail::sink::Sink, spooled: &Spooled) -> Result<(), SinkError> {
    let (stream, bytes) = (spooled.index.stream(Class::Allow), spooled.lines(Class::Allow));
    sink.deliver(&Batch { stream: &stream, class: Class::Allow, first: 0, bytes: &bytes }).await
}

#[test]
fn every_line_arrives_through_every_outage_and_a_repeated_batch_is_known_by_its_headers() {
    block_on(async {
        let authority = Authority::new("receiver");
        let receiver = Receiver::start(Some(&authority), |number, _| match number % 8 {
            1 => Reply::Refuse(503, Vec::new(), vec![b'x'; 1 << 20]),
            3 => Reply::Refuse(404, Vec::new(), Vec::new()),
            5 => Reply::LoseAnswer,
            _ => taken(),
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let couriers = spooled.carry(&[("hook", &settings(&secure(&spooled, &receiver, &authority)))]).await;
        spooled.decide(0, 5_000).await;
        spooled.trail.stop().await.expect("a clean end");
        couriers.finish(PATIENCE).await;
        assert!(failures(&couriers, "hook") > 2, "nothing broke");
        let taken = receiver.taken();
        for class in Class::ALL {
            let (mut next, mut all, mut repeated) = (0, Vec::new(), 0);
            for got in taken.iter().filter(|got| got.header("portcullis-class") == class.as_str()) {
                let number = |name: &str| got.header(name).parse::<u64>().expect(name);
                let (first, last) = (number("portcullis-first"), number("portcullis-last"));
                assert_eq!(
                    got.header("idempotency-key"),
                    format!("{}:{first}-{last}", got.header("portcullis-stream"))
                );
                assert_eq!(got.header("content-type"), "application/x-ndjson");
                if last < next {
                    repeated += 1;
                    continue;
                }
                assert_eq!((first, got.header("portcullis-stream")), (next, spooled.index.stream(class).as_str()));
                next = last + 1;
                all.extend_from_slice(&got.body);
            }
            assert!(all == spooled.lines(class), "{} ({repeated} repeated)", class.as_str());
        }
    });
}

fn secure(spooled: &Spooled, receiver: &Receiver, authority: &Authority) -> Value {
    let mut secure = sink(spooled, receiver);
    secure["url"] = json!(format!("https://localhost:{}/hooks/trail", receiver.address.port()));
    secure["insecure"] = json!(false);
    secure["caFile"] = json!(spooled.file("ca.crt", &authority.pem));
    secure
}

/// One that answers 413 above so many bytes, and counts how often.
async fn limited(authority: &Authority, limit: &Arc<AtomicUsize>) -> (Receiver, Arc<AtomicUsize>) {
    let (limit, refused) = (Arc::clone(limit), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&refused);
    let receiver = Receiver::start(Some(authority), move |_, got| {
        if got.body.len() <= limit.load(Ordering::SeqCst) {
            return taken();
        }
        count.fetch_add(1, Ordering::SeqCst);
        Reply::Refuse(413, Vec::new(), Vec::new())
    })
    .await;
    (receiver, refused)
}

#[test]
fn a_backlog_passes_a_receiver_that_limits_its_bodies() {
    block_on(async {
        let authority = Authority::new("receiver");
        for (limit, most_refused) in [(512 << 10, 0), (40_000, 12)] {
            let (receiver, refused) = limited(&authority, &Arc::new(AtomicUsize::new(limit))).await;
            let spooled = Spooled::new(8 << 20);
            let long = json!({"decision": "allow", "name": "x".repeat(2_000)}).to_string().into_bytes();
            let recorded = (0..900).map(|_| spooled.trail.record(Class::Allow, None, long.clone()));
            join_all(recorded).await.into_iter().for_each(|id| assert!(id.is_ok(), "{id:?}"));
            spooled.decide(0, 2_000).await;
            spooled.trail.stop().await.expect("a clean end");
            let couriers = spooled.carry(&[("hook", &settings(&secure(&spooled, &receiver, &authority)))]).await;
            couriers.finish(PATIENCE).await;
            assert_eq!(failures(&couriers, "hook"), 0);
            let refused = refused.load(Ordering::SeqCst);
            assert!(refused <= most_refused, "{limit}: {refused} were too large");
            for class in Class::ALL {
                let taken = receiver.taken();
                let of_class = taken.iter().filter(|got| got.header("portcullis-class") == class.as_str());
                let bytes: Vec<u8> = of_class.flat_map(|got| got.body.to_vec()).collect();
                assert!(bytes == spooled.lines(class), "{limit}: {}", class.as_str());
            }
        }
    });
}

#[test]
fn a_record_that_is_too_large_by_itself_is_named_and_those_before_it_are_not_sent_again() {
    block_on(async {
        let authority = Authority::new("receiver");
        let limit = Arc::new(AtomicUsize::new(2_000));
        let (receiver, _) = limited(&authority, &limit).await;
        let spooled = Spooled::new(4 << 20);
        let mut opened = settings(&secure(&spooled, &receiver, &authority)).open("").await.expect("opened");
        let line = |seq: usize| format!("{}\n", "x".repeat(if seq == 7 { 4_999 } else { 99 }));
        let lines: Vec<String> = (0..12).map(line).collect();
        let whole = lines.concat();
        let batch = Batch { stream: "s1", class: Class::Allow, first: 30, bytes: whole.as_bytes() };
        for _ in 0..2 {
            let error = opened.deliver(&batch).await.expect_err("too large").to_string();
            assert!(error.contains("s1:37, of 5000 bytes") && error.contains("413"), "{error}");
        }
        let sent = || receiver.taken().iter().flat_map(|got| got.body.to_vec()).collect::<Vec<u8>>();
        assert!(sent() == lines[..7].concat().as_bytes());
        limit.store(5_000, Ordering::SeqCst);
        opened.deliver(&batch).await.expect("taken");
        assert!(sent() == whole.as_bytes());
        let taken = receiver.taken();
        let numbers = taken.iter().map(|got| (got.header("portcullis-first"), got.header("portcullis-last")));
        assert!(numbers.clone().any(|numbers| numbers == ("37", "37")), "{:?}", numbers.collect::<Vec<_>>());
        // What was taken whole may come again, and then goes out again.
        opened.deliver(&batch).await.expect("taken");
        assert!(sent() == whole.repeat(2).as_bytes());
    });
}

#[test]
fn a_signature_is_verified_by_anybody_who_has_one_of_the_secrets() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| taken()).await;
        let spooled = Spooled::new(4 << 20);
        let mut opened = settings(&sink(&spooled, &receiver)).open("").await.expect("opened");
        deliver(&mut *opened, &spooled).await.expect("taken");
        spooled.file("secret", &format!("{OLD}\n\n{NEW}\n"));
        deliver(&mut *opened, &spooled).await.expect("taken");
        let taken = receiver.taken();
        let one = format!("v1={}", openssl(NEW, &signed(&taken[0])));
        assert_eq!(taken[0].header("portcullis-signature"), one);
        let both = format!("v1={},v1={}", openssl(OLD, &signed(&taken[1])), openssl(NEW, &signed(&taken[1])));
        assert_eq!(taken[1].header("portcullis-signature"), both);
        let sent: i64 = taken[1].header("portcullis-timestamp").parse().expect("seconds");
        assert!((Timestamp::now().as_second() - sent).abs() < 300, "a receiver that allows five minutes takes it");
        assert!(taken[0].body == spooled.lines(Class::Allow));
        assert_eq!(taken[0].path, "/hooks/trail");
    });
}

#[test]
fn only_success_counts_redirects_are_not_followed_and_nothing_of_an_answer_is_said() {
    block_on(async {
        let aside = Receiver::start(None, |_, _| taken()).await;
        let elsewhere = format!("http://{}/", aside.address);
        let receiver = Receiver::start(None, move |number, _| match number {
            0 => Reply::Refuse(301, vec![("location", elsewhere.clone())], Vec::new()),
            1 => Reply::Refuse(308, vec![("location", elsewhere.clone())], Vec::new()),
            2 => Reply::Refuse(304, Vec::new(), Vec::new()),
            3 => Reply::Refuse(400, Vec::new(), NEW.as_bytes().to_vec()),
            4 => Reply::Refuse(500, Vec::new(), NEW.repeat(100_000).into_bytes()),
            5 => Reply::Refuse(204, Vec::new(), Vec::new()),
            _ => taken(),
        })
        .await;
        let spooled = Spooled::new(4 << 20);
        let mut opened = settings(&sink(&spooled, &receiver)).open("").await.expect("opened");
        for status in ["301", "308", "304", "400", "500"] {
            let error = deliver(&mut *opened, &spooled).await.expect_err(status).to_string();
            assert!(error.contains(status) && error.len() < 100 && !error.contains("secrets"), "{error}");
        }
        deliver(&mut *opened, &spooled).await.expect("taken");
        assert!(aside.taken().is_empty());
    });
}

#[test]
fn one_that_never_answers_delays_neither_another_nor_a_decision() {
    block_on(async {
        let silent = Receiver::start(None, |_, _| Reply::Hang).await;
        let lively = Receiver::start(None, |_, _| taken()).await;
        let spooled = Spooled::new(4 << 20);
        let (hanging, taking) = (settings(&sink(&spooled, &silent)), settings(&sink(&spooled, &lively)));
        let couriers = spooled.carry(&[("hanging", &hanging), ("taking", &taking)]).await;
        eventually("the first delivery", async || (!lively.taken().is_empty()).then_some(())).await;
        spooled.decide(0, 2_000).await;
        caught_up(&couriers, "taking").await;
        let behind = couriers.behind();
        let (_, left) = behind.iter().find(|(name, _)| name == "hanging").expect("the other");
        assert!(*left > 2_000, "{left}");
        assert!(silent.taken().is_empty());
        couriers.finish(Duration::ZERO).await;
        let count: usize =
            lively.taken().iter().map(|got| got.body.split_inclusive(|byte| *byte == b'\n').count()).sum();
        assert_eq!(count, spooled.all().len());
    });
}

#[test]
fn the_served_program_delivers_what_it_decides_and_ends_in_time_beside_sinks_out_of_reach() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| taken()).await;
        let nobody = Port::reserve();
        let serve = Serve::new(&format!(
            "{HARDENED}trail:\n  cluster: {CLUSTER}\n  spool: {{directory: spool}}\n  sinks:\n  \
             - {{name: hook, type: webhook, url: \"http://{}/\", insecure: true, secretFile: secret}}\n  \
             - {{name: collector, type: otlp, endpoint: \"http://127.0.0.1:{port}\", insecure: true, headers: {{x-token: secret}}}}\n  \
             - {{name: bucket, type: s3, endpoint: \"http://127.0.0.1:{port}\", insecure: true, bucket: trail, \
             flushSize: 1Mi, flushInterval: 30s, accessKeyIdFile: secret, secretAccessKeyFile: secret}}\n",
            receiver.address,
            port = nobody.number()
        ));
        std::fs::write(serve.path("secret"), NEW).expect("written");
        let served = move || {
            let server = serve.start();
            let answer = server.post("/validate", review("uid-1", "default", &good_pod()).to_string()).response();
            assert_eq!(answer["allowed"], true);
            server.stop()
        };
        let (status, _, stderr, folder, _) = tokio::task::spawn_blocking(served).await.expect("served");
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("records stay in the spool") && !stderr.contains(NEW), "{stderr}");
        let sent: Vec<u8> = receiver.taken().iter().flat_map(|got| got.body.to_vec()).collect();
        assert!(String::from_utf8_lossy(&sent).contains("\"uid\":\"uid-1\""));
        let file = folder.path().join("sent.jsonl");
        std::fs::write(&file, sent).expect("written");
        let (code, said) = verify(&file);
        assert_eq!(code, Some(0), "{said}");
    });
}

#[test]
fn secrets_are_one_or_two_and_long_enough_and_never_said() {
    block_on(async {
        let receiver = Receiver::start(None, |_, _| taken()).await;
        let spooled = Spooled::new(4 << 20);
        let sink = sink(&spooled, &receiver);
        for text in ["", "\n", "short", &format!("{OLD}\nshort"), &format!("{OLD}\n{NEW}\n{OLD}x")] {
            spooled.file("secret", text);
            let error = refusal(&sink).await;
            assert!(
                error.contains("secret: ") && !error.contains("short") && !error.contains("two-secrets"),
                "{error}"
            );
        }
        let mut wrong = sink.clone();
        wrong["secret"] = json!("in the configuration");
        assert!(serde_json::from_value::<portcullis::trail::sink::Settings>(wrong).is_err());
        let mut wrong = sink;
        wrong["url"] = json!(format!("http://me:{NEW}@localhost/"));
        spooled.file("secret", NEW);
        let error = refusal(&wrong).await;
        assert!(error.contains("url: must not contain a user or a password") && !error.contains(NEW), "{error}");
    });
}
