//! Tampering by somebody who may do everything in the database.

use portcullis::trail::Class;
use serde_json::json;

use super::{Carried, events, kept, spooled};
use crate::postgres::Postgres;

/// A database with a trail of some decisions, and its spool.
async fn filled(postgres: &Postgres) -> tempfile::TempDir {
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    for _ in 0..20 {
        for (class, body) in [Class::Allow, Class::Refused].into_iter().zip(events()) {
            carried.record(class, body).await;
        }
    }
    carried.finish().await
}

/// The `stream:seq` of a record.
async fn record(postgres: &Postgres, condition: &str) -> String {
    let client = postgres.superuser().await;
    let statement = format!("SELECT stream || ':' || seq FROM portcullis.trail WHERE {condition} ORDER BY seq LIMIT 1");
    client.query_one(&statement, &[]).await.expect("a record").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_superuser_does_is_named() {
    let postgres = Postgres::start();
    let _spool = filled(&postgres).await;
    assert_eq!(postgres.verify(&[]).0, Some(0));
    postgres.sql("CREATE TABLE copy AS SELECT class, time, line FROM portcullis.trail");
    let restore = "TRUNCATE portcullis.trail; INSERT INTO portcullis.trail (class, time, line) SELECT class, time, line FROM copy";
    let fifth = record(&postgres, "class = 'refused' AND decision = 'deny' AND seq > 5").await;
    let (stream, seq) = fifth.split_once(':').expect("an id");
    let here = format!("class = 'refused' AND seq = {seq}");
    let sixth = format!("{stream}:{}", seq.parse::<u64>().expect("a number") + 1);
    let cases = [
        (
            format!("UPDATE portcullis.trail SET line = replace(line, '\"deny\"', '\"warn\"') WHERE {here}"),
            &fifth,
            "was changed",
        ),
        (format!("DELETE FROM portcullis.trail WHERE {here}"), &sixth, "comes too early"),
        // The same number a second time: under another time, which the key does not forbid.
        (
            format!(
                "INSERT INTO portcullis.trail (class, time, line) SELECT class, time + interval '1 hour', \
                 replace(line, substr(line, strpos(line, '\"time\":') + 8, 27), \
                 to_char(time AT TIME ZONE 'UTC' + interval '1 hour', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')) \
                 FROM portcullis.trail WHERE {here}"
            ),
            &fifth,
            "was changed",
        ),
        (
            "DELETE FROM portcullis.trail WHERE class = 'allow'".to_owned(),
            &String::new(),
            "is not here; the checkpoint",
        ),
        (
            "DELETE FROM portcullis.trail WHERE class = 'allow' AND seq < 3".to_owned(),
            &String::new(),
            "are missing from the front",
        ),
    ];
    for (statement, named, wanted) in cases {
        postgres.sql(&statement);
        let (code, said) = postgres.verify(&[]);
        assert_eq!(code, Some(1), "{statement}: {said}");
        assert!(said.contains(wanted) && said.contains(named.as_str()), "{statement}: {said}");
        postgres.sql(restore);
        assert_eq!(postgres.verify(&[]).0, Some(0), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_differs_is_never_written_over_and_kept_aside() {
    let postgres = Postgres::start();
    let folder = filled(&postgres).await;
    let fifth = record(&postgres, "class = 'refused' AND decision = 'deny' AND seq > 5").await;
    let seq = fifth.split_once(':').expect("an id").1;
    let sixth = seq.parse::<u64>().expect("a number") + 1;
    // One is changed where it is, one moved to another month, with its time.
    postgres.sql(&format!(
        "UPDATE portcullis.trail SET line = replace(line, '\"deny\"', '\"warn\"') WHERE class = 'refused' AND seq = {seq};
         SELECT portcullis.partition('refused', '2020-01-01 00:00Z');
         UPDATE portcullis.trail SET time = '2020-01-01 00:00Z', line = replace(line, substr(line, strpos(line, '\"time\":') + 8, 27),
         '2020-01-01T00:00:00.000000Z') WHERE class = 'refused' AND seq = {sixth}"
    ));
    let altered = kept(&postgres).await;
    // Everything comes again.
    std::fs::remove_dir_all(folder.path().join("cursors")).expect("removed");
    let sink = Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink");
    let folder = Carried::over(folder, sink).finish().await;
    let (now, spooled) = (kept(&postgres).await, spooled(folder.path()));
    assert!(altered.iter().all(|line| now.contains(line)), "nothing was written over");
    assert_eq!(now.len(), spooled.len(), "and what came later was taken");
    let client = postgres.superuser().await;
    let aside = client
        .query("SELECT stream || ':' || seq, line FROM portcullis.conflicts ORDER BY seq", &[])
        .await
        .expect("rows");
    assert_eq!(aside.len(), 2);
    assert_eq!(aside[0].get::<_, String>(0), fifth);
    assert!(aside.iter().all(|row| spooled.contains(&row.get(1))));
    let (code, said) = postgres.verify(&[]);
    assert!(code == Some(1) && said.contains(&fifth), "{said}");
    // Even where the altered record fits, the one kept aside speaks.
    postgres.sql("TRUNCATE portcullis.trail");
    for line in &spooled {
        let class = if line.contains("\"class\":") { "refused" } else { "allow" };
        client
            .execute(
                "INSERT INTO portcullis.trail (class, time, line) VALUES ($1, portcullis.moment($2), $2)",
                &[&class, line],
            )
            .await
            .expect("restored");
    }
    let (code, said) = postgres.verify(&[]);
    assert!(code == Some(1) && said.contains("table conflicts") && said.contains(&fifth), "{said}");
}
