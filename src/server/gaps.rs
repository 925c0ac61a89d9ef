//! Kinds of network policies that the API server serves and that cannot be read: counted, logged, and recorded when they change.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::App;
use crate::trail::{Class, Record};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Looks for as long as it runs. Returns at once without a cluster.
pub async fn watch(app: Arc<App>) {
    let Some(cluster) = app.cluster.clone() else { return };
    let mut last = Vec::new();
    loop {
        let unread = cluster.unread();
        app.metrics.network_policies_unread.set(unread.len().try_into().unwrap_or(i64::MAX));
        if unread != last {
            tell(&app, &unread).await;
            last = unread;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn tell(app: &App, missing: &[String]) {
    if missing.is_empty() {
        tracing::info!("every kind of network policies that is served is read");
    } else {
        tracing::warn!(?missing, "kinds of network policies are not read: whom they isolate is not seen");
    }
    let snapshot = app.snapshot.load_full();
    let record = Record::NetworkPolicies { time: Timestamp::now(), configuration: snapshot.digest(), missing };
    if let Err(error) = app.trail.record(Class::Refused, None, record.to_bytes()).await {
        tracing::error!(%error, "the gaps in network policies could not be recorded");
    }
}
