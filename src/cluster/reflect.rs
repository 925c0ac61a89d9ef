//! The world of an API server: reflectors' stores, and live questions for objects that a store lacks.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace as ApiNamespace, ServiceAccount as ApiServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy as ApiNetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::live::Live;
use super::pods::Pods;
use super::policies::OtherPolicies;
use super::stored::{self, OBJECT, Unread};
use crate::facts::{
    Answer, Namespace, NetworkPolicies, NetworkPolicy, PolicyKind, Question, Scope, ServiceAccount, World,
};
use crate::lock::lock;

/// Time without errors after which a broken watch counts as resumed: longer than the longest pause between two attempts
/// (30 s, doubled by jitter) and the longest attempt (30 s). A watch that resumes where it broke off sends no event.
pub(super) const RESUMED: Duration = Duration::from_mins(2);

/// A connected cluster.
pub struct Cluster {
    pub(super) client: Client,
    namespaces: Store<ApiNamespace>,
    accounts: Store<ApiServiceAccount>,
    policies: Store<ApiNetworkPolicy>,
    /// Policies of other kinds, as far as the API server serves them.
    pub(super) others: OtherPolicies,
    /// The policies that concern each namespace as the engine reads them, cached on first use and dropped when one changes. A
    /// namespace that is not known has no entry, so that invented names take no memory.
    isolation: Mutex<HashMap<String, Arc<NetworkPolicies>>>,
    /// Labels of running Pods, where a policy asks for them.
    pub(super) pods: Pods,
    live: Live,
    /// Start of the outage of each broken watch.
    pub(super) broken: Mutex<HashMap<String, Instant>>,
}

impl Cluster {
    /// Connects, and keeps the stores up to date in the background for as long as the runtime lives.
    pub fn watch(client: Client) -> Arc<Self> {
        let (namespaces, namespace_writer) = reflector::store();
        let (accounts, account_writer) = reflector::store();
        let (policies, policy_writer) = reflector::store();
        let cluster = Arc::new(Self::over(client, namespaces, accounts, policies));
        cluster.reflect(namespace_writer, labels_alone, Self::namespaces_changed);
        cluster.reflect(account_writer, unmanaged, |_, _| {});
        cluster.reflect(policy_writer, unmanaged, Self::policies_changed);
        tokio::spawn(OtherPolicies::watch(Arc::clone(&cluster)));
        cluster
    }

    fn over(
        client: Client,
        namespaces: Store<ApiNamespace>,
        accounts: Store<ApiServiceAccount>,
        policies: Store<ApiNetworkPolicy>,
    ) -> Self {
        let (isolation, live, broken) = (Mutex::default(), Live::new(), Mutex::default());
        let (others, pods) = (OtherPolicies::new(), Pods::default());
        Self { client, namespaces, accounts, policies, others, isolation, pods, live, broken }
    }

    /// Waits until every store has been complete once, or is known not to be readable where others than Kubernetes define its kind.
    pub async fn ready(&self) {
        let ready = futures::try_join!(
            self.namespaces.wait_until_ready(),
            self.accounts.wait_until_ready(),
            self.policies.wait_until_ready(),
        );
        if ready.is_err() {
            std::future::pending::<()>().await;
        }
        self.others.settled().await;
        self.pods.settled().await;
    }

    /// Kinds of network policies that are served, and Pods that are asked for, if they cannot be read, or not wholly; each with the
    /// reason.
    pub fn unread(&self) -> Vec<String> {
        let broken = lock(&self.broken);
        let mut gaps = self.others.gaps(&broken);
        gaps.extend(self.pods.gap(&broken));
        gaps
    }

    /// Follows the labels of running Pods from now on, or no longer.
    pub fn follow_pods(self: &Arc<Self>, is_wanted: bool) {
        Pods::follow(self, is_wanted);
    }

    /// Duration of the longest current outage of a watch; zero without one.
    pub fn staleness(&self) -> Duration {
        lock(&self.broken).values().map(Instant::elapsed).max().unwrap_or_default()
    }

    fn reflect<K>(
        self: &Arc<Self>,
        writer: reflector::store::Writer<K>,
        trim: fn(&mut K),
        changed: fn(&Self, &watcher::Event<K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let events = watcher(Api::<K>::all(cluster.client.clone()), watcher::Config::default().any_semantic())
                .default_backoff()
                .modify(trim)
                .reflect(writer);
            cluster.follow(&K::kind(&()), events, RESUMED, |event| changed(&cluster, event), |_| {}).await;
        });
    }

    /// Handles every event of a watch after the store has applied it, and records outages.
    pub(super) async fn follow<K>(
        &self,
        kind: &str,
        events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
        resumed: Duration,
        changed: impl Fn(&watcher::Event<K>),
        failed: impl Fn(&watcher::Error),
    ) {
        let mut events = std::pin::pin!(events);
        loop {
            let is_broken = lock(&self.broken).contains_key(kind);
            let silence = if is_broken { resumed } else { Duration::MAX };
            match tokio::time::timeout(silence, events.next()).await {
                // The start of a list is not yet the list.
                Ok(Some(Ok(event @ watcher::Event::Init))) => changed(&event),
                Ok(Some(Ok(event))) => {
                    lock(&self.broken).remove(kind);
                    changed(&event);
                }
                Ok(Some(Err(error))) => {
                    tracing::warn!(%error, %kind, "a watch is broken; the last state is kept");
                    lock(&self.broken).entry(kind.to_owned()).or_insert_with(Instant::now);
                    failed(&error);
                }
                Ok(None) => break,
                Err(_) => {
                    lock(&self.broken).remove(kind);
                }
            }
        }
    }

    /// Drops the cached policies of a namespace. The store has the change already, and entries are made under the lock that
    /// this takes, so that none of the old state can be added later.
    fn policies_changed(&self, event: &watcher::Event<ApiNetworkPolicy>) {
        let mut isolation = lock(&self.isolation);
        match event {
            watcher::Event::Apply(policy) | watcher::Event::Delete(policy) => {
                isolation.remove(&policy.namespace().unwrap_or_default());
            }
            // A new list counts once it is complete.
            watcher::Event::Init | watcher::Event::InitApply(_) => {}
            watcher::Event::InitDone => isolation.clear(),
        }
    }

    /// Drops the cached policies of a namespace, or of all: policies of another kind, or what is known of them, changed.
    pub(super) fn forget_policies(&self, namespace: Option<&str>) {
        let mut isolation = lock(&self.isolation);
        match namespace {
            Some(namespace) => drop(isolation.remove(namespace)),
            None => isolation.clear(),
        }
    }

    /// Drops the cached policies of a namespace whose labels may have changed.
    fn namespaces_changed(&self, event: &watcher::Event<ApiNamespace>) {
        match event {
            watcher::Event::Apply(namespace) | watcher::Event::Delete(namespace) => {
                self.forget_policies(Some(&namespace.name_any()));
            }
            watcher::Event::Init | watcher::Event::InitApply(_) => {}
            watcher::Event::InitDone => self.forget_policies(None),
        }
    }

    fn isolation(&self, namespace: &str) -> Arc<NetworkPolicies> {
        let mut isolation = lock(&self.isolation);
        if let Some(made) = isolation.get(namespace) {
            return Arc::clone(made);
        }
        let state = self.policies.state();
        let here = state.iter().filter(|policy| policy.namespace().as_deref() == Some(namespace));
        let mut policies = network_policies(here.map(|policy| &**policy));
        let known = self.namespaces.get(&ObjectRef::new(namespace));
        let label = |key: &str| labels(known.as_ref()?)?.get(key).map(String::as_str);
        let has_own = self.others.add(namespace, known.is_some().then_some(&label), &mut policies);
        let is_kept = known.is_some() || !policies.is_empty() && has_own;
        let made = Arc::new(NetworkPolicies::new(policies, self.others.unread()));
        if is_kept && !made.policies.is_empty() {
            isolation.insert(namespace.to_owned(), Arc::clone(&made));
        }
        made
    }

    /// The policies of other kinds that concern a namespace, as they are now.
    async fn listed(&self, namespace: &str, found: &mut NetworkPolicies) -> Result<(), Unread> {
        let kinds = self.others.served();
        if kinds.is_empty() {
            return Ok(());
        }
        let metadata = Api::<ApiNamespace>::all(self.client.clone()).get_metadata_opt(namespace).await?;
        let labels = metadata.as_ref().and_then(|found| found.metadata.labels.as_ref());
        let label = |key: &str| labels?.get(key).map(String::as_str);
        for kind in kinds {
            let resource = resource(kind);
            let api: Api<DynamicObject> = match kind.scope {
                Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
                Scope::Clusterwide => Api::all_with(self.client.clone(), &resource),
            };
            match api.list(&kube::api::ListParams::default()).await {
                Ok(list) => {
                    let objects = list.items.iter().filter_map(|object| serde_json::to_value(object).ok());
                    let read = objects.filter_map(|object| kind.read(&object, namespace).ok()).flatten();
                    found.policies.extend(read.filter_map(|policy| policy.within(namespace, Some(&label))));
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => found.unread.push(format!("{}: {}", kind.qualified(), reason(&error))),
            }
        }
        Ok(())
    }

    async fn fetch(&self, question: &Question) -> Answer {
        self.fetched(question).await.unwrap_or_else(|error| {
            tracing::warn!(%error, ?question, "the API server did not answer");
            Answer::Unavailable("the API server did not say".to_owned())
        })
    }

    async fn fetched(&self, question: &Question) -> Result<Answer, Unread> {
        Ok(match question {
            Question::Namespace { name, keys } => {
                let found = Api::<ApiNamespace>::all(self.client.clone()).get_metadata_opt(name).await?;
                found.map_or(Answer::NotFound, |found| namespace(&found.metadata, keys))
            }
            Question::ServiceAccount { namespace, name } => {
                let api: Api<ApiServiceAccount> = Api::namespaced(self.client.clone(), namespace);
                api.get_opt(name).await?.as_ref().map_or(Answer::NotFound, service_account)
            }
            Question::NetworkPolicies { namespace, .. } => {
                let api: Api<ApiNetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
                let list = api.list(&kube::api::ListParams::default()).await?;
                let mut found = NetworkPolicies::from(network_policies(list.items.iter()));
                self.listed(namespace, &mut found).await?;
                Answer::NetworkPolicies(Arc::new(found))
            }
            Question::RunningPods { namespace } => self.pods.ask(namespace).await,
            Question::Owner { kind, namespace, name } => {
                stored::get(&self.client, &kind.path(namespace, name), OBJECT).await?
            }
        })
    }
}

/// Drops managed fields: they are the larger half of an object, and no policy reads them.
fn unmanaged<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// Keeps only the name, the labels and the end of a Namespace: labels for Pod Security, and those that policies select namespaces by.
fn labels_alone(namespace: &mut ApiNamespace) {
    let ObjectMeta { name, labels, deletion_timestamp, .. } = std::mem::take(&mut namespace.metadata);
    let metadata = ObjectMeta { name, labels, deletion_timestamp, ..ObjectMeta::default() };
    *namespace = ApiNamespace { metadata, ..ApiNamespace::default() };
}

fn labels(namespace: &ApiNamespace) -> Option<&BTreeMap<String, String>> {
    namespace.metadata.labels.as_ref()
}

/// The kind, as kube's client asks for it.
pub(super) fn resource(kind: PolicyKind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: format!("{}/{}", kind.group, kind.version),
        kind: kind.kind.to_owned(),
        plural: kind.resource.to_owned(),
    }
}

/// The reason why a kind could not be read, in a few words.
pub(super) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => "forbidden: grant list and watch on it".to_owned(),
        kube::Error::Api(status) => format!("the API server answered with {}", status.code),
        _ => "the API server did not answer".to_owned(),
    }
}

fn namespace(metadata: &ObjectMeta, keys: &[String]) -> Answer {
    let labels = metadata.labels.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    let namespace = Namespace::labelled(labels, keys);
    Answer::Namespace(Arc::new(namespace.terminating(metadata.deletion_timestamp.is_some())))
}

fn service_account(account: &ApiServiceAccount) -> Answer {
    Answer::ServiceAccount(Arc::new(ServiceAccount {
        automount_token: account.automount_service_account_token,
        labels: account.metadata.labels.clone().unwrap_or_default(),
    }))
}

fn network_policies<'p>(policies: impl Iterator<Item = &'p ApiNetworkPolicy>) -> Vec<NetworkPolicy> {
    policies.filter_map(|policy| NetworkPolicy::read(serde_json::to_value(policy).ok()?).ok()).collect()
}

impl World for Cluster {
    fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Namespace { name, keys } => {
                self.namespaces.get(&ObjectRef::new(name)).map(|found| namespace(&found.metadata, keys))
            }
            Question::ServiceAccount { namespace, name } => {
                self.accounts.get(&ObjectRef::new(name).within(namespace)).map(|account| service_account(&account))
            }
            Question::NetworkPolicies { live: true, .. } | Question::Owner { .. } => None,
            Question::RunningPods { namespace } => self.pods.known(namespace),
            Question::NetworkPolicies { namespace, live: false } => {
                Some(Answer::NetworkPolicies(self.isolation(namespace)))
            }
        }
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        // It waits for a list that others have asked for, and takes no room of questions.
        if let Question::RunningPods { namespace } = question {
            return Box::pin(self.pods.ask(namespace));
        }
        Box::pin(self.live.ask(question, self.fetch(question)))
    }
}

#[cfg(test)]
mod tests;
