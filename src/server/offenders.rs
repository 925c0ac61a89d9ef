//! The check of existing Pods when labels of a namespace change in a dry run: when it is made, and what it may take from others.
//!
//! A write that is stored gets none, so that it never waits for a list. The decision is made before, and stays as it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::sync::{Semaphore, oneshot};

use super::App;
use super::deciding::{Caller, Refusal};
use crate::decision::{Decision, Endpoint};
use crate::offenders::{Change, Check, Limits, unchecked};
use crate::request::Request;
use crate::review::{WARNINGS, warnings};
use crate::snapshot::Snapshot;

/// Maximum time for a check (`defaultNamespacePodCheckTimeout` of Kubernetes' own admission).
const TIME: Duration = Duration::from_secs(1);
/// Time before the deadline of the review that is left to answer.
const ANSWERING: Duration = Duration::from_millis(100);
/// Checks at once. Each holds a page of Pods, those that wait, and answers: about 20 MiB.
const CHECKS: usize = 2;

/// Room for checks.
pub(super) struct Checks(Arc<Semaphore>);

impl Default for Checks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CHECKS)))
    }
}

/// The reason why no check was made.
#[derive(Debug, Clone, Copy)]
enum Skipped {
    Busy,
    Failed,
    NoCluster,
}

impl fmt::Display for Skipped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Busy => "the server is busy; try again",
            Self::Failed => "the server failed on them; please report it",
            Self::NoCluster => "no cluster is connected",
        })
    }
}

/// Adds the warnings about existing Pods to the decision about a dry run that changes the labels of a namespace.
pub(super) async fn add(
    app: &App,
    endpoint: Endpoint,
    deadline: Instant,
    caller: Caller,
    snapshot: &Arc<Snapshot>,
    request: &Request<'_>,
    decision: &mut Decision,
) {
    let is_asked = endpoint == Endpoint::Validate && request.dry_run && decision.allowed && decision.trouble.is_none();
    let Some(change) = is_asked.then(|| Change::of(snapshot, request)).flatten() else { return };
    let until = (Instant::now() + TIME).min(deadline.checked_sub(ANSWERING).unwrap_or(deadline));
    let most = WARNINGS.saturating_sub(warnings(decision, None).len());
    let made = check(app, caller, snapshot, &change, until, most).await;
    decision.offenders = made.unwrap_or_else(|why| vec![unchecked(change.namespace(), &why)]);
}

/// Makes the check on the deciding threads, where it takes its turn with other work of the same caller.
async fn check(
    app: &App,
    caller: Caller,
    snapshot: &Arc<Snapshot>,
    change: &Change,
    until: Instant,
    most: usize,
) -> Result<Vec<String>, Skipped> {
    let cluster = Arc::clone(app.cluster.as_ref().ok_or(Skipped::NoCluster)?);
    let room = Arc::clone(&app.checks.0).try_acquire_owned().map_err(|_| Skipped::Busy)?;
    let (snapshot, change) = (Arc::clone(snapshot), change.clone());
    let (tell, told) = oneshot::channel();
    let work = async move {
        let _room = room;
        let check = Check {
            snapshot: &snapshot,
            world: &*cluster,
            pods: &*cluster,
            change: &change,
            limits: Limits::USUAL,
            until,
        };
        // Nobody may want it any more.
        let _ = tell.send(check.warnings(most).await);
        StatusCode::NO_CONTENT.into_response()
    };
    let ran = app.deciding.run_later(caller, until, work);
    // The last Pod may take a little longer.
    match tokio::time::timeout_at((until + ANSWERING / 2).into(), ran).await {
        Ok(Ok(_)) => told.await.map_err(|_| Skipped::Failed),
        Ok(Err(Refusal::Failed)) => Err(Skipped::Failed),
        Ok(Err(Refusal::Busy)) | Err(_) => Err(Skipped::Busy),
    }
}
