//! The counts of decisions that sampling leaves out, as records.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::App;
use crate::trail::{Class, Omitted, Record};

/// Time between two records of counts.
const INTERVAL: Duration = Duration::from_secs(1);

/// Records counts every second, and the last ones when `end` is dropped: none is on its way when the trail stops. Returns at
/// once where every decision is recorded.
pub async fn record(app: Arc<App>, mut end: oneshot::Receiver<()>) {
    if app.sampler.every() == 1 {
        return;
    }
    loop {
        let is_over = tokio::time::timeout(INTERVAL, &mut end).await.is_ok();
        record_omitted(&app).await;
        if is_over {
            break;
        }
    }
}

/// Records the counts since the last record.
async fn record_omitted(app: &App) {
    let write = |omitted: &[Omitted]| {
        let body = Record::Counters { time: Timestamp::now(), sample: app.sampler.every(), omitted }.to_bytes();
        async { app.trail.record(Class::Allow, None, body).await.map(drop) }
    };
    if let Err(error) = app.sampler.write_down(write).await {
        tracing::error!(%error, "counts of decisions could not be recorded; they are kept");
    }
}
