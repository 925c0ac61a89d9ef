//! Behaviour of a spool when the clock leaps.

use jiff::{SignedDuration, Timestamp};

use super::{Guarantee, Item, LEAPT, Spool, SpoolSettings};
use crate::trail::record::Class;

const KEPT: SignedDuration = SignedDuration::from_hours(1);

fn settings(directory: &std::path::Path) -> SpoolSettings {
    SpoolSettings {
        directory: directory.to_owned(),
        guarantee: Guarantee::Buffered,
        segment_bytes: 4 << 10,
        max_bytes: 1 << 28,
        retention: [KEPT; 3],
    }
}

fn fill(spool: &mut Spool, now: Timestamp) {
    let body = format!("{{\"time\":\"{now}\",\"uid\":\"{}\"}}", "x".repeat(300));
    for _ in 0..20 {
        let item = Item { class: Class::Refused, source: None, body: body.as_bytes() };
        assert!(spool.append(&[item], now)[0].is_ok());
    }
}

fn first(spool: &Spool) -> u64 {
    spool.index().records(Class::Refused).0
}

#[test]
fn a_clock_that_leaps_removes_nothing_and_what_is_recorded_meanwhile_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = Timestamp::now();
    let open = || Spool::open(settings(folder.path()), None).expect("a spool");
    let mut spool = open();
    spool.start(|_| b"{\"record\":\"start\"}".to_vec()).expect("started");
    fill(&mut spool, now);
    let leapt = now + KEPT * 24;
    for minute in 0..30 {
        spool.tick(leapt + SignedDuration::from_mins(minute));
        fill(&mut spool, leapt + SignedDuration::from_mins(minute));
    }
    assert_eq!(first(&spool), 0, "all evidence was old at once");
    assert!(spool.ahead().is_some_and(|ahead| ahead > KEPT * 23));
    // A restart does not make it right, although its last record is of that clock.
    drop(spool);
    let mut spool = open();
    spool.tick(leapt + KEPT);
    assert_eq!(first(&spool), 0);
    assert!(folder.path().join(LEAPT).exists());
    // One that is right removes what is old, and nothing else.
    drop(spool);
    std::fs::remove_file(folder.path().join(LEAPT)).expect("removed");
    let other = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(settings(other.path()), None).expect("a spool");
    fill(&mut spool, now - KEPT * 2);
    spool.tick(now);
    assert!(first(&spool) > 0);
}
