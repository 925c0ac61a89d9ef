//! Records that the database's owner drops, and a schema that is applied again or under another name.

use jiff::{SignedDuration, Timestamp};
use portcullis::trail::{Chain, Class, Record, Verification};
use serde_json::{Value, json};

use super::{Carried, events, kept, spooled};
use crate::postgres::Postgres;

fn at(time: Timestamp) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&events()[0]).expect("JSON");
    event["time"] = json!(format!("{time:.6}"));
    serde_json::to_vec(&event).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_drops_old_partitions_of_a_class_and_verify_says_so() {
    let postgres = Postgres::start();
    let sink = || async { Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink") };
    let carried = Carried::to(sink().await);
    for day in (0..5).rev() {
        let time = Timestamp::now() - SignedDuration::from_hours(24 * day);
        carried.record(Class::Allow, at(time)).await;
        carried.record(Class::Allow, at(time)).await;
    }
    carried.finish().await;
    assert_eq!(postgres.verify(&[]).0, Some(0));
    let client = postgres.superuser().await;
    let parts = "SELECT count(DISTINCT tableoid)::int FROM portcullis.trail WHERE class = 'allow'";
    assert_eq!(client.query_one(parts, &[]).await.expect("a row").get::<_, i32>(0), 5);
    client.batch_execute("SET ROLE portcullis_owner").await.expect("the owner");
    let forget = |class: &'static str, days: i32| {
        let client = &client;
        async move {
            let statement = "SELECT * FROM portcullis.forget($1, now() + make_interval(days => $2))";
            client.query(statement, &[&class, &days]).await.expect("dropped").len()
        }
    };
    assert_eq!(forget("refused", -1).await, 0, "a month that is not over stays");
    assert_eq!(forget("allow", -10).await, 0);
    // The stream is gone, and its siblings' checkpoints speak of it.
    assert_eq!(forget("allow", 2).await, 5);
    let (code, said) = postgres.verify(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("its owner dropped it"), "{said}");
    assert!(said.contains("whole as far as it goes"), "{said}");
}

/// The lines of a stream: its start, and so many decisions.
fn stream(decisions: usize) -> Vec<Vec<u8>> {
    let mut chain = Chain::new("a1".to_owned());
    let start = Record::Start { time: Timestamp::now(), cluster: "", configuration: "", version: "", torn: 0 };
    let event = &events()[0];
    let bodies = std::iter::once(start.to_bytes()).chain((0..decisions).map(|_| event.clone()));
    bodies
        .map(|body| {
            let mut line = Vec::new();
            chain.seal(&body, &mut line);
            line.pop();
            line
        })
        .collect()
}

/// A verification that was told up to where the owner dropped the stream, if at all.
fn told(next: Option<u64>) -> Verification {
    let mut verification = Verification::default();
    if let Some(next) = next {
        verification.forgotten("a1".to_owned(), next);
    }
    verification
}

#[test]
fn what_the_owner_dropped_from_the_front_of_a_stream_is_unproven_and_no_more_than_that() {
    let lines = stream(4);
    let rest = |next| {
        let mut verification = told(next);
        for line in &lines[2..] {
            verification.take(line).expect("as it was written");
        }
        verification.finish(true)
    };
    let report = rest(Some(2)).expect("no fault");
    assert!(report.unproven.iter().any(|one| one.contains("records 0 to 1") && one.contains("owner dropped")));
    for too_little in [None, Some(1)] {
        assert!(rest(too_little).expect_err("a fault").message.contains("records 0 to 1 are missing"));
    }
}

#[test]
fn what_the_owner_dropped_from_the_middle_is_unproven_too() {
    // Around midnight a record of the old day may follow one of the new.
    let lines = stream(5);
    let read = |next| {
        let mut verification = told(next);
        for place in [2, 4, 5] {
            verification.take(&lines[place])?;
        }
        verification.finish(true)
    };
    let report = read(Some(4)).expect("no fault");
    assert!(!report.is_proven());
    assert!(report.unproven.iter().any(|one| one.contains("records 3 to 3 of stream a1 are not here")), "{report:?}");
    for too_little in [None, Some(3)] {
        assert!(read(too_little).expect_err("a fault").message.contains("comes too early"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_applied_again_beside_its_records_and_under_another_name() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    carried.record(Class::Allow, events()[0].clone()).await;
    let folder = carried.finish().await;
    postgres.apply("portcullis");
    assert_eq!(kept(&postgres).await, spooled(folder.path()));
    postgres.apply("audit_2");
    postgres.sql("GRANT audit_2_writer TO writing; GRANT audit_2_reader TO reading");
    let settings = postgres.settings(postgres.port, json!({"schema": "audit_2"}));
    let carried = Carried::to(Postgres::sink(settings).await.expect("a sink"));
    carried.record(Class::Access, events()[0].clone()).await;
    carried.finish().await;
    let (code, said) = postgres.verify(&["--schema", "audit_2"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(kept(&postgres).await, spooled(folder.path()), "and not here");
}
