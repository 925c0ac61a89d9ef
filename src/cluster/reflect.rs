//! The world as an API server tells it: reflectors' stores, and a live question for what a store lacks.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ServiceAccount as ApiServiceAccount;
use k8s_openapi::api::networking::v1::NetworkPolicy as ApiNetworkPolicy;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::live::Live;
use crate::facts::{Answer, NetworkPolicy, Question, ServiceAccount, World};

/// A connected cluster.
pub struct Cluster {
    client: Client,
    accounts: Store<ApiServiceAccount>,
    policies: Store<ApiNetworkPolicy>,
    /// The policies of a namespace as the engine reads them, made when first asked for and dropped when one changes.
    isolation: Mutex<HashMap<String, Arc<[NetworkPolicy]>>>,
    live: Live,
    /// Since when each broken watch has been broken.
    broken: Mutex<HashMap<String, Instant>>,
}

impl Cluster {
    /// Connects, and keeps the stores up to date in the background for as long as the runtime lives.
    pub fn watch(client: Client) -> Arc<Self> {
        let (accounts, account_writer) = reflector::store();
        let (policies, policy_writer) = reflector::store();
        let (isolation, live, broken) = (Mutex::default(), Live::new(), Mutex::default());
        let cluster = Arc::new(Self { client, accounts, policies, isolation, live, broken });
        cluster.reflect(account_writer, |_, _| {});
        cluster.reflect(policy_writer, |cluster, event| {
            // The store has the change already, and nobody makes an entry of the old state but under this lock.
            let mut isolation = lock(&cluster.isolation);
            match event {
                watcher::Event::Apply(policy) | watcher::Event::Delete(policy) => {
                    isolation.remove(&policy.namespace().unwrap_or_default());
                }
                _ => isolation.clear(),
            }
        });
        cluster
    }

    /// Waits until every store has been complete once.
    pub async fn ready(&self) {
        let ready = futures::join!(self.accounts.wait_until_ready(), self.policies.wait_until_ready());
        if ready.0.is_err() || ready.1.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// For how long the stores have been out of touch with the API server; zero while they are not.
    pub fn staleness(&self) -> Duration {
        lock(&self.broken).values().map(Instant::elapsed).max().unwrap_or_default()
    }

    fn reflect<K>(self: &Arc<Self>, writer: reflector::store::Writer<K>, changed: fn(&Self, &watcher::Event<K>))
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let kind = K::kind(&()).into_owned();
            let events = watcher(Api::<K>::all(cluster.client.clone()), watcher::Config::default().any_semantic())
                .default_backoff()
                // Managed fields are the larger half of an object, and no policy reads them.
                .modify(|object| object.managed_fields_mut().clear())
                .reflect(writer);
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let mut broken = lock(&cluster.broken);
                match event {
                    Ok(event) => {
                        broken.remove(&kind);
                        changed(&cluster, &event);
                    }
                    Err(error) => {
                        tracing::warn!(%error, kind, "a watch is broken; the last state is kept");
                        broken.entry(kind.clone()).or_insert_with(Instant::now);
                    }
                }
            }
        });
    }

    fn isolation(&self, namespace: &str) -> Arc<[NetworkPolicy]> {
        let mut isolation = lock(&self.isolation);
        let made = isolation.entry(namespace.to_owned()).or_insert_with(|| {
            let state = self.policies.state();
            let here = state.iter().filter(|policy| policy.namespace().as_deref() == Some(namespace));
            network_policies(here.map(|policy| &**policy))
        });
        Arc::clone(made)
    }

    async fn fetch(&self, question: &Question) -> Answer {
        let answer = match question {
            Question::ServiceAccount { namespace, name } => {
                let api: Api<ApiServiceAccount> = Api::namespaced(self.client.clone(), namespace);
                let found = api.get_opt(name).await;
                found.map(|found| found.as_ref().map_or(Answer::NotFound, service_account))
            }
            Question::NetworkPolicies { namespace, .. } => {
                let api: Api<ApiNetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
                let found = api.list(&kube::api::ListParams::default()).await;
                found.map(|list| Answer::NetworkPolicies(network_policies(list.items.iter())))
            }
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(%error, ?question, "the API server did not answer");
            Answer::Unavailable("the API server did not say".to_owned())
        })
    }
}

fn service_account(account: &ApiServiceAccount) -> Answer {
    Answer::ServiceAccount(Arc::new(ServiceAccount { automount_token: account.automount_service_account_token }))
}

fn network_policies<'p>(policies: impl Iterator<Item = &'p ApiNetworkPolicy>) -> Arc<[NetworkPolicy]> {
    policies.filter_map(|policy| NetworkPolicy::read(serde_json::to_value(policy).ok()?).ok()).collect()
}

/// What a panic could leave behind is whole: every entry is made before it is stored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World for Cluster {
    fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::ServiceAccount { namespace, name } => {
                self.accounts.get(&ObjectRef::new(name).within(namespace)).map(|account| service_account(&account))
            }
            Question::NetworkPolicies { live: true, .. } => None,
            Question::NetworkPolicies { namespace, live: false } => {
                Some(Answer::NetworkPolicies(self.isolation(namespace)))
            }
        }
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        Box::pin(self.live.ask(question, self.fetch(question)))
    }
}
