//! Policies of other kinds than NetworkPolicy: Cilium's, Calico's, and ClusterNetworkPolicies.
//!
//! The API server may serve any of these kinds, or begin to. It is asked what it serves; a kind that it serves is listed and watched,
//! and of each object only what a policy reads is kept. A kind that cannot be read is a gap that has a name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Cluster;
use super::reflect::{RESUMED, reason, resource};
use crate::facts::{Label, NetworkPolicy, PolicyKind, Scope};
use crate::lock::lock;

/// Time between two questions for what is served. Discovery is cheap: one question, and one for each version of a group that is
/// there.
const ASK: Duration = Duration::from_secs(10);
/// The same after a question that was not answered.
const AGAIN: Duration = Duration::from_secs(1);
/// Number of kinds.
const KINDS: usize = PolicyKind::ALL.len();
/// Maximum number of objects whose error is kept.
const MISREAD: usize = 8;

/// The policies of all other kinds.
pub(super) struct OtherPolicies {
    kinds: [Mutex<Stored>; KINDS],
    /// The reason why it is not known what is served.
    undiscovered: Mutex<Option<String>>,
    /// True once every kind was read, or is known not to be there or not to be readable.
    settled: watch::Sender<bool>,
}

/// The policies of a kind.
#[derive(Default)]
struct Stored {
    state: State,
    objects: Objects,
    /// Objects of a list that has begun.
    listed: Objects,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    /// Nothing is known yet.
    #[default]
    Unknown,
    Absent,
    Served,
    /// It is served, and was never read; holds the reason.
    Unread(String),
}

/// Objects by namespace and name, and the errors of those that could not be understood.
#[derive(Default)]
struct Objects {
    policies: BTreeMap<String, BTreeMap<String, Vec<NetworkPolicy>>>,
    misread: BTreeMap<(String, String), String>,
}

impl Objects {
    fn insert(&mut self, kind: PolicyKind, object: &DynamicObject) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        self.remove(&namespace, &name);
        let read = serde_json::to_value(object).map_err(|error| error.to_string());
        match read.and_then(|object| kind.read(&object, &namespace).map_err(|error| error.to_string())) {
            Ok(policies) => {
                self.policies.entry(namespace).or_default().insert(name, policies);
            }
            Err(error) if self.misread.len() < MISREAD => {
                self.misread.insert((namespace, name), error);
            }
            Err(_) => {}
        }
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(here) = self.policies.get_mut(namespace) {
            here.remove(name);
            if here.is_empty() {
                self.policies.remove(namespace);
            }
        }
        self.misread.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The policies for a namespace: those in it, or all of a kind that is for the cluster.
    fn of(&self, namespace: &str) -> impl Iterator<Item = &NetworkPolicy> {
        self.policies.get(namespace).into_iter().flat_map(BTreeMap::values).flatten()
    }
}

impl OtherPolicies {
    pub(super) fn new() -> Self {
        let (kinds, undiscovered) = (Default::default(), Mutex::default());
        Self { kinds, undiscovered, settled: watch::Sender::new(false) }
    }

    /// Waits until every kind was read, or is known not to be there or not to be readable.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let is_settled = settled.wait_for(|settled| *settled).await.is_ok();
        debug_assert!(is_settled, "the sender lives as long as this");
    }

    fn each(&self) -> impl Iterator<Item = (PolicyKind, &Mutex<Stored>)> {
        PolicyKind::ALL.into_iter().zip(&self.kinds)
    }

    /// The kinds that the API server serves.
    pub(super) fn served(&self) -> Vec<PolicyKind> {
        let is_served = |stored: &Mutex<Stored>| matches!(lock(stored).state, State::Served | State::Unread(_));
        self.each().filter(|(_, stored)| is_served(stored)).map(|(kind, _)| kind).collect()
    }

    /// Adds the policies that concern a namespace with these labels. True if some of them are in it.
    pub(super) fn add(&self, namespace: &str, label: Option<Label<'_, '_>>, policies: &mut Vec<NetworkPolicy>) -> bool {
        let mut has_own = !policies.is_empty();
        for (kind, stored) in self.each() {
            let stored = lock(stored);
            let before = policies.len();
            let place = if kind.scope == Scope::Namespaced { namespace } else { "" };
            policies.extend(stored.objects.of(place).filter_map(|policy| policy.within(namespace, label)));
            has_own |= kind.scope == Scope::Namespaced && policies.len() > before;
        }
        has_own
    }

    /// Kinds that are served and were never read, each with the reason.
    pub(super) fn unread(&self) -> Vec<String> {
        let reason = |(kind, stored): (PolicyKind, &Mutex<Stored>)| match &lock(stored).state {
            State::Unread(why) => Some(format!("{}: {why}", kind.qualified())),
            _ => None,
        };
        lock(&self.undiscovered).iter().cloned().chain(self.each().filter_map(reason)).collect()
    }

    /// The same, with watches that are broken and objects that could not be understood.
    pub(super) fn gaps(&self, broken: &HashMap<String, Instant>) -> Vec<String> {
        let mut gaps = self.unread();
        for (kind, stored) in self.each() {
            let (name, stored) = (kind.qualified(), lock(stored));
            if stored.state == State::Served && broken.contains_key(&name) {
                gaps.push(format!("{name}: the watch is broken; the last state is kept"));
            }
            let of = &stored.objects.misread;
            if let Some(((namespace, object), error)) = of.first_key_value() {
                let others = if of.len() > 1 { " and others" } else { "" };
                let place = if namespace.is_empty() { object.clone() } else { format!("{namespace}/{object}") };
                gaps.push(format!("{name}: {place} is not understood ({error}){others}"));
            }
        }
        gaps
    }

    /// Asks what is served for as long as the runtime lives, and watches it.
    pub(super) async fn watch(cluster: Arc<Cluster>) {
        let mut watching: [Option<JoinHandle<()>>; KINDS] = Default::default();
        loop {
            let served = served(&cluster.client).await;
            let others = &cluster.others;
            // An API server that does not answer will, and nothing is complete before.
            let is_forbidden = matches!(&served, Err(kube::Error::Api(status)) if status.code == 403);
            let undiscovered = match &served {
                Ok(_) => None,
                Err(error) => {
                    Some(format!("the API server does not say which kinds of policies it serves: {}", reason(error)))
                }
            };
            if std::mem::replace(&mut *lock(&others.undiscovered), undiscovered.clone()) != undiscovered {
                cluster.forget_policies(None);
            }
            if let Ok(served) = served {
                for (((kind, stored), watching), served) in others.each().zip(&mut watching).zip(served) {
                    let is_watching = watching.as_ref().is_some_and(|task| !task.is_finished());
                    match served {
                        Ok(true) if !is_watching => *watching = Some(tokio::spawn(follow(Arc::clone(&cluster), kind))),
                        Ok(false) => {
                            if let Some(task) = watching.take() {
                                task.abort();
                            }
                            lock(&cluster.broken).remove(&kind.qualified());
                            let last = std::mem::take(&mut *lock(stored));
                            Self::set(&cluster, stored, State::Absent, &last.state);
                        }
                        // A version that an aggregated API server does not answer for; the last state is kept.
                        Err(error) if !is_watching => {
                            let last = lock(stored).state.clone();
                            Self::set(&cluster, stored, State::Unread(reason(&error)), &last);
                        }
                        Ok(true) | Err(_) => {}
                    }
                }
            }
            others.settle(is_forbidden);
            let is_over = undiscovered.is_none() || is_forbidden;
            tokio::time::sleep(if is_over { ASK } else { AGAIN }).await;
        }
    }

    fn set(cluster: &Cluster, stored: &Mutex<Stored>, state: State, last: &State) {
        let changed = state != *last;
        lock(stored).state = state;
        if changed {
            cluster.forget_policies(None);
        }
    }

    /// Settles once no kind is unknown, or nobody says which there are.
    fn settle(&self, is_undiscovered: bool) {
        let is_known = |stored: &Mutex<Stored>| lock(stored).state != State::Unknown;
        if is_undiscovered || self.kinds.iter().all(is_known) {
            self.settled.send_if_modified(|settled| !std::mem::replace(settled, true));
        }
    }
}

/// Follows the objects of a kind until it is not served any more.
async fn follow(cluster: Arc<Cluster>, kind: PolicyKind) {
    let Some((_, stored)) = cluster.others.each().find(|(one, _)| *one == kind) else { return };
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource(kind));
    let events = watcher(api, watcher::Config::default().any_semantic()).default_backoff();
    let name = kind.qualified();
    let changed = |event: &watcher::Event<DynamicObject>| apply(&cluster, kind, stored, event);
    let failed = |error: &watcher::Error| {
        let last = lock(stored).state.clone();
        if last != State::Served {
            OtherPolicies::set(&cluster, stored, State::Unread(why(error)), &last);
        }
        cluster.others.settle(false);
    };
    cluster.follow(&name, events, RESUMED, changed, failed).await;
}

/// The reason why a watch or its list failed, in a few words.
pub(super) fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => reason(error),
        watcher::Error::WatchError(status) if status.code == 403 => "forbidden: grant list and watch on it".to_owned(),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => "the watch failed".to_owned(),
    }
}

fn apply(cluster: &Cluster, kind: PolicyKind, stored: &Mutex<Stored>, event: &watcher::Event<DynamicObject>) {
    match event {
        watcher::Event::Init => lock(stored).listed = Objects::default(),
        watcher::Event::InitApply(object) => lock(stored).listed.insert(kind, object),
        watcher::Event::InitDone => {
            let mut stored = lock(stored);
            stored.objects = std::mem::take(&mut stored.listed);
            stored.state = State::Served;
            drop(stored);
            cluster.forget_policies(None);
            cluster.others.settle(false);
        }
        watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
            let namespace = object.namespace();
            let mut stored = lock(stored);
            match event {
                watcher::Event::Apply(_) => stored.objects.insert(kind, object),
                _ => stored.objects.remove(&namespace.clone().unwrap_or_default(), &object.name_any()),
            }
            drop(stored);
            cluster.forget_policies(namespace.as_deref());
        }
    }
}

/// True for each kind that the API server serves; an error for one of whose group it does not say.
async fn served(client: &Client) -> kube::Result<[kube::Result<bool>; KINDS]> {
    let groups = client.list_api_groups().await?.groups;
    let mut resources: HashMap<String, kube::Result<Vec<String>>> = HashMap::new();
    let mut served = PolicyKind::ALL.map(|_| Ok(false));
    for (kind, served) in PolicyKind::ALL.into_iter().zip(&mut served) {
        let version = format!("{}/{}", kind.group, kind.version);
        if !groups.iter().any(|group| group.versions.iter().any(|one| one.group_version == version)) {
            continue;
        }
        if !resources.contains_key(&version) {
            let listed = match client.list_api_group_resources(&version).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                listed => listed.map(|list| list.resources.into_iter().map(|resource| resource.name).collect()),
            };
            resources.insert(version.clone(), listed);
        }
        *served = match resources.get(&version) {
            Some(Ok(names)) => Ok(names.iter().any(|name| name == kind.resource)),
            // An error cannot be copied: that of the first kind tells of the group.
            _ => match resources.remove(&version) {
                Some(Err(error)) => Err(error),
                _ => Ok(false),
            },
        };
    }
    Ok(served)
}
