//! Judges the Pods of a namespace, a page at a time, until all are judged or a limit is reached.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;

use super::Change;
use super::page::{Page, PodPages};
use super::relabelled::{Asked, Relabelled};
use super::tally::{Offence, Tally};
use crate::cluster::{Manifests, PageError};
use crate::decision::ModedFinding;
use crate::facts::{Namespace, World};
use crate::object::{Controllers, Owned};
use crate::scan::{Bench, Identity, Origin, References, Written};
use crate::snapshot::Snapshot;

/// Times that a Pod is judged until the world has answered what policies ask: three owners, and what the template asks.
const ROUNDS: usize = 5;

/// Limits of a check.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of Pods that are judged.
    pub pods: usize,
    /// Pods of a page, unless they are large.
    pub page: usize,
    /// Bytes of the Pods that wait until one of each controller is judged.
    pub waiting: usize,
}

impl Limits {
    /// The number of Pods is that of Kubernetes' own admission (`defaultNamespaceMaxPodsToCheck`).
    pub const USUAL: Self = Self { pods: 3_000, page: 100, waiting: 4 << 20 };
}

/// A check of the Pods of a namespace.
pub struct Check<'c> {
    /// Configuration in force.
    pub snapshot: &'c Snapshot,
    /// Facts about other objects.
    pub world: &'c dyn World,
    /// The Pods.
    pub pods: &'c dyn PodPages,
    /// The change of labels.
    pub change: &'c Change,
    /// Limits.
    pub limits: Limits,
    /// End of the time for it.
    pub until: Instant,
}

/// The reason why not all Pods were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Late,
    Many(usize),
    Unlisted(PageError),
    /// Some of them could not be judged.
    Unjudged,
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => out.write_str("the time for the check was over"),
            Self::Many(most) => write!(out, "{most} Pods are checked at most"),
            Self::Unlisted(error) => error.fmt(out),
            Self::Unjudged => out.write_str("the others could not be judged"),
        }
    }
}

/// A check under way.
struct Run<'c> {
    check: &'c Check<'c>,
    asked: Asked,
    ranges: Manifests,
    tally: Tally,
    /// Hashes of the uids of the controllers of Pods that were judged: a uid may be any text.
    controllers: HashSet<u64>,
    hasher: RandomState,
    /// Pods of such controllers, which wait.
    waiting: Vec<Box<RawValue>>,
    waiting_bytes: usize,
    /// Pods that could not be judged.
    unjudged: usize,
}

impl Check<'_> {
    /// Makes the check. The result is at most `most` warnings, none if all Pods were judged and none would be refused.
    pub async fn warnings(&self, most: usize) -> Vec<String> {
        let mut run = Run {
            check: self,
            asked: Asked::default(),
            ranges: Manifests::whole(false),
            tally: Tally::default(),
            controllers: HashSet::new(),
            hasher: RandomState::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            unjudged: 0,
        };
        let ended = run.all().await.err();
        let cut = ended.or((run.unjudged > 0).then_some(Cut::Unjudged));
        let cut = cut.as_ref().map(|cut| cut as &dyn fmt::Display);
        run.tally.warnings(&self.change.namespace, most, cut)
    }
}

impl Run<'_> {
    /// Judges every Pod: first those that stand for their controllers.
    async fn all(&mut self) -> Result<(), Cut> {
        let (mut limit, mut token, mut listed) = (self.check.limits.page.max(1), None::<String>, 0);
        loop {
            let namespace = &self.check.change.namespace;
            let page = self.check.pods.page(namespace, limit, token.as_deref());
            let text = match tokio::time::timeout_at(self.check.until.into(), page).await {
                Err(_) => return Err(Cut::Late),
                Ok(Err(PageError::TooLarge)) if limit > 1 => {
                    limit = limit.div_ceil(8);
                    continue;
                }
                Ok(Err(error)) => return Err(Cut::Unlisted(error)),
                Ok(Ok(text)) => text,
            };
            let page: Page<'_> = serde_json::from_str(&text).map_err(|_| Cut::Unlisted(PageError::Failed))?;
            let items = page.items.unwrap_or_default();
            listed += items.len();
            self.tally.total = listed + page.metadata.remaining_item_count.unwrap_or(0);
            for pod in items {
                if !self.waits(pod) {
                    self.judge(pod).await?;
                }
            }
            token = page.metadata.token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        for pod in std::mem::take(&mut self.waiting) {
            self.judge(&pod).await?;
        }
        Ok(())
    }

    /// Lets a Pod wait if another one of its controller was judged, and there is room.
    fn waits(&mut self, pod: &RawValue) -> bool {
        let Ok(owned) = Owned::read(pod) else { return false };
        let Controllers::One(controller) = owned.controllers() else { return false };
        if self.controllers.insert(self.hasher.hash_one(controller.uid())) {
            return false;
        }
        let bytes = self.waiting_bytes + pod.get().len();
        let waits = bytes <= self.check.limits.waiting;
        if waits {
            self.waiting_bytes = bytes;
            self.waiting.push(pod.to_owned());
        }
        waits
    }

    async fn judge(&mut self, pod: &RawValue) -> Result<(), Cut> {
        if self.tally.checked + self.unjudged >= self.check.limits.pods {
            return Err(Cut::Many(self.check.limits.pods));
        }
        // Others may have their turn.
        tokio::task::yield_now().await;
        if Instant::now() >= self.check.until {
            return Err(Cut::Late);
        }
        let Change { namespace, before, after, .. } = self.check.change;
        let identity = Identity {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: namespace.clone(),
            name: References::of(pod).name().to_owned(),
        };
        let Some(mut offences) = self.offences(pod, &identity, after).await? else {
            self.unjudged += 1;
            return Ok(());
        };
        if !offences.is_empty() {
            let known = self.offences(pod, &identity, before).await?.unwrap_or_default();
            // Messages name the label that asks for a policy, and another may have asked for it.
            let is_known =
                |one: &Offence| known.iter().any(|other| (other.policy, &other.place) == (one.policy, &one.place));
            offences.retain(|one| !is_known(one));
        }
        self.tally.add(&identity.name, &offences);
        Ok(())
    }

    /// What a Pod would be refused for if it were created now, in its namespace with these labels; `None` if it cannot be judged.
    async fn offences(
        &self,
        pod: &RawValue,
        identity: &Identity,
        labels: &Arc<Namespace>,
    ) -> Result<Option<Vec<Offence>>, Cut> {
        let Check { snapshot, world, change, until, .. } = *self.check;
        self.asked.clear();
        for _ in 0..ROUNDS {
            let relabelled = Relabelled { world, namespace: &change.namespace, labels, asked: &self.asked };
            let bench = Bench { snapshot, world: &relabelled, ranges: &self.ranges, now: change.received };
            let Ok(decision) = bench.decide(Written::Json(pod), identity, Origin::Stored) else { return Ok(None) };
            let refusing: Vec<_> = decision.findings.iter().filter(|finding| finding.refuses()).collect();
            // What is not known yet matters only to what refuses.
            if !refusing.is_empty() && self.asked.ask(world, until).await {
                continue;
            }
            if !refusing.is_empty() && Instant::now() >= until {
                return Err(Cut::Late);
            }
            let offence = |finding: &&ModedFinding| {
                let text = decision.text_of(finding);
                Offence { policy: finding.meta.id, place: text.place.clone(), message: text.message.clone() }
            };
            return Ok(Some(refusing.iter().map(offence).collect()));
        }
        Ok(None)
    }
}
