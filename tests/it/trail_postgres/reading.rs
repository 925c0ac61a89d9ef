//! Queries: by filter, in the order of time, a page at a time.

use jiff::{SignedDuration, Timestamp};
use portcullis::trail::Class;
use portcullis::trail::database::Reader;
use portcullis::trail::query::Filter;
use serde_json::{Value, json};

use super::{Carried, events};
use crate::postgres::Postgres;
use crate::serve::run;

/// More than a page.
const ADMITTED: usize = 1_200;

/// The uids of what a filter lets through.
async fn found(reader: &mut Reader, filter: &Filter) -> Vec<String> {
    let (mut found, mut place) = (Vec::new(), None);
    loop {
        let entries = reader.after(filter, place.as_ref()).await.expect("read");
        let Some(last) = entries.last() else { return found };
        assert!(found.len() < 10 * ADMITTED, "it never ends");
        assert!(entries.is_sorted_by(|one, other| one.place < other.place));
        place = Some(last.place.clone());
        found.extend(entries.iter().map(|entry| {
            let record: Value = serde_json::from_str(&entry.line).expect("JSON");
            assert_eq!((&record["time"], &record["seq"]), (&json!(entry.place.time), &json!(entry.place.seq)));
            record["uid"].as_str().unwrap_or_default().to_owned()
        }));
    }
}

/// The same event, with other names and at another time.
fn event(body: &[u8], uid: &str, namespace: &str, user: &str, time: Timestamp) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(body).expect("JSON");
    (event["uid"], event["namespace"], event["user"]["name"]) = (json!(uid), json!(namespace), json!(user));
    event["time"] = json!(format!("{time:.6}"));
    serde_json::to_vec(&event).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_by_what_they_say_and_in_their_order() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    // As precise as a record says it.
    let began = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("a time");
    let later = |minutes| began + SignedDuration::from_mins(minutes);
    let [good, bad] = events();
    for turn in 0..ADMITTED {
        let body = event(&good, &format!("good-{turn:04}"), "many", "alice", began);
        carried.record(Class::Allow, body).await;
    }
    for (uid, namespace, user, minutes) in
        [("one", "payments", "alice", 1), ("two", "payments", "bob", 2), ("three", "web", "bob", 3)]
    {
        carried.record(Class::Refused, event(&bad, uid, namespace, user, later(minutes))).await;
    }
    carried.finish().await;
    let mut reader = postgres.database().read().await.expect("a connection");
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (Filter { namespace: text("payments"), ..Filter::default() }, "one two"),
        (Filter { user: text("bob"), ..Filter::default() }, "two three"),
        (Filter { namespace: text("payments"), user: text("bob"), ..Filter::default() }, "two"),
        (Filter { policy: text("unpinned-images"), ..Filter::default() }, "one two three"),
        (Filter { policy: text("unpinned"), ..Filter::default() }, ""),
        (Filter { decision: text("deny"), since: Some(later(2)), ..Filter::default() }, "two three"),
        (Filter { decision: text("deny"), until: Some(later(2)), ..Filter::default() }, "one"),
        (Filter { class: Some(Class::Access), decision: text("deny"), ..Filter::default() }, ""),
        (Filter { namespace: text("' OR true --"), ..Filter::default() }, ""),
    ];
    for (filter, wanted) in cases {
        assert_eq!(found(&mut reader, &filter).await.join(" "), wanted, "{filter:?}");
    }
    let many = Filter { namespace: text("many"), ..Filter::default() };
    let all = found(&mut reader, &many).await;
    assert_eq!(all.len(), ADMITTED);
    assert!(all.is_sorted(), "the same moment, by stream and number");
    let last = reader.last(&Filter { decision: text("deny"), ..Filter::default() }, 2).await.expect("read");
    assert_eq!(last.len(), 2);
    assert!(last[0].line.contains("\"uid\":\"two\"") && last[1].line.contains("\"uid\":\"three\""));
    let everything = found(&mut reader, &Filter::default()).await;
    assert!(everything.len() > ADMITTED + 3, "with the records of the streams themselves");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_the_same_of_the_database_as_of_the_spool() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    let [good, bad] = events();
    let mut middle = String::new();
    for turn in 0..60 {
        let at = Timestamp::now();
        if turn == 30 {
            middle = format!("{at:.6}");
        }
        let (namespace, user) = (["pay", "web", "web"][turn % 3], ["alice", "bob"][turn % 2]);
        let (class, body) = if turn % 4 == 1 { (Class::Refused, &bad) } else { (Class::Allow, &good) };
        carried.record(class, event(body, &format!("uid-{turn}"), namespace, user, at)).await;
    }
    let folder = carried.finish().await;
    let spool = folder.path().to_str().expect("UTF-8");
    let arguments = postgres.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let cases: [(&[&str], usize); 9] = [
        (&["query"], 60),
        (&["query", "--namespace", "pay"], 20),
        (&["query", "--user", "bob", "--namespace", "web"], 20),
        (&["query", "--decision", "deny"], 15),
        (&["query", "--policy", "unpinned-images", "--since", &middle], 7),
        (&["query", "--until", &middle, "--decision", "allow"], 22),
        (&["query", "--namespace", "' OR true --"], 0),
        (&["tail", "-n", "7", "--decision", "allow"], 7),
        (&["tail", "-n", "99", "--user", "alice"], 30),
    ];
    for (asked, count) in cases {
        for format in ["json", "text"] {
            let more = [&asked[1..], &["--format", format]].concat();
            let [of_spool, of_database] = [&[spool][..], &arguments[..]].map(|place| {
                let (code, stdout, stderr) = run(&[&["trail", asked[0]], place, &more[..]].concat(), "");
                assert_eq!((code, stderr.as_str()), (Some(0), ""), "{asked:?}");
                stdout
            });
            assert!(of_spool == of_database, "{asked:?} as {format}\n{of_spool}\n{of_database}");
            let shown = of_database.lines().filter(|line| format == "json" && line.contains("\"decision\":")).count();
            assert!(format == "text" || shown == count, "{asked:?}: {shown} of {count}");
        }
    }
}
