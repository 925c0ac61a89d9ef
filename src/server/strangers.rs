//! Callers that were turned away: counted by address and reason, and written down once a minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::App;
use crate::lock::lock;
use crate::trail::{Class, Reason, Record, Stranger, TrailError};

/// Rows of one record, which takes 6 KB with them. An address is the caller's: beyond these they are only counted.
const ROWS: usize = 64;
/// Time between two records of the counts.
const EVERY: Duration = Duration::from_mins(1);

/// Callers that were turned away since the last record.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    rows: BTreeMap<(IpAddr, Reason), u64>,
    omitted: u64,
}

impl Counts {
    fn add(&mut self, key: (IpAddr, Reason), count: u64) {
        if self.rows.len() < ROWS || self.rows.contains_key(&key) {
            *self.rows.entry(key).or_default() += count;
        } else {
            self.omitted += count;
        }
    }
}

impl Strangers {
    /// Counts one.
    pub(super) fn turn_away(&self, address: IpAddr, reason: Reason) {
        lock(&self.0).add((address.to_canonical(), reason), 1);
    }

    /// Writes down who was turned away, if anybody was. What cannot be written is kept for the next time.
    async fn write_down(&self, write: impl AsyncFnOnce(&[Stranger], u64) -> Result<(), TrailError>) {
        let Counts { rows, omitted } = std::mem::take(&mut *lock(&self.0));
        if rows.is_empty() {
            return;
        }
        let strangers: Vec<Stranger> =
            rows.iter().map(|(&(address, reason), &count)| Stranger { address, reason, count }).collect();
        if let Err(error) = write(&strangers, omitted).await {
            tracing::error!(%error, "callers that were turned away could not be recorded; they are kept");
            let mut counts = lock(&self.0);
            counts.omitted += omitted;
            for (key, count) in rows {
                counts.add(key, count);
            }
        }
    }
}

/// Writes them down each minute, the last ones at the end.
pub async fn record(app: Arc<App>, mut end: oneshot::Receiver<()>) {
    loop {
        let is_over = tokio::time::timeout(EVERY, &mut end).await.is_ok();
        let write = async |callers: &[Stranger], omitted| {
            let body = Record::TurnedAway { time: Timestamp::now(), callers, omitted }.to_bytes();
            app.trail.record(Class::Refused, None, body).await.map(drop)
        };
        app.strangers.write_down(write).await;
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::{Reason, Record, Stranger, Strangers, Timestamp, TrailError};

    /// Rows to record now, and the number of rows left out.
    async fn written(strangers: &Strangers, result: Result<(), TrailError>) -> Option<(Vec<Stranger>, u64)> {
        let mut written = None;
        let write = async |rows: &[Stranger], omitted| {
            written = Some((rows.to_vec(), omitted));
            result
        };
        strangers.write_down(write).await;
        written
    }

    #[tokio::test]
    async fn they_are_counted_by_address_and_reason_and_more_than_fit_are_only_counted() {
        let strangers = Strangers::default();
        assert_eq!(written(&strangers, Ok(())).await, None, "nobody came");
        let address = IpAddr::from([10, 0, 0, 1]);
        for reason in [Reason::NothingShown, Reason::UnknownToken, Reason::NothingShown] {
            strangers.turn_away(address, reason);
        }
        let row = |reason, count| Stranger { address, reason, count };
        let rows = vec![row(Reason::NothingShown, 2), row(Reason::UnknownToken, 1)];
        assert_eq!(written(&strangers, Err(TrailError::Full)).await, Some((rows.clone(), 0)));
        assert_eq!(written(&strangers, Ok(())).await, Some((rows, 0)), "it is kept until it is written");
        assert_eq!(written(&strangers, Ok(())).await, None);

        for number in 0..10_000_u16 {
            let far = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, number);
            strangers.turn_away(far.into(), Reason::NothingShown);
            strangers.turn_away(
                Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0).into(),
                Reason::NothingShown,
            );
        }
        let (rows, omitted) = written(&strangers, Ok(())).await.expect("a record");
        assert_eq!((rows.len(), rows[0].count, omitted), (64, 10_001, 10_000 - 64));
        let record = Record::TurnedAway { time: Timestamp::now(), callers: &rows, omitted };
        assert!(record.to_bytes().len() < 7_000, "{}", record.to_bytes().len());
    }

    #[tokio::test]
    async fn an_address_is_the_same_however_it_came() {
        let strangers = Strangers::default();
        strangers.turn_away("10.0.0.1".parse().expect("an address"), Reason::UnknownToken);
        strangers.turn_away("::ffff:10.0.0.1".parse().expect("an address"), Reason::UnknownToken);
        let (rows, _) = written(&strangers, Ok(())).await.expect("a record");
        assert_eq!((rows.len(), rows[0].count), (1, 2));
    }
}
