//! The world as an API server tells it: a reflector's store, and a live question for what the store lacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::facts::{Answer, Question, ServiceAccount, World};

/// How long a live answer stands for the next to ask: bounds the rate, one question at a time each.
const FRESH: Duration = Duration::from_secs(1);
/// Live answers kept.
const ANSWERS: u64 = 10_000;
/// Live questions on their way at once.
const LIVE: usize = 16;

/// A connected cluster.
pub struct Cluster {
    client: Client,
    accounts: Store<core::ServiceAccount>,
    answers: Cache<Question, Answer>,
    live: Semaphore,
    /// Since when the watch has been broken.
    broken: Mutex<Option<Instant>>,
}

impl Cluster {
    /// Connects, and keeps the stores up to date in the background for as long as the runtime lives.
    pub fn watch(client: Client) -> Arc<Self> {
        let (accounts, writer) = reflector::store();
        let cluster = Arc::new(Self {
            client: client.clone(),
            accounts,
            answers: Cache::builder().max_capacity(ANSWERS).time_to_live(FRESH).build(),
            live: Semaphore::new(LIVE),
            broken: Mutex::new(None),
        });
        let watching = Arc::clone(&cluster);
        tokio::spawn(async move {
            let api: Api<core::ServiceAccount> = Api::all(client);
            let events = watcher(api, watcher::Config::default().any_semantic())
                .default_backoff()
                // Managed fields are the larger half of an object, and no policy reads them.
                .modify(|account| account.metadata.managed_fields = None)
                .reflect(writer);
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let mut broken = watching.broken.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(_) => *broken = None,
                    Err(error) => {
                        tracing::warn!(%error, "the watch of ServiceAccounts is broken; the last state is kept");
                        broken.get_or_insert_with(Instant::now);
                    }
                }
            }
        });
        cluster
    }

    /// Waits until every store has been complete once.
    pub async fn ready(&self) {
        if self.accounts.wait_until_ready().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// For how long the stores have been out of touch with the API server; zero while they are not.
    pub fn staleness(&self) -> Duration {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.map_or(Duration::ZERO, |since| since.elapsed())
    }

    async fn fetch(&self, question: &Question) -> Answer {
        let Question::ServiceAccount { namespace, name } = question;
        let Ok(_permit) = self.live.acquire().await else {
            return Answer::Unavailable("the server is shutting down".to_owned());
        };
        let api: Api<core::ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(Some(account)) => answer(&account),
            Ok(None) => Answer::NotFound,
            Err(error) => {
                tracing::warn!(%error, namespace, name, "a ServiceAccount could not be read");
                Answer::Unavailable("the API server did not say".to_owned())
            }
        }
    }
}

fn answer(account: &core::ServiceAccount) -> Answer {
    Answer::ServiceAccount(Arc::new(ServiceAccount { automount_token: account.automount_service_account_token }))
}

impl World for Cluster {
    fn known(&self, question: &Question) -> Option<Answer> {
        let Question::ServiceAccount { namespace, name } = question;
        self.accounts.get(&ObjectRef::new(name).within(namespace)).map(|account| answer(&account))
    }

    fn ask<'w>(&'w self, question: &'w Question) -> Pin<Box<dyn Future<Output = Answer> + Send + 'w>> {
        // The cache lets one of many askers of the same question through.
        Box::pin(self.answers.get_with(question.clone(), self.fetch(question)))
    }
}
