//! A database that stops, starts and loses its connections, while decisions are made.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use portcullis::trail::Class;
use serde_json::{Value, json};

use super::{Carried, events, kept, spooled};
use crate::postgres::Postgres;
use crate::postgres::proxy::Proxy;

/// Decisions, and how many are made at once.
const DECISIONS: usize = 50_000;
const AT_ONCE: usize = 250;
/// Records that may wait while the database is there, so that it is not there at different places of them.
const WAITING: u64 = 5_000;
/// The most that all of it may take.
const PATIENCE: Duration = Duration::from_mins(6);
/// Seed for the places at which connections are cut, and the number of cuts.
const SEED: u64 = 20_260_722;
const CUTS: u32 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_there_once_after_outages_and_cut_connections() {
    let mut postgres = Postgres::start();
    let proxy = Proxy::start(postgres.port, SEED, CUTS);
    let sink = Postgres::sink(postgres.settings(proxy.address.port(), json!({}))).await.expect("a sink");
    let carried = Carried::to(sink);
    let (started, bodies) = (Instant::now(), events());
    for round in 0..DECISIONS / AT_ONCE {
        while postgres.is_up() && carried.behind() > WAITING {
            assert!(started.elapsed() < PATIENCE, "{} records wait, and nothing moves", carried.behind());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let classes = (0..AT_ONCE).map(|one| match (round + one) % 10 {
            0..7 => Class::Allow,
            7..9 => Class::Refused,
            _ => Class::Access,
        });
        join_all(classes.map(|class| carried.record(class, bodies[usize::from(class != Class::Allow)].clone()))).await;
        match round {
            // It ends in order, and nothing answers for a while.
            40 => postgres.down("INT"),
            60 => postgres.up(),
            // It crashes, and recovers.
            90 | 140 => {
                postgres.down("QUIT");
                tokio::time::sleep(Duration::from_millis(500)).await;
                postgres.up();
            }
            _ => {}
        }
    }
    let made = started.elapsed();
    // Once more, with records on the way.
    postgres.down("QUIT");
    postgres.up();
    let folder = carried.finish().await;
    eprintln!("{DECISIONS} decisions made in {made:?}, delivered after {:?}, {} cuts", started.elapsed(), proxy.cut());
    assert!(proxy.cut() > CUTS / 2, "{} connections were cut", proxy.cut());
    let (kept, spooled) = (kept(&postgres).await, spooled(folder.path()));
    assert!(spooled.len() > DECISIONS);
    assert_eq!(kept.len(), spooled.len());
    for (kept, spooled) in kept.iter().zip(&spooled) {
        assert_eq!(kept, spooled);
    }
    let (code, said) = postgres.verify(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ok: every record that is here is as it was written"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_comes_again_and_is_there_once() {
    let postgres = Postgres::start();
    let settings = postgres.settings(postgres.port, json!({}));
    let carried = Carried::to(Postgres::sink(settings.clone()).await.expect("a sink"));
    for body in events() {
        carried.record(Class::Refused, body).await;
    }
    let folder = carried.finish().await;
    // Where the sink was is forgotten: everything comes again, and a little more.
    std::fs::remove_dir_all(folder.path().join("cursors")).expect("removed");
    let carried = Carried::over(folder, Postgres::sink(settings).await.expect("a sink"));
    carried.record(Class::Allow, events()[0].clone()).await;
    let folder = carried.finish().await;
    assert_eq!(kept(&postgres).await, spooled(folder.path()));
    let client = postgres.superuser().await;
    let conflicts = client.query("SELECT FROM portcullis.conflicts", &[]).await.expect("rows");
    assert!(conflicts.is_empty());
    assert_eq!(postgres.verify(&[]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_database_does_not_take_is_set_aside_and_the_next_ones_come() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    let numbered = |number: usize| {
        let mut event: Value = serde_json::from_slice(&events()[1]).expect("JSON");
        event["uid"] = json!(format!("uid-{number}"));
        // No time that a database knows.
        if number == 17 {
            event["time"] = json!("2026-02-31T25:61:00Z");
        }
        serde_json::to_vec(&event).expect("JSON")
    };
    // Until all are recorded it takes nothing: they come together, and the one has to be found.
    let client = postgres.superuser().await;
    client.batch_execute("BEGIN; LOCK TABLE portcullis.trail").await.expect("locked");
    for number in 0..60 {
        carried.record(Class::Refused, numbered(number)).await;
    }
    client.batch_execute("COMMIT").await.expect("unlocked");
    let folder = carried.finish().await;
    let aside = folder.path().join("set-aside/database");
    let files: Vec<_> = std::fs::read_dir(aside).expect("a folder").map(|file| file.expect("a file").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let line = std::fs::read_to_string(&files[0]).expect("read");
    assert!(line.contains("\"uid-17\""), "{line}");
    let (kept, mut spooled) = (kept(&postgres).await, spooled(folder.path()));
    spooled.retain(|record| !line.contains(record.trim_end()));
    assert_eq!(kept, spooled);
}

/// A setting of the role by which every session fails as it begins: another function is found for one of its statements.
/// It raises P0001, of the class of errors that are about a record where the function that appends raises them.
const BROKEN: &str = "CREATE SCHEMA broken;
    GRANT USAGE ON SCHEMA broken TO writing;
    CREATE FUNCTION broken.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'no session may begin';
    END $$;
    ALTER ROLE writing SET search_path = broken, pg_catalog";
/// Failures of deliveries: more than it takes until a record is set aside.
const FAILURES: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_set_aside_because_no_session_can_begin() {
    let postgres = Postgres::start();
    let client = postgres.superuser().await;
    client.batch_execute(BROKEN).await.expect("broken");
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    for _ in 0..10 {
        carried.record(Class::Refused, events()[1].clone()).await;
    }
    let started = Instant::now();
    let failures = || carried.couriers.counters().map(|(_, counters)| counters.failures.load(Ordering::Relaxed)).sum();
    while FAILURES > failures() {
        assert!(started.elapsed() < PATIENCE, "it does not try again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(kept(&postgres).await.is_empty(), "a session began");
    client.batch_execute("ALTER ROLE writing RESET search_path").await.expect("mended");
    let folder = carried.finish().await;
    let aside = folder.path().join("set-aside/database");
    assert!(!aside.exists(), "{:?}", std::fs::read_dir(&aside).map(Iterator::count));
    assert_eq!(kept(&postgres).await, spooled(folder.path()));
}
