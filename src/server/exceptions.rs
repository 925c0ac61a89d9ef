//! The exceptions of the configuration in force: their line in `/readyz?verbose`, a warning when one ends, and a record a day
//! of what became of them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::App;
use super::readiness::Check;
use crate::exception::{Exceptions, Need, Shared, State};
use crate::trail::{Class, Record, Standing, TrailError};

/// Time between two looks at the ends of exceptions and at the clock.
const LOOK: Duration = Duration::from_secs(1);
/// Exceptions of each sort that the line in `/readyz?verbose` names; the others are counted.
const NAMED: usize = 3;

/// The line in `/readyz?verbose`. What is lapsing, lapsed or not needed asks for a look; after a start every exception is unused.
pub(super) fn check(exceptions: &Exceptions, now: Timestamp) -> Check {
    let all: Vec<(&Shared, State)> = exceptions.iter().map(|one| (one, one.state(now))).collect();
    if all.is_empty() {
        return Check::shown("exceptions", None, "none are configured".to_owned());
    }
    let of_state = |wanted: State| -> Vec<String> {
        let mut found: Vec<&Shared> = all.iter().filter(|(_, state)| *state == wanted).map(|(one, _)| *one).collect();
        found.sort_by_key(|one| one.expires);
        found.into_iter().map(|one| format!("{} until {}", one.name, one.expires)).collect()
    };
    let of_need = |wanted: Need| -> Vec<String> {
        let in_force = all.iter().filter(|(one, state)| *state != State::Lapsed && one.need() == wanted);
        in_force.map(|(one, _)| one.name.clone()).collect()
    };
    let lapsed = of_state(State::Lapsed);
    let mut told = vec![format!("{} in force", all.len() - lapsed.len())];
    let calling = [("lapsing", of_state(State::Lapsing)), ("lapsed", lapsed), ("not needed", of_need(Need::NotNeeded))];
    told.extend(calling.iter().filter_map(|(what, names)| named(what, names)));
    let is_amiss = told.len() > 1;
    told.extend(named("unused", &of_need(Need::Unused)));
    let told = told.join("; ");
    Check::shown("exceptions", is_amiss.then(|| told.clone()), told)
}

/// The number of these exceptions, and the first names; `None` if there are none.
fn named(what: &str, names: &[String]) -> Option<String> {
    let (first, others) = names.split_at(names.len().min(NAMED));
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    (!names.is_empty()).then(|| format!("{} {what}: {}{more}", names.len(), first.join(", ")))
}

/// Tells in the log which exception has ended, and records all of them at every multiple of `every` since 1970: for a day, at
/// midnight UTC. Returns when the trail has ended.
pub async fn watch(app: Arc<App>, every: SignedDuration) {
    let mut watch = Watch::new(every, Timestamp::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Timestamp::now();
        let snapshot = app.snapshot.load_full();
        for ended in watch.ended(snapshot.exceptions(), now) {
            let (exception, expires) = (&ended.name, ended.expires.to_string());
            tracing::warn!(exception, expires, "an exception has ended: findings that it covered refuse from now on");
        }
        if !watch.is_due(now) {
            continue;
        }
        let written = match record(snapshot.digest(), snapshot.exceptions(), now) {
            Some(body) => app.trail.record(Class::Refused, None, body).await.map(drop),
            None => Ok(()),
        };
        match written {
            Ok(()) => watch.written(now),
            Err(TrailError::Closed) => return,
            Err(error) => tracing::error!(%error, "the exceptions could not be recorded; it is tried again"),
        }
    }
}

/// The record of all exceptions, those first that somebody should look at; `None` if there are none.
fn record(configuration: &str, exceptions: &Exceptions, now: Timestamp) -> Option<Vec<u8>> {
    let mut all: Vec<(State, Need, &Shared)> = exceptions.iter().map(|one| (one.state(now), one.need(), one)).collect();
    // Of one state and need they stay in the order of their names. One that is unused may be so since a moment ago.
    all.sort_by_key(|(state, need, _)| (*state, *need != Need::NotNeeded, *need));
    let standing = |(state, need, one): &(State, Need, &'_ Shared)| Standing {
        name: Cow::Owned(one.name.clone()),
        state: state.as_str(),
        need: need.as_str(),
        uses: one.uses(),
        since: one.counted_since(),
        expires: one.expires,
    };
    let standings: Vec<Standing<'_>> = all.iter().map(standing).collect();
    let record = Record::Exceptions { time: now, configuration, exceptions: &standings };
    (!standings.is_empty()).then(|| record.to_bytes())
}

/// Times of what was told and of what is to be recorded.
#[derive(Debug)]
struct Watch {
    every: SignedDuration,
    looked: Timestamp,
    due: Timestamp,
}

impl Watch {
    fn new(every: SignedDuration, now: Timestamp) -> Self {
        Self { every, looked: now, due: next(every, now) }
    }

    /// The exceptions that ended since this was last asked.
    fn ended<'e>(&mut self, exceptions: &'e Exceptions, now: Timestamp) -> Vec<&'e Shared> {
        let looked = self.looked;
        // A clock that goes back tells nothing twice.
        self.looked = looked.max(now);
        exceptions.iter().filter(|one| looked < one.expires && one.expires <= now).collect()
    }

    /// True if a record is due. After a clock went back, the next one comes as soon as by that clock.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = now >= self.due;
        if !is_due {
            self.due = self.due.min(next(self.every, now));
        }
        is_due
    }

    fn written(&mut self, now: Timestamp) {
        self.due = next(self.every, now);
    }
}

/// The first multiple of `every` after a time.
fn next(every: SignedDuration, now: Timestamp) -> Timestamp {
    let every = every.as_secs().max(1);
    let multiple = now.as_second().div_euclid(every).saturating_add(1).saturating_mul(every);
    Timestamp::from_second(multiple).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Exceptions, Watch, check, next, record};
    use crate::config::compile_at;
    use crate::exception::Seen;
    use crate::snapshot::Snapshot;
    use crate::trail::RECORD;

    const NOW: &str = "2026-11-26T12:00:00Z";
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    /// Exceptions with these names and ends, each for a Pod of its name.
    fn configured(entries: &[(String, &str)]) -> Snapshot {
        let mut text = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nexceptions:\n".to_owned();
        for (name, end) in entries {
            let matching = format!("{{namespace: a, kind: Pod, name: {name}}}");
            text += &format!(
                "- {{name: {name}, policies: [root-users], match: {matching}, expires: {end}, reason: r, owner: o}}\n"
            );
        }
        if entries.is_empty() {
            text += "  []\n";
        }
        compile_at("config.yaml", &text, None, time(NOW)).expect("compiles").snapshot
    }

    fn names(exceptions: &[&super::Shared]) -> Vec<String> {
        exceptions.iter().map(|one| one.name.clone()).collect()
    }

    #[test]
    fn a_record_is_due_at_each_midnight_and_again_until_it_is_written() {
        for (now, due) in [
            ("2026-11-26T12:00:00Z", "2026-11-27T00:00:00Z"),
            ("2026-11-26T23:59:59.9Z", "2026-11-27T00:00:00Z"),
            ("2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"),
            ("1969-12-31T12:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(next(DAY, time(now)), time(due), "{now}");
        }
        let mut watch = Watch::new(DAY, time(NOW));
        assert!(!watch.is_due(time("2026-11-26T23:59:59Z")));
        assert!(watch.is_due(time("2026-11-27T00:00:00Z")));
        assert!(watch.is_due(time("2026-11-27T00:00:01Z")), "it was not written");
        watch.written(time("2026-11-27T00:00:01Z"));
        assert!(!watch.is_due(time("2026-11-27T23:59:59Z")));
        // Three days of sleep are one record.
        assert!(watch.is_due(time("2026-11-30T08:00:00Z")));
        watch.written(time("2026-11-30T08:00:00Z"));
        assert!(!watch.is_due(time("2026-11-30T08:00:01Z")));
        // A clock that was ahead comes back.
        assert!(!watch.is_due(time("2026-11-27T08:00:00Z")));
        assert!(watch.is_due(time("2026-11-28T00:00:00Z")));
    }

    #[test]
    fn an_end_is_told_once_whatever_the_clock_does() {
        let snapshot = configured(&[
            ("first".to_owned(), "2026-11-26T12:00:05Z"),
            ("second".to_owned(), "2026-11-26T12:01:00Z"),
            ("before".to_owned(), "2026-11-26T11:00:00Z"),
        ]);
        let mut watch = Watch::new(DAY, time(NOW));
        for (now, expected) in [
            ("2026-11-26T12:00:04.9Z", &[][..]),
            ("2026-11-26T12:00:05Z", &["first"]),
            ("2026-11-26T12:00:06Z", &[]),
            ("2026-11-26T12:00:01Z", &[]),
            ("2026-11-26T12:00:07Z", &[]),
            ("2026-11-27T00:00:00Z", &["second"]),
            ("2026-11-27T00:00:01Z", &[]),
        ] {
            assert_eq!(names(&watch.ended(snapshot.exceptions(), time(now))), expected, "{now}");
        }
    }

    /// As many exceptions as a configuration may hold, with the longest names.
    fn most() -> Snapshot {
        let entries: Vec<(String, &str)> = (0..4_096)
            .map(|number| {
                let end = ["2026-11-26T11:00:00Z", "2026-11-30T00:00:00Z", "2027-11-01T00:00:00Z"][number % 3];
                (format!("e{number:0>62}"), end)
            })
            .collect();
        configured(&entries)
    }

    #[test]
    fn a_record_is_bounded_and_begins_with_what_somebody_should_look_at() {
        assert_eq!(record("digest", &Exceptions::default(), time(NOW)), None, "there is nothing to say");
        let snapshot = most();
        let exceptions = snapshot.exceptions();
        exceptions.iter().nth(4_094).expect("an active one").count(Seen::Clean);
        exceptions.iter().nth(2).expect("an active one").count(Seen::Used);
        let body = record("digest", exceptions, time(NOW)).expect("a record");
        assert!(body.len() < RECORD - 512, "{}", body.len());
        let record: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let rows = record["exceptions"].as_array().expect("a list");
        assert!(rows.len() == 256 && rows.iter().all(|row| row["state"] == "lapsed"));
        let omitted =
            serde_json::json!({"lapsed": 1_366 - 256, "lapsing": 1_365, "not-needed": 1, "unused": 1_363, "needed": 1});
        assert_eq!(record["exceptionsOmitted"], omitted);

        let few = configured(&["a", "b", "c"].map(|name| (name.to_owned(), "2027-11-01T00:00:00Z")));
        for (name, seen) in [("a", Seen::Used), ("c", Seen::Clean)] {
            few.exceptions().iter().find(|one| one.name == name).expect("it").count(seen);
        }
        let body = super::record("digest", few.exceptions(), time(NOW)).expect("a record");
        let record: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let rows: Vec<_> = record["exceptions"].as_array().expect("a list").iter().map(|row| &row["name"]).collect();
        assert_eq!(rows, ["c", "b", "a"]);
        assert!(record.get("exceptionsOmitted").is_none());
    }

    #[test]
    fn the_line_is_bounded_and_asks_for_a_look_where_one_is_due() {
        let line = check(most().exceptions(), time(NOW)).to_string();
        assert!(line.len() < 1_024, "{line}");
        let counted =
            ["[!]exceptions: 2730 in force; 1365 lapsing: ", " and 1362 more; 1366 lapsed: ", "; 2730 unused: "];
        assert!(counted.iter().all(|text| line.contains(text)), "{line}");
        let end = "2027-11-01T00:00:00Z";
        let of = |entries: &[(&str, &str)]| {
            configured(&entries.iter().map(|(name, end)| ((*name).to_owned(), *end)).collect::<Vec<_>>())
        };
        let said = |snapshot: &Snapshot| check(snapshot.exceptions(), time(NOW)).to_string();
        assert_eq!(said(&of(&[])), "[+]exceptions none are configured");
        let one = of(&[("a", end)]);
        assert_eq!(said(&one), "[+]exceptions 1 in force; 1 unused: a");
        let count = |seen| one.exceptions().iter().for_each(|one| one.count(seen));
        count(Seen::Used);
        assert_eq!(said(&one), "[+]exceptions 1 in force");
        count(Seen::Clean);
        assert_eq!(said(&one), "[!]exceptions: 1 in force; 1 not needed: a");
        let ending = of(&[("a", "2026-12-10T12:00:00Z"), ("b", "2026-12-01T00:00:00Z"), ("c", end)]);
        let expected = "[!]exceptions: 3 in force; 2 lapsing: b until 2026-12-01T00:00:00Z, a until 2026-12-10T12:00:00Z; \
                        3 unused: a, b, c";
        assert_eq!(said(&ending), expected);
        assert!(check(ending.exceptions(), time(NOW)).passes());
    }
}
