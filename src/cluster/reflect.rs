//! The world of an API server: reflectors' stores, and live questions for objects that a store lacks.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace as ApiNamespace, ServiceAccount as ApiServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy as ApiNetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::live::Live;
use super::stored::{self, Unread};
use crate::facts::{Answer, Namespace, NetworkPolicy, Question, ServiceAccount, World};
use crate::lock::lock;
use crate::pod_security::PREFIX;

/// Time without errors after which a broken watch counts as resumed: longer than the longest pause between two attempts
/// (30 s, doubled by jitter) and the longest attempt (30 s). A watch that resumes where it broke off sends no event.
const RESUMED: Duration = Duration::from_mins(2);

/// A connected cluster.
pub struct Cluster {
    client: Client,
    namespaces: Store<ApiNamespace>,
    accounts: Store<ApiServiceAccount>,
    policies: Store<ApiNetworkPolicy>,
    /// The NetworkPolicies of each namespace as the engine reads them, cached on first use and dropped when one changes. A
    /// namespace without any has no entry, so that invented names take no memory.
    isolation: Mutex<HashMap<String, Arc<[NetworkPolicy]>>>,
    live: Live,
    /// Start of the outage of each broken watch.
    broken: Mutex<HashMap<String, Instant>>,
}

impl Cluster {
    /// Connects, and keeps the stores up to date in the background for as long as the runtime lives.
    pub fn watch(client: Client) -> Arc<Self> {
        let (namespaces, namespace_writer) = reflector::store();
        let (accounts, account_writer) = reflector::store();
        let (policies, policy_writer) = reflector::store();
        let cluster = Arc::new(Self::over(client, namespaces, accounts, policies));
        cluster.reflect(namespace_writer, labels_alone, |_, _| {});
        cluster.reflect(account_writer, unmanaged, |_, _| {});
        cluster.reflect(policy_writer, unmanaged, Self::policies_changed);
        cluster
    }

    fn over(
        client: Client,
        namespaces: Store<ApiNamespace>,
        accounts: Store<ApiServiceAccount>,
        policies: Store<ApiNetworkPolicy>,
    ) -> Self {
        let (isolation, live, broken) = (Mutex::default(), Live::new(), Mutex::default());
        Self { client, namespaces, accounts, policies, isolation, live, broken }
    }

    /// Waits until every store has been complete once.
    pub async fn ready(&self) {
        let ready = futures::try_join!(
            self.namespaces.wait_until_ready(),
            self.accounts.wait_until_ready(),
            self.policies.wait_until_ready(),
        );
        if ready.is_err() {
            std::future::pending::<()>().await;
        }
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
            cluster.follow(events, RESUMED, changed).await;
        });
    }

    /// Handles every event of a watch after the store has applied it, and records outages.
    async fn follow<K: Resource<DynamicType = ()>>(
        &self,
        events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
        resumed: Duration,
        changed: fn(&Self, &watcher::Event<K>),
    ) {
        let kind = K::kind(&());
        let mut events = std::pin::pin!(events);
        loop {
            let is_broken = lock(&self.broken).contains_key(&*kind);
            let silence = if is_broken { resumed } else { Duration::MAX };
            match tokio::time::timeout(silence, events.next()).await {
                // The start of a list is not yet the list.
                Ok(Some(Ok(watcher::Event::Init))) => {}
                Ok(Some(Ok(event))) => {
                    lock(&self.broken).remove(&*kind);
                    changed(self, &event);
                }
                Ok(Some(Err(error))) => {
                    tracing::warn!(%error, %kind, "a watch is broken; the last state is kept");
                    lock(&self.broken).entry(kind.to_string()).or_insert_with(Instant::now);
                }
                Ok(None) => break,
                Err(_) => {
                    lock(&self.broken).remove(&*kind);
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

    fn isolation(&self, namespace: &str) -> Arc<[NetworkPolicy]> {
        let mut isolation = lock(&self.isolation);
        if let Some(made) = isolation.get(namespace) {
            return Arc::clone(made);
        }
        let state = self.policies.state();
        let here = state.iter().filter(|policy| policy.namespace().as_deref() == Some(namespace));
        let made = network_policies(here.map(|policy| &**policy));
        if !made.is_empty() {
            isolation.insert(namespace.to_owned(), Arc::clone(&made));
        }
        made
    }

    async fn fetch(&self, question: &Question) -> Answer {
        self.fetched(question).await.unwrap_or_else(|error| {
            tracing::warn!(%error, ?question, "the API server did not answer");
            Answer::Unavailable("the API server did not say".to_owned())
        })
    }

    async fn fetched(&self, question: &Question) -> Result<Answer, Unread> {
        Ok(match question {
            Question::Namespace { name } => {
                let found = Api::<ApiNamespace>::all(self.client.clone()).get_metadata_opt(name).await?;
                found.map_or(Answer::NotFound, |found| namespace(&found.metadata))
            }
            Question::ServiceAccount { namespace, name } => {
                let api: Api<ApiServiceAccount> = Api::namespaced(self.client.clone(), namespace);
                api.get_opt(name).await?.as_ref().map_or(Answer::NotFound, service_account)
            }
            Question::NetworkPolicies { namespace, .. } => {
                let api: Api<ApiNetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
                let list = api.list(&kube::api::ListParams::default()).await?;
                Answer::NetworkPolicies(network_policies(list.items.iter()))
            }
            Question::Owner { kind, namespace, name } => stored::get(&self.client, &kind.path(namespace, name)).await?,
        })
    }
}

/// Drops managed fields: they are the larger half of an object, and no policy reads them.
fn unmanaged<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// Keeps only the name and the Pod Security labels of a Namespace.
fn labels_alone(namespace: &mut ApiNamespace) {
    let metadata = std::mem::take(&mut namespace.metadata);
    let mut labels = metadata.labels.unwrap_or_default();
    labels.retain(|key, _| key.starts_with(PREFIX));
    let metadata = ObjectMeta { name: metadata.name, labels: Some(labels), ..ObjectMeta::default() };
    *namespace = ApiNamespace { metadata, ..ApiNamespace::default() };
}

fn namespace(metadata: &ObjectMeta) -> Answer {
    let labels = metadata.labels.iter().flatten();
    Answer::Namespace(Arc::new(Namespace::labelled(labels.map(|(key, value)| (key.as_str(), value.as_str())))))
}

fn service_account(account: &ApiServiceAccount) -> Answer {
    Answer::ServiceAccount(Arc::new(ServiceAccount { automount_token: account.automount_service_account_token }))
}

fn network_policies<'p>(policies: impl Iterator<Item = &'p ApiNetworkPolicy>) -> Arc<[NetworkPolicy]> {
    policies.filter_map(|policy| NetworkPolicy::read(serde_json::to_value(policy).ok()?).ok()).collect()
}

impl World for Cluster {
    fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Namespace { name } => {
                self.namespaces.get(&ObjectRef::new(name)).map(|found| namespace(&found.metadata))
            }
            Question::ServiceAccount { namespace, name } => {
                self.accounts.get(&ObjectRef::new(name).within(namespace)).map(|account| service_account(&account))
            }
            Question::NetworkPolicies { live: true, .. } | Question::Owner { .. } => None,
            Question::NetworkPolicies { namespace, live: false } => {
                Some(Answer::NetworkPolicies(self.isolation(namespace)))
            }
        }
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(self.live.ask(question, self.fetch(question)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use k8s_openapi::api::networking::v1::NetworkPolicy;
    use kube::runtime::watcher::{Error, Event};
    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    use super::{Cluster, labels_alone};

    /// A cluster without an API server, and the writer of its store of NetworkPolicies.
    fn cluster() -> (Cluster, reflector::store::Writer<NetworkPolicy>) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let nobody = kube::Config::new("http://127.0.0.1:9".parse().expect("a URL"));
        let (namespaces, _) = reflector::store();
        let (accounts, _) = reflector::store();
        let (policies, writer) = reflector::store();
        (Cluster::over(nobody.try_into().expect("a client"), namespaces, accounts, policies), writer)
    }

    fn policy(namespace: &str, name: &str) -> NetworkPolicy {
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).expect("a NetworkPolicy")
    }

    fn names(cluster: &Cluster, namespace: &str) -> Vec<String> {
        let mut names: Vec<String> = cluster.isolation(namespace).iter().map(|policy| policy.name.clone()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_was_made_of_policies_goes_when_one_changes() {
        let (cluster, mut writer) = cluster();
        let mut tell = |event: Event<NetworkPolicy>| {
            writer.apply_watcher_event(&event);
            cluster.policies_changed(&event);
        };
        for event in [Event::Init, Event::InitApply(policy("a", "one")), Event::InitApply(policy("b", "one"))] {
            tell(event);
        }
        assert_eq!(names(&cluster, "a"), [""; 0], "a list counts once it is whole");
        tell(Event::InitDone);
        assert_eq!(names(&cluster, "a"), ["one"]);
        let (a, b) = (cluster.isolation("a"), cluster.isolation("b"));
        assert!(Arc::ptr_eq(&a, &cluster.isolation("a")), "made once");

        tell(Event::Apply(policy("a", "two")));
        assert_eq!(names(&cluster, "a"), ["one", "two"]);
        assert!(Arc::ptr_eq(&b, &cluster.isolation("b")), "another namespace's stay");
        tell(Event::Delete(policy("a", "one")));
        tell(Event::Delete(policy("a", "two")));
        assert_eq!(names(&cluster, "a"), [""; 0]);
        tell(Event::Apply(policy("a", "three")));
        assert_eq!(names(&cluster, "a"), ["three"]);

        // The watch fell out of history and listed again: whatever happened meanwhile is in the new list.
        for event in [Event::Init, Event::InitApply(policy("c", "one")), Event::InitDone] {
            tell(event);
        }
        assert_eq!(names(&cluster, "a"), [""; 0]);
        assert_eq!(names(&cluster, "b"), [""; 0]);
        assert_eq!(names(&cluster, "c"), ["one"]);
    }

    #[test]
    fn of_a_namespace_its_pod_security_labels_alone_are_kept() {
        let read = |object: serde_json::Value| serde_json::from_value::<Namespace>(object).expect("a Namespace");
        let enforce = json!({"pod-security.kubernetes.io/enforce": "baseline"});
        let mut namespace = read(json!({
            "metadata": {
                "name": "a", "uid": "u", "annotations": {"a": "b"}, "managedFields": [{"manager": "m"}],
                "labels": {"pod-security.kubernetes.io/enforce": "baseline", "kubernetes.io/metadata.name": "a"},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }));
        labels_alone(&mut namespace);
        assert_eq!(namespace, read(json!({"metadata": {"name": "a", "labels": enforce}})));
    }

    #[tokio::test]
    async fn names_that_callers_make_up_take_no_room() {
        let (cluster, _) = cluster();
        for number in 0..100 {
            cluster.isolation(&format!("made-up-{number}"));
        }
        assert!(super::lock(&cluster.isolation).is_empty());
    }

    #[tokio::test]
    async fn a_watch_is_broken_until_it_brings_something_or_is_silent_for_long() {
        let (cluster, _) = cluster();
        let is_broken = || super::lock(&cluster.broken).contains_key("ServiceAccount");
        let follow = async |events: Vec<watcher::Result<Event<ServiceAccount>>>, resumed| {
            // It stays open, in silence.
            let events = stream::iter(events).chain(stream::pending());
            let followed = cluster.follow(events, resumed, |_, _| {});
            assert!(tokio::time::timeout(Duration::from_millis(100), followed).await.is_err());
        };
        let long = Duration::from_mins(10);
        let account = ServiceAccount::default;
        follow(vec![Ok(Event::Init), Ok(Event::InitDone)], long).await;
        assert_eq!(cluster.staleness(), Duration::ZERO);
        follow(vec![Err(Error::NoResourceVersion)], long).await;
        assert!(is_broken() && cluster.staleness() > Duration::ZERO);
        follow(vec![Ok(Event::Init)], long).await;
        assert!(is_broken(), "a list has begun, and may fail");
        follow(vec![Ok(Event::Init), Ok(Event::InitApply(account()))], long).await;
        assert!(!is_broken());
        follow(vec![Err(Error::NoResourceVersion), Ok(Event::Apply(account()))], long).await;
        assert!(!is_broken());
        // Resumed where it broke off, in a cluster where nothing happens.
        follow(vec![Err(Error::NoResourceVersion)], Duration::from_millis(10)).await;
        assert_eq!(cluster.staleness(), Duration::ZERO);
    }
}
