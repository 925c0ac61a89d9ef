//! Namespaces, workloads and NetworkPolicies, kept up to date by watches, and the namespaces in which something changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Namespace as ApiNamespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::plan::{Kind, Namespace, Workload};
use super::standing::Standing;
use super::{OPT_IN, is_excluded};
use crate::lock::lock;

/// Time without errors after which a broken watch counts as resumed: one that resumes where it broke off sends no event.
const RESUMED: Duration = Duration::from_mins(2);

/// The stores.
pub(super) struct Stores {
    namespaces: Store<ApiNamespace>,
    deployments: Store<Deployment>,
    stateful_sets: Store<StatefulSet>,
    daemon_sets: Store<DaemonSet>,
    policies: Store<NetworkPolicy>,
    changes: Mutex<Changes>,
    changed: Notify,
    /// Start of the outage of each broken watch, by kind.
    broken: Mutex<BTreeMap<String, Instant>>,
}

/// The namespaces in which something changed since they were looked at.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// All of them.
    pub(super) everywhere: bool,
    /// These.
    pub(super) names: BTreeSet<String>,
}

/// A namespace, and what is in it.
#[derive(Default)]
pub(super) struct Space {
    pub(super) namespace: Namespace,
    pub(super) workloads: Vec<Workload>,
    pub(super) policies: Vec<Arc<NetworkPolicy>>,
}

impl Stores {
    /// Connects, and keeps the stores up to date in the background for as long as the runtime lives.
    pub(super) fn watch(client: &Client) -> Arc<Self> {
        let (namespaces, namespace_writer) = reflector::store();
        let (deployments, deployment_writer) = reflector::store();
        let (stateful_sets, stateful_set_writer) = reflector::store();
        let (daemon_sets, daemon_set_writer) = reflector::store();
        let (policies, policy_writer) = reflector::store();
        let stores = Arc::new(Self {
            namespaces,
            deployments,
            stateful_sets,
            daemon_sets,
            policies,
            changes: Mutex::default(),
            changed: Notify::new(),
            broken: Mutex::default(),
        });
        stores.reflect(client, namespace_writer, opt_in_alone, ResourceExt::name_any);
        stores.reflect(client, deployment_writer, selector_alone, within);
        stores.reflect(client, stateful_set_writer, selector_alone, within);
        stores.reflect(client, daemon_set_writer, selector_alone, within);
        stores.reflect(client, policy_writer, ours_alone, within);
        stores
    }

    /// Waits until every store has been complete once.
    pub(super) async fn ready(&self) {
        let ready = futures::try_join!(
            self.namespaces.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.daemon_sets.wait_until_ready(),
            self.policies.wait_until_ready(),
        );
        if ready.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Duration of the longest current outage of a watch; zero without one.
    pub(super) fn staleness(&self) -> Duration {
        lock(&self.broken).values().map(Instant::elapsed).max().unwrap_or_default()
    }

    /// Notes a change in a namespace.
    pub(super) fn touch(&self, namespace: String) {
        lock(&self.changes).names.insert(namespace);
        self.changed.notify_one();
    }

    /// Notes that anything may have changed.
    pub(super) fn touch_all(&self) {
        let mut changes = lock(&self.changes);
        (changes.everywhere, changes.names) = (true, BTreeSet::new());
        self.changed.notify_one();
    }

    /// Waits for a change.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The changes since the last call.
    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut lock(&self.changes))
    }

    /// The namespaces that changed, by name, without those that are left alone; a namespace that is gone is missing.
    pub(super) fn spaces(&self, changes: &Changes, own: &str) -> BTreeMap<String, Space> {
        let concerns = |name: &str| (changes.everywhere || changes.names.contains(name)) && !is_excluded(own, name);
        let mut spaces: BTreeMap<String, Space> = BTreeMap::new();
        for namespace in self.namespaces.state() {
            let name = namespace.name_any();
            if concerns(&name) {
                let label = namespace.labels().get(OPT_IN).cloned();
                let is_ending = namespace.metadata.deletion_timestamp.is_some();
                let namespace = Namespace { name: name.clone(), label, is_ending };
                spaces.insert(name, Space { namespace, ..Space::default() });
            }
        }
        fill(&mut spaces, &self.deployments);
        fill(&mut spaces, &self.stateful_sets);
        fill(&mut spaces, &self.daemon_sets);
        for policy in self.policies.state() {
            if let Some(space) = policy.metadata.namespace.as_ref().and_then(|name| spaces.get_mut(name)) {
                space.policies.push(policy);
            }
        }
        spaces
    }

    fn reflect<K>(
        self: &Arc<Self>,
        client: &Client,
        writer: reflector::store::Writer<K>,
        trim: fn(&mut K),
        place: fn(&K) -> String,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (stores, api) = (Arc::clone(self), Api::<K>::all(client.clone()));
        tokio::spawn(async move {
            let events = watcher(api, watcher::Config::default()).default_backoff().modify(trim).reflect(writer);
            let mut events = std::pin::pin!(events);
            let kind = K::kind(&()).to_string();
            loop {
                let silence = if lock(&stores.broken).contains_key(&kind) { RESUMED } else { Duration::MAX };
                match tokio::time::timeout(silence, events.next()).await {
                    Ok(Some(Ok(event))) => stores.follow(&kind, &event, place),
                    Ok(Some(Err(error))) => {
                        tracing::warn!(%error, kind, "a watch is broken; the last state is kept");
                        lock(&stores.broken).entry(kind.clone()).or_insert_with(Instant::now);
                    }
                    Ok(None) => break,
                    Err(_) => {
                        lock(&stores.broken).remove(&kind);
                    }
                }
            }
        });
    }

    /// Handles an event after the store has applied it.
    fn follow<K>(&self, kind: &str, event: &watcher::Event<K>, place: fn(&K) -> String) {
        match event {
            // A new list counts once it is complete.
            watcher::Event::Init | watcher::Event::InitApply(_) => return,
            watcher::Event::InitDone => self.touch_all(),
            watcher::Event::Apply(object) | watcher::Event::Delete(object) => self.touch(place(object)),
        }
        lock(&self.broken).remove(kind);
    }
}

/// Adds the workloads of a store to their namespaces.
fn fill<K: Selecting>(spaces: &mut BTreeMap<String, Space>, store: &Store<K>) {
    for object in store.state() {
        let Some(space) = object.meta().namespace.as_ref().and_then(|name| spaces.get_mut(name)) else { continue };
        space.workloads.push(Workload {
            kind: K::KIND,
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            selector: object.selector(),
            is_ending: object.meta().deletion_timestamp.is_some(),
        });
    }
}

/// A workload of the API: a selector and a template.
trait Selecting: Resource<DynamicType = ()> + Clone + Default + 'static {
    /// Its kind.
    const KIND: Kind;
    /// Its selector.
    fn selector(&self) -> LabelSelector;
    /// Replaces its spec by one that has this selector, and nothing else.
    fn reduce(&mut self, selector: LabelSelector);
}

macro_rules! selecting {
    ($($kind:ident $spec:ident),*) => {$(
        impl Selecting for $kind {
            const KIND: Kind = Kind::$kind;

            fn selector(&self) -> LabelSelector {
                self.spec.selector.clone()
            }

            fn reduce(&mut self, selector: LabelSelector) {
                self.spec = k8s_openapi::api::apps::v1::$spec { selector, ..Default::default() };
                self.status = None;
            }
        }
    )*};
}

selecting!(Deployment DeploymentSpec, StatefulSet StatefulSetSpec, DaemonSet DaemonSetSpec);

fn within<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_default()
}

/// Keeps what names an object, and what tells that it is deleted.
fn identity(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        deletion_timestamp: metadata.deletion_timestamp.clone(),
        ..ObjectMeta::default()
    }
}

fn opt_in_alone(namespace: &mut ApiNamespace) {
    let mut labels = namespace.metadata.labels.take().unwrap_or_default();
    labels.retain(|key, _| key == OPT_IN);
    let metadata = ObjectMeta { labels: Some(labels), ..identity(&namespace.metadata) };
    *namespace = ApiNamespace { metadata, ..ApiNamespace::default() };
}

fn selector_alone<K: Selecting>(workload: &mut K) {
    let (selector, metadata) = (workload.selector(), identity(workload.meta()));
    *workload.meta_mut() = metadata;
    workload.reduce(selector);
}

/// Keeps our own policies whole, and of the others the names.
fn ours_alone(policy: &mut NetworkPolicy) {
    if Standing::of(policy) == Standing::Foreign {
        *policy = NetworkPolicy { metadata: identity(&policy.metadata), ..NetworkPolicy::default() };
    }
}
