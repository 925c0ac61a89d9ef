//! Compares the installed webhook configurations with the configuration in force.
//!
//! A configuration reloads by itself; the objects that make the API server ask are applied by somebody. Until they are,
//! what the new configuration would judge may not be asked at all.

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

use super::App;
use crate::lock::lock;
use crate::snapshot::Snapshot;
use crate::trail::{Class, Record};
use crate::webhooks::{NAME, Target, mutating, validating};

/// Time between two comparisons.
const COMPARE: Duration = Duration::from_secs(2);
/// Fields of a webhook that decide what is asked, and what happens when nobody answers.
const FIELDS: [&str; 8] = [
    "rules",
    "namespaceSelector",
    "objectSelector",
    "failurePolicy",
    "matchConditions",
    "matchPolicy",
    "timeoutSeconds",
    "reinvocationPolicy",
];

/// Installed webhook configurations, as they were last seen.
pub struct Installed {
    target: Target,
    validating: Mutex<Seen>,
    mutating: Mutex<Seen>,
}

/// The webhooks of one configuration.
#[derive(Clone, Default)]
enum Seen {
    /// The API server has not said.
    #[default]
    Nothing,
    /// There is no such object.
    Absent,
    /// Its webhooks.
    Webhooks(Vec<Value>),
}

impl Installed {
    /// Nothing was seen yet of what leads to `target`.
    pub fn new(target: Target) -> Self {
        Self { target, validating: Mutex::default(), mutating: Mutex::default() }
    }

    /// Differences from `snapshot`, in words; empty when there are none, or nothing is known.
    pub fn lag(&self, snapshot: &Snapshot) -> Vec<String> {
        let wanted = [
            ("ValidatingWebhookConfiguration", &self.validating, webhooks(&validating(snapshot, &self.target))),
            ("MutatingWebhookConfiguration", &self.mutating, webhooks(&mutating(snapshot, &self.target))),
        ];
        wanted.into_iter().flat_map(|(kind, seen, wanted)| differences(kind, &lock(seen), &wanted)).collect()
    }
}

/// Watches both objects and compares them with the configuration in force; a change of what lags is an event of its own.
/// Never returns.
pub async fn watch(app: Arc<App>, client: Client) {
    let validating = observe::<ValidatingWebhookConfiguration>(client.clone(), &app.installed.validating);
    let mutating = observe::<MutatingWebhookConfiguration>(client, &app.installed.mutating);
    let compare = async {
        let mut last = Vec::new();
        loop {
            tokio::time::sleep(COMPARE).await;
            let snapshot = app.snapshot.load_full();
            let lag = app.installed.lag(&snapshot);
            app.metrics.webhooks_lag.set(lag.len().try_into().unwrap_or(i64::MAX));
            if lag == last {
                continue;
            }
            last.clone_from(&lag);
            if lag.is_empty() {
                tracing::info!("the installed webhook configurations belong to the configuration in force");
            } else {
                tracing::warn!(?lag, "the installed webhook configurations lag behind the configuration in force");
            }
            let record = Record::Webhooks { time: Timestamp::now(), configuration: snapshot.digest(), lag: &lag };
            if let Err(error) = app.trail.record(Class::Refused, None, record.to_bytes()).await {
                tracing::error!(%error, "the state of the webhook configurations could not be recorded");
            }
        }
    };
    futures::join!(validating, mutating, compare);
}

async fn observe<K>(client: Client, seen: &Mutex<Seen>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let mut states = std::pin::pin!(watcher::watch_object(Api::<K>::all(client), NAME).default_backoff());
    while let Some(state) = states.next().await {
        match state {
            Ok(Some(object)) => *lock(seen) = Seen::Webhooks(webhooks(&object)),
            Ok(None) => *lock(seen) = Seen::Absent,
            Err(error) => tracing::debug!(%error, kind = %K::kind(&()), "our webhook configuration cannot be watched"),
        }
    }
}

fn webhooks(object: &impl Serialize) -> Vec<Value> {
    let object = serde_json::to_value(object).unwrap_or_default();
    object.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn differences(kind: &str, seen: &Seen, wanted: &[Value]) -> Vec<String> {
    let have = match seen {
        Seen::Nothing => return Vec::new(),
        Seen::Absent if wanted.is_empty() => return Vec::new(),
        Seen::Absent => return vec![format!("{kind} {NAME} is not installed")],
        Seen::Webhooks(have) => have,
    };
    let name = |webhook: &Value| webhook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for want in wanted {
        match have.iter().find(|have| name(have) == name(want)) {
            None => found.push(format!("{kind} {NAME} has no webhook {}", name(want))),
            Some(have) => {
                let other = FIELDS.iter().filter(|name| field(have, name) != field(want, name));
                found.extend(other.map(|field| format!("{kind} {NAME}: {} has another {field}", name(want))));
            }
        }
    }
    let extra = have.iter().filter(|have| wanted.iter().all(|want| name(want) != name(have)));
    found.extend(extra.map(|extra| format!("{kind} {NAME} has a webhook too many: {}", name(extra))));
    found
}

/// A field of a webhook; an empty selector selects everything, as none does.
fn field<'w>(webhook: &'w Value, name: &str) -> Option<&'w Value> {
    webhook.get(name).filter(|value| value.as_object().is_none_or(|fields| !fields.is_empty()))
}
