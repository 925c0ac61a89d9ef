//! The trail in a bucket that locks: every record once, in order and as it is, whatever breaks on the way there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::trail::Class;
use serde_json::{Value, json};

use crate::serve::{HARDENED, Serve, run, spawn, text};
use crate::sinks::moto::{Bucket, Moto};
use crate::sinks::proxy::{Fate, Proxy};
use crate::sinks::receiver::{Receiver, Reply};
use crate::sinks::{PATIENCE, Spooled, block_on, caught_up, eventually, failures, refusal, settings};

const ANYBODY: (&str, &str) = ("key-id", "very-secret-key");
/// Answer of STS.
const ROLE: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                    <AccessKeyId>role-id</AccessKeyId><SecretAccessKey>role-key</SecretAccessKey>\
                    <SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
                    </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
const UNAVAILABLE: &str =
    "HTTP/1.1 503 Slow Down\r\ncontent-length: 36\r\nconnection: close\r\n\r\n<Error><Code>SlowDown</Code></Error>";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The objects of a class, one after the other; each named after what is in it, and none over another.
fn pieces(objects: &[(String, Vec<u8>)], spooled: &Spooled, class: Class) -> Vec<u8> {
    let folder = format!("a/b/{}/{}/", class.as_str(), spooled.index.stream(class));
    let (mut next, mut all) = (0, Vec::new());
    for (name, bytes) in objects.iter().filter(|(name, _)| name.starts_with(&folder)) {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
        assert_eq!(*name, format!("{folder}{next:020}-{:020}.jsonl", next + lines - 1));
        next += lines;
        all.extend_from_slice(bytes);
    }
    all
}

fn assert_whole(objects: &[(String, Vec<u8>)], spooled: &Spooled) {
    let mut bytes = 0;
    for class in Class::ALL {
        let pieces = pieces(objects, spooled, class);
        bytes += pieces.len();
        assert!(pieces == spooled.lines(class), "{}: not what lies in the spool", class.as_str());
    }
    assert_eq!(bytes, objects.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), "there are other objects");
}

/// Exit code and output of `trail verify` on the objects, in files.
fn verify(objects: &[(String, Vec<u8>)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut args = vec!["trail".to_owned(), "verify".to_owned()];
    for (number, (_, bytes)) in objects.iter().enumerate() {
        let file = folder.path().join(format!("{number}.jsonl"));
        std::fs::write(&file, bytes).expect("written");
        args.push(file.display().to_string());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = run(&args, "");
    (code, stdout + &stderr)
}

#[test]
fn every_record_is_there_once_in_order_whatever_breaks() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        let proxy = Proxy::new(moto.address, |number| match number % 9 {
            2 => Fate::CutRequest(300),
            3 => Fate::Answer(UNAVAILABLE),
            5 => Fate::CutRequest(100_000),
            6 => Fate::LoseAnswer,
            // Out of reach for a while.
            _ if (120..126).contains(&number) => Fate::Refuse,
            8 => [Fate::Refuse, Fate::Answer(BROKEN)][number / 9 % 2],
            _ => Fate::Pass,
        });
        let spooled = Spooled::new(4 << 20);
        let couriers = spooled.carry(&[("s3", &settings(&Moto::sink(&spooled, proxy.address, &json!({}))))]).await;
        spooled.decide(0, 50_000).await;
        spooled.trail.stop().await.expect("a clean end");
        couriers.finish(PATIENCE).await;
        let objects = moto.objects(ANYBODY).await;
        println!(
            "{} objects, {} connections, {} failures",
            objects.len(),
            proxy.seen.load(Ordering::Relaxed),
            failures(&couriers, "s3")
        );
        assert!(failures(&couriers, "s3") > 10, "nothing broke");
        assert_whole(&objects, &spooled);
        let (_, versions) = moto.s3("GET", "/trail?versions", "").await;
        assert_eq!(versions.matches("<VersionId>").count(), objects.len(), "an object was put twice");
        let decisions = spooled.all().iter().filter(|line| line.contains("\"uid\":\"uid-")).count();
        assert_eq!(decisions, 50_000);
        let (code, said) = verify(&objects);
        assert_eq!(code, Some(0), "{said}");
    });
}

/// Ends couriers while the bucket has more than they know of, and begins again with a sink that differs in `more`.
async fn begin_again(more: Value, is_cursor_lost: bool) {
    let moto = Moto::start(Bucket::Locked).await;
    let is_deaf = Arc::new(AtomicBool::new(false));
    let deaf = Arc::clone(&is_deaf);
    let fate = move |_| if deaf.load(Ordering::SeqCst) { Fate::LoseAnswer } else { Fate::Pass };
    let proxy = Proxy::new(moto.address, fate);
    let spooled = Spooled::new(16 << 20);
    let first = settings(&Moto::sink(&spooled, proxy.address, &json!({})));
    let couriers = spooled.carry(&[("s3", &first)]).await;
    spooled.decide(0, 1_000).await;
    caught_up(&couriers, "s3").await;
    let known = moto.objects(ANYBODY).await.len();
    is_deaf.store(true, Ordering::SeqCst);
    spooled.decide(1_000, 1_000).await;
    eventually("an object that the courier does not know of", async || {
        (moto.objects(ANYBODY).await.len() > known).then_some(())
    })
    .await;
    couriers.finish(Duration::ZERO).await;
    drop(couriers);
    is_deaf.store(false, Ordering::SeqCst);
    if is_cursor_lost {
        std::fs::remove_file(spooled.path("spool/cursors/s3.json")).expect("removed");
    }
    spooled.decide(2_000, 1_000).await;
    let again = settings(&Moto::sink(&spooled, proxy.address, &more));
    let couriers = spooled.carry(&[("s3", &again)]).await;
    caught_up(&couriers, "s3").await;
    spooled.decide(3_000, 10).await;
    spooled.trail.stop().await.expect("a clean end");
    couriers.finish(PATIENCE).await;
    assert_eq!(failures(&couriers, "s3"), 0, "{}", moto.log());
    let objects = moto.objects(ANYBODY).await;
    assert_whole(&objects, &spooled);
    assert_eq!(verify(&objects).0, Some(0));
}

#[test]
fn a_restart_goes_on_after_what_is_there_with_longer_objects() {
    block_on(begin_again(json!({"flushSize": "8Mi"}), false));
}

#[test]
fn a_restart_goes_on_after_what_is_there_with_shorter_objects() {
    block_on(begin_again(json!({"flushSize": "64Ki"}), false));
}

#[test]
fn a_restart_that_has_forgotten_everything_goes_on_after_what_is_there() {
    block_on(begin_again(json!({"flushSize": "1Mi"}), true));
}

#[test]
fn records_wait_for_an_object_to_fill_and_the_end_hurries_them() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        let spooled = Spooled::new(16 << 20);
        let sink = Moto::sink(&spooled, moto.address, &json!({"flushInterval": "1h"}));
        let couriers = spooled.carry(&[("s3", &settings(&sink))]).await;
        spooled.decide(0, 2_000).await;
        eventually("full objects", async || (moto.objects(ANYBODY).await.len() >= 2).then_some(())).await;
        for (name, bytes) in moto.objects(ANYBODY).await {
            assert!(bytes.len() >= 256 << 10, "{name}: {} bytes", bytes.len());
        }
        assert!(couriers.behind()[0].1 > 0, "the rest waits");
        spooled.trail.stop().await.expect("a clean end");
        couriers.finish(PATIENCE).await;
        assert_whole(&moto.objects(ANYBODY).await, &spooled);
    });
}

#[test]
fn an_object_can_be_neither_removed_nor_overwritten() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        let spooled = Spooled::new(4 << 20);
        let sink = settings(&Moto::sink(&spooled, moto.address, &json!({})));
        let couriers = spooled.carry(&[("s3", &sink)]).await;
        spooled.decide(0, 100).await;
        caught_up(&couriers, "s3").await;
        let objects = moto.objects(ANYBODY).await;
        let (_, versions) = moto.s3("GET", "/trail?versions", "").await;
        for (name, bytes) in &objects {
            let (_, version) = versions.split_once(&format!("<Key>{name}</Key><VersionId>")).expect("a version");
            let (id, rest) = version.split_once('<').expect("an id");
            assert!(!rest.contains(&format!("<Key>{name}<")), "one version each");
            let (place, version) = (format!("/trail/{name}"), format!("/trail/{name}?versionId={id}"));
            let (status, said) = moto.s3("DELETE", &version, "").await;
            assert_eq!(status, 403, "{said}");
            assert_eq!(moto.s3("PUT", &place, "another").await.0, 200, "another version, on top of it");
            assert_eq!(moto.s3("DELETE", &place, "").await.0, 204, "a marker, and no more");
            assert!(moto.s3("GET", &version, "").await.1.as_bytes() == bytes, "{name} is gone");
        }
        couriers.finish(Duration::ZERO).await;
    });
}

#[test]
fn a_bucket_that_holds_other_records_is_said_and_nothing_is_skipped() {
    block_on(async {
        let moto = Moto::start(Bucket::Plain).await;
        let spooled = Spooled::new(4 << 20);
        let stream = spooled.index.stream(Class::Allow);
        let place = format!("/trail/a/b/allow/{stream}/{:020}-{:020}.jsonl", 0, 1);
        assert_eq!(moto.s3("PUT", &place, "something\nelse\n").await.0, 200);
        let sink = settings(&Moto::sink(&spooled, moto.address, &json!({"objectLock": "ignore"})));
        let mut opened = sink.open("").await.expect("opened");
        spooled.decide(0, 20).await;
        let bytes = spooled.lines(Class::Allow);
        let batch = portcullis::trail::sink::Batch { stream: &stream, class: Class::Allow, first: 0, bytes: &bytes };
        let error = opened.deliver(&batch).await.expect_err("refused").to_string();
        assert!(error.contains("holds something other than these records"), "{error}");
        assert_eq!(moto.objects(ANYBODY).await.len(), 1);
    });
}

#[test]
fn a_bucket_that_locks_nothing_is_refused_at_the_start() {
    block_on(async {
        for (bucket, wanted) in [
            (Bucket::Plain, "the bucket trail has no Object Lock: what is put there could be removed"),
            (Bucket::NoRetention, "the bucket trail has Object Lock but no default retention"),
        ] {
            let moto = Moto::start(bucket).await;
            let spooled = Spooled::new(4 << 20);
            let error = refusal(&Moto::sink(&spooled, moto.address, &json!({}))).await;
            assert!(error.contains(wanted) && error.contains("objectLock: ignore"), "{error}");
            assert!(
                settings(&Moto::sink(&spooled, moto.address, &json!({"objectLock": "ignore"}))).open("").await.is_ok()
            );
            let error = refusal(&Moto::sink(&spooled, moto.address, &json!({"bucket": "another"}))).await;
            assert_eq!(error, "the bucket another does not exist; create it first");
        }
    });
}

#[test]
fn a_bucket_that_is_out_of_reach_at_the_start_gets_nothing_before_its_lock_is_seen() {
    block_on(async {
        let moto = Moto::start(Bucket::NoRetention).await;
        let reachable = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&reachable);
        let proxy =
            Proxy::new(moto.address, move |_| if seen.load(Ordering::SeqCst) == 0 { Fate::Refuse } else { Fate::Pass });
        let spooled = Spooled::new(4 << 20);
        let sink = settings(&Moto::sink(&spooled, proxy.address, &json!({})));
        let couriers = spooled.carry(&[("s3", &sink)]).await;
        spooled.decide(0, 100).await;
        eventually("failures", async || (failures(&couriers, "s3") > 1).then_some(())).await;
        reachable.store(1, Ordering::SeqCst);
        let before = failures(&couriers, "s3");
        eventually("more failures", async || (failures(&couriers, "s3") > before + 1).then_some(())).await;
        assert!(moto.objects(ANYBODY).await.is_empty(), "nothing is put into a bucket that locks nothing");
        moto.lock().await;
        caught_up(&couriers, "s3").await;
        couriers.finish(Duration::ZERO).await;
        assert_whole(&moto.objects(ANYBODY).await, &spooled);
    });
}

#[test]
fn requests_are_signed_keys_may_be_replaced_and_are_never_said() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        let (id, key) = moto.demand_signatures().await;
        let spooled = Spooled::new(4 << 20);
        let sink = Moto::sink(&spooled, moto.address, &json!({}));
        spooled.file("id", &id);
        // Not refused for good: a key may be late.
        let mut opened = settings(&sink).open("").await.expect("opened");
        spooled.decide(0, 20).await;
        let (stream, bytes) = (spooled.index.stream(Class::Allow), spooled.lines(Class::Allow));
        let batch = portcullis::trail::sink::Batch { stream: &stream, class: Class::Allow, first: 0, bytes: &bytes };
        let error = opened.deliver(&batch).await.expect_err("a wrong key").to_string();
        assert!(error.contains("SignatureDoesNotMatch"), "{error}");
        assert!(!error.contains("very-secret-key") && !error.contains(&id), "{error}");
        spooled.file("key", &key);
        opened.deliver(&batch).await.unwrap_or_else(|error| panic!("{error}: {}", moto.log()));
        opened.deliver(&batch).await.expect("again");
        let objects = moto.objects((&id, &key)).await;
        assert_eq!(objects.len(), 1);
        assert!(objects[0].1 == bytes);
    });
}

#[test]
fn a_web_identity_out_of_the_environment_is_enough() {
    block_on(async {
        let moto = Moto::start(Bucket::Locked).await;
        let sts = Receiver::start(None, |_, _| Reply::Take(ROLE.as_bytes().to_vec())).await;
        for is_insecure in [true, false] {
            let scheme = if is_insecure { "http" } else { "https" };
            let serve = Serve::new(&format!(
                "{HARDENED}trail:\n  spool: {{directory: spool}}\n  sinks:\n  - {{name: bucket, type: s3, \
                 endpoint: \"{scheme}://{}\", insecure: {is_insecure}, bucket: trail, flushInterval: 0s}}\n",
                moto.address
            ));
            std::fs::write(serve.path("token"), "a-web-identity-token").expect("written");
            let mut command = serve.command();
            command
                .env("AWS_WEB_IDENTITY_TOKEN_FILE", serve.path("token"))
                .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/trail")
                .env("AWS_ENDPOINT_URL_STS", format!("http://{}", sts.address));
            let (mut server, _, stderr) = spawn(&mut command);
            if is_insecure {
                eventually("objects", async || (!moto.objects(ANYBODY).await.is_empty()).then_some(())).await;
                assert!(!sts.taken().is_empty());
            } else {
                eventually("the end", async || server.try_wait().expect("its state")).await;
                assert!(text(&stderr).contains("AWS_ENDPOINT_URL_STS must begin with https://"), "{}", text(&stderr));
            }
            assert!(!text(&stderr).contains("a-web-identity-token"));
        }
    });
}

#[test]
fn settings_that_can_never_work_are_refused() {
    block_on(async {
        let spooled = Spooled::new(4 << 20);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        for (more, wanted) in [
            (json!({"insecure": false}), "endpoint: must begin with https://"),
            (json!({"endpoint": "http://id:very-secret-key@localhost"}), "must not contain a user or a password"),
            (json!({"endpoint": "https://localhost", "insecure": false, "caFile": "/no/where"}), "caFile /no/where"),
            (json!({"bucket": "a/b"}), "bucket: must be a valid bucket name"),
            (json!({"flushSize": "1Ki"}), "flushSize: must be a size from 64Ki to 64Mi"),
            (json!({"flushInterval": "2h"}), "flushInterval: must be a time up to 1h"),
            (json!({"prefix": "a//b"}), "prefix: must be names"),
            (json!({"accessKeyIdFile": "/no/where"}), "/no/where"),
            (json!({"accessKeyIdFile": null}), "belong together"),
            (json!({"accessKeyIdFile": null, "secretAccessKeyFile": null}), "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ] {
            let error = refusal(&Moto::sink(&spooled, address, &more)).await;
            assert!(error.contains(wanted) && !error.contains("very-secret-key"), "{more}: {error}");
        }
    });
}
