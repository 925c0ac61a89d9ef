//! Compares the installed webhook configurations with the configuration in force, reports what differs, and repairs what somebody
//! made weaker if that is configured.
//!
//! A configuration reloads by itself; the objects that make the API server ask are applied by somebody. Until they are,
//! what the new configuration would judge may not be asked at all: they lag. An object whose annotation names the configuration in
//! force, and which asks less than is derived from it, was edited: it drifted. Only drift is repaired, so that replicas with
//! different configurations never write in turn, and an object that was deleted is not created again.

mod compare;
mod editors;
mod lease;
mod providers;
mod repair;
mod report;
mod rules;
mod selector;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::compare::Reached;
use self::compare::{Difference, Part, differences};
use self::lease::{Claim, Lease, REPAIRS};
use self::repair::{patch, release, repairable, send};
pub(super) use self::report::Report;
use self::report::is_empty;
use super::App;
use crate::lock::lock;
use crate::snapshot::Snapshot;
use crate::trail::{Class, Record};
use crate::webhooks::{CONFIGURATION, NAME, Target, VERSION, mutating, validating};

/// Time between two comparisons.
const COMPARE: Duration = Duration::from_secs(2);
/// Maximum time for the repair of an object.
const REPAIR: Duration = Duration::from_secs(10);

/// Installed webhook configurations, as they were last seen.
pub struct Installed {
    target: Target,
    reached: Reached,
    validating: Observed,
    mutating: Observed,
}

/// One of the two objects.
#[derive(Default)]
struct Observed {
    seen: Mutex<Seen>,
    /// The reason why it is not repaired, if it was to be.
    remark: Mutex<Option<String>>,
}

#[derive(Clone, Default)]
enum Seen {
    /// The API server has not said.
    #[default]
    Nothing,
    /// There is no such object.
    Absent {
        /// Set if there was one before.
        was_seen: bool,
    },
    /// The object.
    Object(Value),
}

/// What repairs need.
struct Repairs {
    client: Client,
    lease: Lease,
}

impl Installed {
    /// Nothing was seen yet of what leads to `target`.
    pub fn new(target: Target, reached: Reached) -> Self {
        Self { target, reached, validating: Observed::default(), mutating: Observed::default() }
    }

    /// Differences from `snapshot`, in words; empty when there are none, or nothing is known.
    pub(super) fn report(&self, snapshot: &Snapshot) -> Report {
        let mut report = Report::default();
        for (kind, observed, wanted) in self.both(snapshot) {
            match &*lock(&observed.seen) {
                Seen::Nothing => {}
                Seen::Absent { .. } if wanted.is_empty() => {}
                Seen::Absent { was_seen } => report.add_absent(kind, *was_seen),
                Seen::Object(object) => {
                    let differences = differences(object, &wanted, self.reached);
                    report.add(kind, object, &differences, is_current(object, snapshot), !wanted.is_empty());
                }
            }
            report.remarks.extend(lock(&observed.remark).clone());
        }
        report
    }

    fn both(&self, snapshot: &Snapshot) -> [(&'static str, &Observed, Vec<Value>); 2] {
        [
            (VALIDATING, &self.validating, webhooks(&validating(snapshot, &self.target))),
            (MUTATING, &self.mutating, webhooks(&mutating(snapshot, &self.target))),
        ]
    }

    /// Repairs what drifted, if the configuration says so; the parts that were repaired, in words.
    async fn repair(&self, snapshot: &Snapshot, repairs: &Repairs) -> Vec<String> {
        let mut repaired = Vec::new();
        for (kind, observed, wanted) in self.both(snapshot) {
            let object = match &*lock(&observed.seen) {
                Seen::Object(object) if snapshot.repairs_webhooks() && is_current(object, snapshot) => object.clone(),
                _ => {
                    *lock(&observed.remark) = None;
                    continue;
                }
            };
            let differences = differences(&object, &wanted, self.reached);
            let tried = match kind {
                VALIDATING => {
                    repairs.repair::<ValidatingWebhookConfiguration>(kind, observed, object, &differences).await
                }
                _ => repairs.repair::<MutatingWebhookConfiguration>(kind, observed, object, &differences).await,
            };
            match tried {
                Ok(lines) => repaired.extend(lines),
                Err(remark) => *lock(&observed.remark) = Some(remark),
            }
        }
        repaired
    }
}

/// The kinds of the two objects.
const VALIDATING: &str = "ValidatingWebhookConfiguration";
const MUTATING: &str = "MutatingWebhookConfiguration";

impl Repairs {
    /// Repairs one object; the parts that were repaired, or the reason why it could not be.
    async fn repair<K>(
        &self,
        kind: &'static str,
        observed: &Observed,
        mut object: Value,
        differences: &[Difference],
    ) -> Result<Vec<String>, String>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let failed = |error: kube::Error| format!("{kind} {NAME} could not be repaired: {error}");
        let mut repaired = Vec::new();
        // An object without webhooks is as good as deleted, and an address that is not ours cannot be given.
        let these = if is_empty(&object) { Vec::new() } else { repairable(differences) };
        if !these.is_empty() {
            match self.lease.claim(kind).await.map_err(|error| format!("the Lease for repairs: {error}"))? {
                Claim::Granted => {}
                Claim::Held => return Ok(Vec::new()),
                Claim::Exhausted(until) => {
                    let line = format!(
                        "{kind} {NAME}: a repair was tried {REPAIRS} times within an hour: it is not repaired again before {until}"
                    );
                    // The error of the last attempt stays.
                    let before = lock(&observed.remark).clone().filter(|text| text.contains("could not be repaired"));
                    let error = before.and_then(|text| Some(text.split("; ").next()?.to_owned() + "; "));
                    return Err(error.unwrap_or_default() + &line);
                }
            }
            object = match send::<K>(&self.client, patch(&object, &these)).await {
                Ok(object) => object,
                Err(error) if repair::is_outdated(&error) => return Ok(Vec::new()),
                Err(error) => return Err(failed(error)),
            };
            *lock(&observed.seen) = Seen::Object(object.clone());
            repaired.extend(these.into_iter().map(|one| match one.part {
                Part::Field(field) => format!("{kind} {NAME}: {}: {field}", one.webhook),
                _ => format!("{kind} {NAME}: {}", one.webhook),
            }));
        }
        if let Some(release) = release(&object) {
            match send::<K>(&self.client, release).await {
                Ok(object) => *lock(&observed.seen) = Seen::Object(object),
                Err(error) if repair::is_outdated(&error) => {}
                // It was repaired all the same, and the next comparison tries again.
                Err(error) => tracing::warn!(%error, kind, "the fields that a repair wrote could not be given up"),
            }
        }
        *lock(&observed.remark) = None;
        Ok(repaired)
    }
}

/// Watches both objects and compares them with the configuration in force; a change of what differs is an event of its own.
/// Never returns.
pub async fn watch(app: Arc<App>, client: Client) {
    let validating = observe::<ValidatingWebhookConfiguration>(client.clone(), &app.installed.validating.seen);
    let mutating = observe::<MutatingWebhookConfiguration>(client.clone(), &app.installed.mutating.seen);
    let repairs = Repairs { lease: Lease::new(client.clone(), &app.installed.target.namespace), client };
    let compare = async {
        let mut last = Report::default();
        loop {
            tokio::time::sleep(COMPARE).await;
            let snapshot = app.snapshot.load_full();
            // What was edited is told before it is repaired.
            tell(&app, &snapshot, &mut last, &[]).await;
            let repaired = tokio::time::timeout(REPAIR, app.installed.repair(&snapshot, &repairs)).await;
            let repaired = repaired.unwrap_or_default();
            tell(&app, &snapshot, &mut last, &repaired).await;
        }
    };
    futures::join!(validating, mutating, compare);
}

/// Tells what changed since `last`, and what was repaired.
async fn tell(app: &App, snapshot: &Snapshot, last: &mut Report, repaired: &[String]) {
    let report = app.installed.report(snapshot);
    let count = |lines: &[String]| lines.len().try_into().unwrap_or(i64::MAX);
    app.metrics.webhooks_lag.set(count(&report.lag));
    app.metrics.webhooks_weakened.set(count(&report.drift));
    app.metrics.webhooks_missing.set(count(&report.missing));
    app.metrics.webhooks_repairs.inc_by(repaired.len().try_into().unwrap_or(u64::MAX));
    if report == *last && repaired.is_empty() {
        return;
    }
    let Report { lag, missing, drift, provider, remarks } = &report;
    if !missing.is_empty() && *missing != last.missing {
        tracing::error!(?missing, "A WEBHOOK CONFIGURATION IS MISSING: nothing is judged that it would send");
    }
    if !repaired.is_empty() {
        tracing::warn!(?repaired, "webhook configurations that somebody weakened were repaired");
    }
    if !drift.is_empty() && (drift, remarks) != (&last.drift, &last.remarks) {
        tracing::error!(?drift, ?remarks, "the installed webhook configurations are weaker than derived");
    }
    if !provider.is_empty() && *provider != last.provider {
        tracing::warn!(?provider, "a provider narrows the installed webhook configurations");
    }
    if lag.is_empty() && !last.lag.is_empty() {
        tracing::info!("the installed webhook configurations belong to the configuration in force");
    } else if *lag != last.lag {
        tracing::warn!(?lag, "the installed webhook configurations lag behind the configuration in force");
    }
    let drift = report.drift_lines();
    let record = Record::Webhooks {
        time: Timestamp::now(),
        configuration: snapshot.digest(),
        lag,
        missing,
        drift: &drift,
        provider,
        repaired,
    };
    if let Err(error) = app.trail.record(Class::Refused, None, record.to_bytes()).await {
        tracing::error!(%error, "the state of the webhook configurations could not be recorded");
    }
    *last = report;
}

async fn observe<K>(client: Client, seen: &Mutex<Seen>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let mut states = std::pin::pin!(watcher::watch_object(Api::<K>::all(client), NAME).default_backoff());
    while let Some(state) = states.next().await {
        match state {
            Ok(Some(object)) => *lock(seen) = Seen::Object(serde_json::to_value(object).unwrap_or_default()),
            Ok(None) => {
                let mut seen = lock(seen);
                let was_seen = matches!(&*seen, Seen::Object(_) | Seen::Absent { was_seen: true });
                *seen = Seen::Absent { was_seen };
            }
            Err(error) => tracing::debug!(%error, kind = %K::kind(&()), "our webhook configuration cannot be watched"),
        }
    }
}

/// True if an object is derived from this configuration by this version of the program: replicas of two versions, which may
/// derive different webhooks, never repair what the other one wants.
fn is_current(object: &Value, snapshot: &Snapshot) -> bool {
    let metadata = &object["metadata"];
    let version = metadata["labels"][VERSION].as_str();
    metadata["annotations"][CONFIGURATION].as_str() == Some(snapshot.digest())
        && version == Some(env!("CARGO_PKG_VERSION"))
}

fn webhooks(object: &impl Serialize) -> Vec<Value> {
    let object = serde_json::to_value(object).unwrap_or_default();
    object.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default()
}
