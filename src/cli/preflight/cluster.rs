//! Reads a cluster: the objects that traps are about, and everything that policies judge.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Preflight, objects};
use crate::cli::connect;
use crate::cli::row::Examined;
use crate::decision::ModedFinding;
use crate::preflight::{Critical, Seen};
use crate::scan::{Bench, Identity, Known, Listed, Owners, PAGE, References, TeamKeys, Visitor, each, served, world};
use crate::webhooks::Target;

/// The error where no cluster is named.
const MISSING: &str = "there is no cluster to look at: name one with --kubeconfig";
/// Priority class of Pods that a node needs.
const CRITICAL: &str = "system-node-critical";
/// DaemonSets of such Pods that are kept.
const KEPT: usize = 1_000;

pub(super) fn read(preflight: &mut Preflight<'_>, target: Target, kubeconfig: Option<&Path>) -> Result<Seen, String> {
    connect::with_cluster(kubeconfig, MISSING, async |client| whole(preflight, target, client).await)
}

async fn whole(preflight: &mut Preflight<'_>, target: Target, client: kube::Client) -> Result<Seen, String> {
    let served = served(&client, preflight.snapshot).await.map_err(|error| format!("the cluster: {error}"))?;
    preflight.unreadable.extend(served.errors.iter().map(ToString::to_string));

    let mut owners = Owners::new(TeamKeys::default());
    let objects = world(preflight.snapshot, preflight.now, true);
    let (known, errors) = Known::list(&client, objects, PAGE, &mut owners, &mut Told(preflight)).await;
    preflight.unreadable.extend(errors.iter().map(ToString::to_string));
    let mut judging = Judging { preflight, known, owners, critical: Vec::new(), own: target.namespace.clone() };
    // Pods and what makes them: they are what will not start. Other objects stay as they are until somebody writes them.
    let workloads = judging.preflight.snapshot.workloads();
    for kind in served.kinds.iter().filter(|kind| workloads.find(&kind.group, &kind.kind).is_some()) {
        if let Err(error) = each(&client, kind, PAGE, &mut judging).await {
            judging.preflight.unreadable.push(error.to_string());
        }
    }
    let Judging { preflight, known, critical, .. } = judging;
    preflight.notes.extend(known.objects().note());
    let mut seen = objects::read(preflight, &client, target).await;
    (seen.critical, seen.missing) = (critical, served.missing);
    Ok(seen)
}

/// The fields of a DaemonSet that tell if a node needs its Pods.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DaemonSet {
    spec: DaemonSetSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DaemonSetSpec {
    template: Template,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: Option<PodSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    host_network: Option<bool>,
    priority_class_name: Option<String>,
}

impl DaemonSet {
    fn is_critical(object: &RawValue) -> bool {
        let read: Self = serde_json::from_str(object.get()).unwrap_or_default();
        let spec = read.spec.template.spec.unwrap_or_default();
        spec.host_network == Some(true) && spec.priority_class_name.as_deref() == Some(CRITICAL)
    }
}

/// True for a Pod that has ended, and runs no more.
fn has_ended(pod: &RawValue) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pod {
        status: Status,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        phase: String,
    }
    let read: Pod = serde_json::from_str(pod.get()).unwrap_or_default();
    ["Succeeded", "Failed"].contains(&read.status.phase.as_str())
}

/// Judges what is listed.
struct Judging<'j, 's> {
    preflight: &'j mut Preflight<'s>,
    known: Known,
    owners: Owners,
    critical: Vec<Critical>,
    /// Our namespace.
    own: String,
}

impl Visitor for Judging<'_, '_> {
    fn object(&mut self, kind: &Listed, object: &RawValue) {
        let references = References::of(object);
        self.owners.learn(&kind.kind, &references);
        // It has no next Pod of its own, and what made it is judged by itself.
        if kind.kind == "Pod" && has_ended(object) {
            return;
        }
        self.known.learn(kind, object, &references);
        let (snapshot, now) = (self.preflight.snapshot, self.preflight.now);
        let bench = Bench { snapshot, world: &self.known, ranges: self.known.objects(), now };
        let identity = Identity::listed(kind, &references);
        let place = || format!("{} {}/{}", kind.kind, identity.namespace, identity.name);
        let Some(judged) = Examined::listed(&bench, object, &identity) else {
            return self.preflight.unreadable.push(format!("{}: nested too deeply", place()));
        };
        for (_, error) in &judged.judgement.errors {
            self.preflight.unreadable.push(format!("{}: {error}", place()));
        }
        let findings = judged.judgement.decision.iter().flat_map(|decision| &decision.findings);
        let refused_by: Vec<&'static str> =
            findings.filter(|finding| ModedFinding::refuses(finding)).map(|finding| finding.meta.id).collect();
        if kind.kind == "DaemonSet" && self.critical.len() < KEPT && DaemonSet::is_critical(object) {
            let Identity { namespace, name, .. } = identity.clone();
            let mut refused_by = refused_by.clone();
            refused_by.sort_unstable();
            refused_by.dedup();
            self.critical.push(Critical { namespace, name, refused_by });
        }
        // No webhook selects our own namespace.
        if !refused_by.is_empty() && identity.namespace != self.own {
            let owner = self.owners.topmost(&identity.kind, &references);
            self.preflight.refuse(&identity.namespace, owner.to_string(), refused_by.into_iter());
        }
    }

    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>) {
        self.preflight.progress.show(&kind.qualified(), done, remaining);
    }

    fn note(&mut self, note: String) {
        self.preflight.notes.insert(note);
    }
}

/// Shows how far the facts are.
struct Told<'t, 's>(&'t mut Preflight<'s>);

impl Visitor for Told<'_, '_> {
    fn object(&mut self, _: &Listed, _: &RawValue) {}

    fn progress(&mut self, kind: &Listed, done: usize, remaining: Option<u64>) {
        self.0.progress.show(&kind.qualified(), done, remaining);
    }

    fn note(&mut self, note: String) {
        self.0.notes.insert(note);
    }
}
