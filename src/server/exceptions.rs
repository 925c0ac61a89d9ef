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
