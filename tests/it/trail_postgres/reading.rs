//! What is asked for is found: by filter, in the order of time, a page at a time.

use jiff::{SignedDuration, Timestamp};
use portcullis::trail::Class;
use portcullis::trail::database::Reader;
use portcullis::trail::query::Filter;
use serde_json::{Value, json};

use super::{Carried, events};
use crate::postgres::Postgres;

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

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_by_what_they_say_and_in_their_order() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    // As precise as a record says it.
    let began = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("a time");
    let event = |body: &[u8], uid: &str, namespace: &str, user: &str, time: Timestamp| {
        let mut event: Value = serde_json::from_slice(body).expect("JSON");
        (event["uid"], event["namespace"], event["user"]["name"]) = (json!(uid), json!(namespace), json!(user));
        event["time"] = json!(format!("{time:.6}"));
        serde_json::to_vec(&event).expect("JSON")
    };
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
