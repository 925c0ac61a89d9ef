//! The columns are made of the line, and say of every kind of record what it says.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portcullis::trail::{Class, Omitted, Record};
use serde_json::{Value, json};

use super::{Carried, events, kept, spooled};
use crate::postgres::Postgres;

/// A column, where its value lies in the record, and its SQL as text.
const COLUMNS: [(&str, &str); 19] = [
    ("stream", "/stream"),
    ("seq", "/seq"),
    ("cluster", "/cluster"),
    ("endpoint", "/endpoint"),
    ("caller", "/caller"),
    ("uid", "/uid"),
    ("operation", "/operation"),
    ("api_group", "/kind/group"),
    ("kind", "/kind/kind"),
    ("resource", "/resource/resource"),
    ("subresource", "/resource/subresource"),
    ("namespace", "/namespace"),
    ("name", "/name"),
    ("user_name", "/user/name"),
    ("dry_run", "/dryRun"),
    ("decision", "/decision"),
    ("allowed", "/allowed"),
    ("configuration", "/configuration"),
    ("coalesce(nullif(record, 'decision'))", "/record"),
];

/// Holds every row to its line; hands out the kinds of records that there were.
pub(super) async fn fit(postgres: &Postgres) -> BTreeSet<String> {
    let client = postgres.superuser().await;
    let list: Vec<String> = COLUMNS.iter().map(|(column, _)| format!("({column})::text")).collect();
    let time = r#"to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;
    let statement = format!("SELECT line, {time}, policies, class, record, {} FROM portcullis.trail", list.join(", "));
    let mut kinds = BTreeSet::new();
    for row in client.query(&statement, &[]).await.expect("rows") {
        let line: String = row.get(0);
        let record: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["time"], row.get::<_, String>(1), "{line}");
        let mut found: Vec<&str> = record["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|finding| finding["policy"].as_str())
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, row.get::<_, Vec<&str>>(2), "{line}");
        for (place, (column, pointer)) in COLUMNS.iter().enumerate() {
            let said = record.pointer(pointer).filter(|value| !value.is_null());
            let said = said.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            assert_eq!(said, row.get::<_, Option<String>>(5 + place), "{column} of {line}");
        }
        if let Some(note) = record["note"].as_str() {
            assert!(note.contains(&format!("\nclass {}\n", row.get::<_, &str>(3))), "{line}");
        }
        kinds.insert(row.get(4));
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_say_what_the_line_says_for_every_kind_of_record() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    let time = Timestamp::now();
    let omitted = Omitted {
        endpoint: "validate",
        operation: "CREATE",
        kind: "Pod".to_owned(),
        namespace: "default".to_owned(),
        count: 7,
    };
    let records = [
        Record::Retention { time, first: 0, removed: 0, lost: 0, early: 0, reason: "age" },
        Record::Counters { time, sample: 10, omitted: &[omitted] },
        Record::Configuration { time, old: "c0", configuration: "c1", weaker: &[] },
        Record::Webhooks {
            time,
            configuration: "c1",
            lag: &["it's \"late\"".to_owned()],
            missing: &[],
            drift: &[],
            provider: &[],
            repaired: &[],
        },
        Record::Workloads { time, configuration: "c1", missing: &["a.b \"C\"".to_owned()] },
        Record::Refused { time, configuration: "c1", errors: &[] },
    ];
    for record in &records {
        carried.record(Class::Refused, record.to_bytes()).await;
    }
    let [allowed, refused] = events();
    carried.record(Class::Allow, allowed).await;
    // A word of its own in each place.
    let mut event: Value = serde_json::from_slice(&refused).expect("JSON");
    for (_, pointer) in COLUMNS {
        if let Some(value) = event.pointer_mut(pointer).filter(|value| value.is_string()) {
            *value = json!(format!("the{}", pointer.replace('/', " ")));
        }
    }
    (event["user"]["uid"], event["dryRun"]) = (json!("another"), json!(true));
    carried.record(Class::Refused, serde_json::to_vec(&event).expect("JSON")).await;
    carried.finish().await;
    let kinds = fit(&postgres).await;
    let wanted =
        "checkpoint configuration configuration-refused counters decision retention start stop webhooks workloads";
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" "), wanted);
    assert_eq!(postgres.verify(&[]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_that_somebody_sends_keeps_a_record_out() {
    let postgres = Postgres::start();
    let carried = Carried::to(Postgres::sink(postgres.settings(postgres.port, json!({}))).await.expect("a sink"));
    let texts = [
        "\0".to_owned(),
        "\\u0000 \\\0 \\\\\0".to_owned(),
        "a\u{1}\u{7f}\u{ffff}\u{10ffff}\t\r\n\"'\\$$%s{},".to_owned(),
        // Longer than an index takes, and not to be compressed.
        (0..1_024_u32).filter_map(|at| char::from_u32(0x1_0000 + at * 7_919 % 0xf_0000)).collect(),
        String::new(),
    ];
    for text in &texts {
        let mut event: Value = serde_json::from_slice(&events()[1]).expect("JSON");
        for place in ["/namespace", "/name", "/uid", "/user/name", "/kind/kind", "/findings/0/message"] {
            *event.pointer_mut(place).expect("a field") = json!(text);
        }
        carried.record(Class::Refused, serde_json::to_vec(&event).expect("JSON")).await;
    }
    // The largest that there are.
    for event in crate::trail_bound::worst() {
        carried.record(Class::Refused, event).await;
    }
    // From a clock that was wrong, and one that will be.
    for time in ["1970-01-01T00:00:00.000000Z", "2199-12-31T23:59:59.999999Z"] {
        let mut event: Value = serde_json::from_slice(&events()[0]).expect("JSON");
        event["time"] = json!(time);
        carried.record(Class::Allow, serde_json::to_vec(&event).expect("JSON")).await;
    }
    let folder = carried.finish().await;
    assert_eq!(kept(&postgres).await, spooled(folder.path()));
    let (code, said) = postgres.verify(&[]);
    assert_eq!(code, Some(0), "{said}");
}
