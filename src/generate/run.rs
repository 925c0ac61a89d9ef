//! The generator: it waits to lead, looks at each namespace in which something changed, and writes what the plan says.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::election::{Election, Timing};
use super::pace::{Pace, Pauses};
use super::plan::{Action, Plan, plan};
use super::state::State;
use super::stores::Stores;
use super::{LEASE, MANAGER, Settings};

/// Time after a look in which further changes are gathered for the next one.
const GATHER: Duration = Duration::from_millis(200);
/// Time after which every namespace is looked at again.
const AGAIN: Duration = Duration::from_mins(10);
/// Maximum time for a write.
const WRITE: Duration = Duration::from_secs(10);

/// The generator.
pub struct Generator {
    client: Client,
    /// Namespace of Portcullis.
    own: String,
    timing: Timing,
    settings: ArcSwap<Settings>,
    stores: Arc<Stores>,
    state: State,
}

/// Result of a write.
enum Written {
    /// It was made.
    Yes,
    /// Something else is there than the plan was made from; the watch brings it.
    Outdated,
    /// It was refused.
    Refused,
    /// Nobody answered, or the API server is in trouble.
    Unanswered,
}

impl Generator {
    /// Begins to watch the cluster. Nothing is written yet.
    pub fn watch(client: Client, own: String, settings: Settings, timing: Timing) -> Arc<Self> {
        let stores = Stores::watch(&client);
        Arc::new(Self { client, own, timing, settings: ArcSwap::from_pointee(settings), stores, state: State::new() })
    }

    /// Its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Duration of the longest current outage of a watch; zero without one.
    pub fn staleness(&self) -> Duration {
        self.stores.staleness()
    }

    /// Replaces the settings.
    pub fn configure(&self, settings: Settings) {
        if *self.settings.swap(Arc::new(settings.clone())) != settings {
            self.stores.touch_all();
        }
    }

    /// Generates until `end`, whenever this replica leads; then gives the Lease up.
    pub async fn run(&self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        let mut election = Election::new(self.client.clone(), &self.own, self.timing);
        tokio::select! {
            () = self.stores.ready() => self.state.complete(),
            () = &mut end => return,
        }
        loop {
            tokio::select! {
                () = election.won() => {}
                () = &mut end => break,
            }
            tracing::info!(lease = LEASE, holder = election.identity(), "this replica leads");
            self.state.lead(true);
            let is_over = tokio::select! {
                () = election.lost() => false,
                () = self.work() => false,
                () = &mut end => true,
            };
            self.state.lead(false);
            if is_over {
                break;
            }
            tracing::warn!(lease = LEASE, holder = election.identity(), "this replica does not lead any more");
        }
        election.release().await;
    }

    /// Looks at what changes. Never returns.
    async fn work(&self) {
        let (mut pace, mut pauses) = (Pace::new(Instant::now()), Pauses::default());
        let mut again = Instant::now();
        loop {
            let now = Instant::now();
            if now >= again {
                self.stores.touch_all();
                again = now + AGAIN;
            }
            for namespace in pauses.due(now) {
                self.stores.touch(namespace);
            }
            self.look(&mut pace, &mut pauses).await;
            sleep(GATHER).await;
            let due = pauses.next().map_or(again, |next| next.min(again));
            tokio::select! {
                () = self.stores.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Looks at the namespaces in which something changed, and writes.
    async fn look(&self, pace: &mut Pace, pauses: &mut Pauses) {
        let changes = self.stores.take();
        let settings = self.settings.load_full();
        let spaces = self.stores.spaces(&changes, &self.own);
        let is_there = |name: &str| spaces.contains_key(name) || !(changes.everywhere || changes.names.contains(name));
        self.state.keep(is_there);
        pauses.keep(is_there);
        for (name, space) in &spaces {
            let plan = plan(&settings, &self.own, &space.namespace, &space.workloads, &space.policies);
            for remark in self.state.tell(name, &plan) {
                tracing::warn!(namespace = name, cause = remark.cause.as_str(), "{remark}");
            }
            // Where it has just failed, the end of the pause brings it here again.
            if !pauses.holds(name, Instant::now()) {
                self.write(name, plan, pace, pauses).await;
            }
        }
        self.state.count();
        self.state.fail(pauses.count());
    }

    /// Makes the writes of a plan. One that is refused keeps no other from being made.
    async fn write(&self, namespace: &str, plan: Plan, pace: &mut Pace, pauses: &mut Pauses) {
        let mut is_done = true;
        for action in plan.actions {
            sleep_until(pace.due(Instant::now())).await;
            match self.send(namespace, &action).await {
                Written::Yes => {}
                Written::Outdated | Written::Refused => is_done = false,
                Written::Unanswered => {
                    is_done = false;
                    break;
                }
            }
        }
        if is_done {
            pauses.succeeded(namespace);
        } else {
            pauses.failed(namespace, Instant::now());
        }
    }

    async fn send(&self, namespace: &str, action: &Action) -> Written {
        let api: Api<NetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
        let name = action.name();
        let done = match action {
            Action::Apply(_) if action.creates() => "create",
            Action::Apply(_) => "update",
            Action::Delete { .. } => "delete",
        };
        let sent = async {
            match action {
                Action::Apply(policy) => {
                    let by = PatchParams::apply(MANAGER);
                    api.patch(name, &by, &Patch::Apply(policy)).await.map(drop)
                }
                Action::Delete { uid, resource_version, .. } => {
                    let (uid, resource_version) = (uid.clone(), resource_version.clone());
                    let preconditions = Some(Preconditions { uid, resource_version });
                    api.delete(name, &DeleteParams { preconditions, ..DeleteParams::default() }).await.map(drop)
                }
            }
        };
        let (written, result) = match timeout(WRITE, sent).await {
            Ok(Ok(())) => {
                tracing::info!(namespace, name, action = done, "a generated NetworkPolicy was written");
                (Written::Yes, "ok")
            }
            Ok(Err(error)) if is_outdated(&error) => {
                tracing::debug!(%error, namespace, name, action = done, "the cluster has changed meanwhile");
                (Written::Outdated, "outdated")
            }
            Ok(Err(error)) if is_refused(&error) => {
                tracing::warn!(%error, namespace, name, action = done, "a generated NetworkPolicy was refused");
                (Written::Refused, "refused")
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, namespace, name, action = done, "a generated NetworkPolicy could not be written");
                (Written::Unanswered, "unanswered")
            }
            Err(_) => {
                let seconds = WRITE.as_secs();
                tracing::warn!(
                    seconds,
                    namespace,
                    name,
                    action = done,
                    "the API server did not answer a write in time"
                );
                (Written::Unanswered, "unanswered")
            }
        };
        self.state.wrote(done, result);
        written
    }
}

/// True if the API server refused this write, and may take another.
fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

/// True if a write was refused because something else is there than the plan was made from.
fn is_outdated(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let has = |reason: &str| causes.clone().any(|cause| cause.reason == reason);
    match status.code {
        404 => true,
        409 => !has("FieldManagerConflict"),
        403 => has("NamespaceTerminating"),
        _ => false,
    }
}
