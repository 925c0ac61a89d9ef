//! The labels of running Pods, for policies that ask which Pods a change leaves without isolation.
//!
//! Pods are followed only while a policy asks for them. The API server sends their metadata alone, of which namespace, name and
//! labels are kept; labels that many Pods of a namespace have in common are kept once. Metadata does not tell whether a Pod has ended
//! or is on the network of its node: a field selector leaves those out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Cluster;
use super::policies::why;
use super::reflect::RESUMED;
use crate::facts::{Answer, PodGroup, PodLabels, RunningPods};
use crate::lock::lock;

/// Selects Pods that have not ended, and that NetworkPolicies apply to.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed,spec.hostNetwork=false";
/// Pods in a page of a list.
const PAGE: u32 = 100;
/// Name of the watch.
const NAME: &str = "pods";

/// The running Pods of the cluster.
#[derive(Default)]
pub(super) struct Pods {
    stored: Mutex<Stored>,
    state: watch::Sender<State>,
    watching: Mutex<Option<JoinHandle<()>>>,
}

/// Pods, and those of a list that has begun.
#[derive(Default)]
struct Stored {
    now: Labelled,
    listed: Labelled,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    /// No policy asks for Pods.
    #[default]
    Unwanted,
    /// They have not been listed yet.
    Listing,
    /// They have been listed.
    Known,
    /// They were never listed; holds the reason.
    Unread(String),
}

impl Pods {
    /// Follows Pods from now on, or no longer.
    pub(super) fn follow(cluster: &Arc<Cluster>, is_wanted: bool) {
        let pods = &cluster.pods;
        let mut watching = lock(&pods.watching);
        match (is_wanted, watching.take()) {
            (true, None) => {
                pods.state.send_replace(State::Listing);
                *watching = Some(tokio::spawn(watch(Arc::clone(cluster))));
            }
            (false, Some(task)) => {
                task.abort();
                pods.state.send_replace(State::Unwanted);
                *lock(&pods.stored) = Stored::default();
                lock(&cluster.broken).remove(NAME);
            }
            (_, task) => *watching = task,
        }
    }

    /// Waits until Pods have been listed once, or are known not to be readable. Returns at once where no policy asks for them.
    pub(super) async fn settled(&self) {
        self.reached(|state| *state != State::Listing).await;
    }

    /// The Pods of a namespace, if they have been listed.
    pub(super) fn known(&self, namespace: &str) -> Option<Answer> {
        // No lock on the state is held while Pods are waited for: `apply` changes the state.
        let state = self.state.borrow().clone();
        match state {
            State::Unwanted | State::Listing => None,
            State::Known => Some(Answer::RunningPods(Arc::new(lock(&self.stored).now.of(namespace)))),
            State::Unread(why) => Some(Answer::Unavailable(why)),
        }
    }

    /// The same once they have been listed.
    pub(super) async fn ask(&self, namespace: &str) -> Answer {
        self.reached(|state| matches!(state, State::Known | State::Unread(_))).await;
        self.known(namespace).unwrap_or_else(|| Answer::Unavailable("no policy asks for Pods any more".to_owned()))
    }

    async fn reached(&self, is_reached: impl FnMut(&State) -> bool) {
        let mut state = self.state.subscribe();
        let is_there = state.wait_for(is_reached).await.is_ok();
        debug_assert!(is_there, "the sender lives as long as this");
    }

    /// The reason why Pods that a policy asks for cannot be read, or not any more.
    pub(super) fn gap(&self, broken: &HashMap<String, Instant>) -> Option<String> {
        match &*self.state.borrow() {
            State::Unread(why) => Some(format!("{NAME}: {why}")),
            State::Known if broken.contains_key(NAME) => {
                Some(format!("{NAME}: the watch is broken; the last state is kept"))
            }
            State::Known | State::Listing | State::Unwanted => None,
        }
    }

    fn apply(&self, event: &watcher::Event<PartialObjectMeta<Pod>>) {
        let mut stored = lock(&self.stored);
        let replaced = match event {
            watcher::Event::Init => std::mem::take(&mut stored.listed),
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut stored.listed);
                std::mem::replace(&mut stored.now, listed)
            }
            watcher::Event::InitApply(pod) => return stored.listed.insert(&pod.metadata),
            watcher::Event::Apply(pod) => return stored.now.insert(&pod.metadata),
            watcher::Event::Delete(pod) => return stored.now.remove(&pod.metadata),
        };
        // What is replaced may be large, and whoever reads the state may wait for Pods.
        drop(stored);
        drop(replaced);
        if matches!(event, watcher::Event::InitDone) {
            self.state.send_replace(State::Known);
        }
    }

    /// A list that is forbidden stays so until somebody grants it. Any other is waited for.
    fn failed(&self, error: &watcher::Error) {
        let is_forbidden =
            matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403);
        if is_forbidden && *self.state.borrow() != State::Known {
            self.state.send_replace(State::Unread(why(error)));
        }
    }
}

async fn watch(cluster: Arc<Cluster>) {
    // In pages, which an API server makes of what it has stored, not of its cache: metadata may hold 256 KiB of annotations a Pod.
    let config = watcher::Config::default().page_size(PAGE).fields(RUNNING);
    let events = watcher(Api::<PartialObjectMeta<Pod>>::all(cluster.client.clone()), config).default_backoff();
    let pods = &cluster.pods;
    cluster.follow(NAME, events, RESUMED, |event| pods.apply(event), |error| pods.failed(error)).await;
}

/// The labels of Pods, by namespace and name.
#[derive(Default)]
struct Labelled {
    namespaces: HashMap<Box<str>, Namespace>,
}

#[derive(Default)]
struct Namespace {
    pods: BTreeMap<Box<str>, Arc<PodLabels>>,
    /// Number of Pods that have the same labels.
    counts: HashMap<Arc<PodLabels>, usize>,
}

impl Labelled {
    fn insert(&mut self, metadata: &ObjectMeta) {
        let (namespace, name) = names(metadata);
        let here = self.namespaces.entry(namespace.into()).or_default();
        here.remove(name);
        let labels = metadata.labels.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        here.insert(name, labels);
    }

    fn remove(&mut self, metadata: &ObjectMeta) {
        let (namespace, name) = names(metadata);
        let Some(here) = self.namespaces.get_mut(namespace) else { return };
        here.remove(name);
        if here.pods.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// The Pods of a namespace, those with the same labels together.
    fn of(&self, namespace: &str) -> RunningPods {
        let Some(here) = self.namespaces.get(namespace) else { return RunningPods::default() };
        let mut places: HashMap<*const PodLabels, usize> = HashMap::with_capacity(here.counts.len());
        let mut groups: Vec<PodGroup> = Vec::with_capacity(here.counts.len());
        for (name, labels) in &here.pods {
            let place = *places.entry(Arc::as_ptr(labels)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.count += 1,
                None => groups.push(PodGroup { labels: Arc::clone(labels), example: name.to_string(), count: 1 }),
            }
        }
        RunningPods(groups)
    }
}

impl Namespace {
    fn insert(&mut self, name: &str, labels: PodLabels) {
        let known = self.counts.get_key_value(&labels).map(|(known, _)| Arc::clone(known));
        let labels = known.unwrap_or_else(|| Arc::new(labels));
        *self.counts.entry(Arc::clone(&labels)).or_default() += 1;
        self.pods.insert(name.into(), labels);
    }

    fn remove(&mut self, name: &str) {
        let Some(labels) = self.pods.remove(name) else { return };
        if let Some(count) = self.counts.get_mut(&labels) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&labels);
            }
        }
    }
}

fn names(metadata: &ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
