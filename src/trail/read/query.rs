//! Looking something up in a trail: which records are wanted, and how one reads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::trail::record::Class;
use crate::units::duration;

/// Selection of records: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The retention class. A line does not say it: only a database is asked for it.
    pub class: Option<Class>,
    /// The namespace of the object.
    pub namespace: Option<String>,
    /// The name of the user.
    pub user: Option<String>,
    /// The id of a policy that found something.
    pub policy: Option<String>,
    /// The decision, in one word.
    pub decision: Option<String>,
    /// No earlier than this.
    pub since: Option<Timestamp>,
    /// Earlier than this.
    pub until: Option<Timestamp>,
}

/// A record as it is searched and shown.
#[derive(Debug, Deserialize)]
pub struct Row<'l> {
    /// Id of its stream.
    #[serde(borrow)]
    pub stream: Cow<'l, str>,
    seq: u64,
    /// When: RFC 3339, UTC, so that times compare as texts.
    #[serde(borrow)]
    pub time: Cow<'l, str>,
    #[serde(borrow, default)]
    record: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    operation: Cow<'l, str>,
    #[serde(borrow, default)]
    kind: Kind<'l>,
    #[serde(borrow, default)]
    namespace: Cow<'l, str>,
    #[serde(borrow, default)]
    name: Cow<'l, str>,
    #[serde(borrow, default)]
    user: User<'l>,
    #[serde(borrow, default)]
    decision: Cow<'l, str>,
    #[serde(borrow, default)]
    findings: Vec<Finding<'l>>,
    #[serde(borrow, default, rename = "findingsOmitted")]
    omitted: BTreeMap<Cow<'l, str>, u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Kind<'l> {
    #[serde(borrow, default)]
    kind: Cow<'l, str>,
}

#[derive(Debug, Default, Deserialize)]
struct User<'l> {
    #[serde(borrow, default)]
    name: Cow<'l, str>,
}

#[derive(Debug, Default, Deserialize)]
struct Finding<'l> {
    #[serde(borrow, default)]
    policy: Cow<'l, str>,
    #[serde(borrow, default)]
    path: Cow<'l, str>,
    #[serde(borrow, default)]
    message: Cow<'l, str>,
}

impl<'l> Row<'l> {
    /// Reads a line of a trail; `None` when it is not one.
    pub fn read(line: &'l [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The record in one line for people, and one more for each finding, as they were written: what they hold may be
    /// anything, also line ends.
    pub fn lines(&self) -> Vec<String> {
        let Self { time, stream, seq, .. } = self;
        if let Some(record) = &self.record {
            return vec![format!("{time} {record} ({stream}:{seq})")];
        }
        let Self { decision, operation, kind, namespace, name, user, .. } = self;
        let (kind, user) = (&kind.kind, &user.name);
        let first = format!("{time} {decision} {operation} {kind} {namespace}/{name} by {user} ({stream}:{seq})");
        let finding = |Finding { policy, path, message }: &Finding<'_>| format!("  {policy}: {path} {message}");
        let more = self.omitted.iter().map(|(policy, count)| format!("  {policy}: and {count} more"));
        std::iter::once(first).chain(self.findings.iter().map(finding)).chain(more).collect()
    }
}

impl Filter {
    /// Returns true if a record fits. Records of the stream itself fit where only a time is asked for.
    pub fn wants(&self, row: &Row<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let has = |policy: &str| {
            row.findings.iter().any(|finding| finding.policy == policy) || row.omitted.contains_key(policy)
        };
        let time = row.time.parse::<Timestamp>().ok();
        is(&self.namespace, &row.namespace)
            && is(&self.user, &row.user.name)
            && is(&self.decision, &row.decision)
            && self.policy.as_deref().is_none_or(has)
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

/// The text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time (2026-11-22T16:41:00Z), a day (2026-11-22) or how long ago (90m, 12h, 7d)")]
pub struct TimeError;

/// A time: RFC 3339, a day (`2026-11-22`), or how long ago (`90m`, `12h`, `7d`).
///
/// # Errors
/// If the text has another form, or a time that cannot be represented.
pub fn time(text: &str) -> Result<Timestamp, TimeError> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(time) = format!("{text}T00:00:00Z").parse() {
        return Ok(time);
    }
    let ago = duration(text).map_err(|_| TimeError)?;
    Timestamp::now().checked_sub(ago).map_err(|_| TimeError)
}

#[cfg(test)]
mod tests {
    use super::{Filter, Row, time};

    const LINE: &str = r#"{"stream":"a1","seq":7,"prev":"0","time":"2026-11-22T16:41:22.657752Z","cluster":"","endpoint":"validate","caller":"unknown","uid":"u","operation":"CREATE","resource":{},"kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"shop","name":"web\u0041","objectUid":"","user":{"name":"alice","uid":"","groups":[]},"dryRun":false,"decision":"deny","allowed":false,"findings":[{"policy":"root-users","severity":"high","mode":"enforce","path":"spec","message":"must \"be\"","inherited":false}],"hash":"0"}"#;

    #[test]
    fn a_record_is_wanted_when_it_fits_all_that_is_named() {
        let row = Row::read(LINE.as_bytes()).expect("a record");
        let fits = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.wants(&row)
        };
        assert!(fits(|_| {}));
        assert!(fits(|filter| filter.namespace = Some("shop".to_owned())));
        assert!(!fits(|filter| filter.namespace = Some("other".to_owned())));
        assert!(fits(|filter| filter.policy = Some("root-users".to_owned())));
        assert!(!fits(|filter| filter.policy = Some("host-paths".to_owned())));
        assert!(fits(|filter| filter.user = Some("alice".to_owned())));
        assert!(!fits(|filter| filter.decision = Some("allow".to_owned())));
        assert!(fits(|filter| filter.since = time("2026-11-22").ok()));
        assert!(!fits(|filter| filter.until = time("2026-11-22T16:41:22Z").ok()));
        assert_eq!(
            row.lines(),
            ["2026-11-22T16:41:22.657752Z deny CREATE Pod shop/webA by alice (a1:7)", "  root-users: spec must \"be\""]
        );
    }

    #[test]
    fn times_are_told_in_three_ways() {
        assert!(time("2026-11-22T16:41:00Z").is_ok() && time("2026-11-22").is_ok() && time("12h").is_ok());
        for wrong in ["", "h", "yesterday", "-1h", "1w", "99999999999d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
