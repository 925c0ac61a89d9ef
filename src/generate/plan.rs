//! One namespace, its workloads and its policies → what is to be written, and what is to be told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use super::names::assigned;
use super::policy::{allow_ingress, default_deny, digest, generated, normal, owner};
use super::standing::Standing;
use super::{DEFAULT_DENY, DIGEST, OPT_IN, POLICIES, Settings, is_excluded};

/// A namespace, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Value of its label [`OPT_IN`].
    pub label: Option<String>,
    /// True while it is deleted.
    pub is_ending: bool,
}

/// Kind of a workload that has a policy. Jobs and CronJobs serve nobody, and have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl Kind {
    /// All of them, in the order in which they take names.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The kind in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// A workload, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The Pods that it owns.
    pub selector: LabelSelector,
    /// True while it is deleted.
    pub is_ending: bool,
}

/// A write.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Applies a policy.
    Apply(Box<NetworkPolicy>),
    /// Deletes a policy that is still in this state.
    Delete {
        /// Its name.
        name: String,
        /// Its uid.
        uid: Option<String>,
        /// Its resource version.
        resource_version: Option<String>,
    },
}

/// Reason why something is not as the namespace asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A policy of somebody else has the name.
    Foreign,
    /// Somebody edited the policy.
    Edited,
    /// Both names of a workload's policy are taken by other workloads.
    Clash,
    /// The workload selects every Pod of the namespace.
    Selector,
    /// There are too many policies in the namespace.
    Limit,
    /// The value of the label is unknown.
    Label,
    /// The policy has no workload any more, and nobody removes it.
    Orphan,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Foreign, Self::Edited, Self::Clash, Self::Selector, Self::Limit, Self::Label, Self::Orphan];

    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Edited => "edited",
            Self::Clash => "clash",
            Self::Selector => "selector",
            Self::Limit => "limit",
            Self::Label => "label",
            Self::Orphan => "orphan",
        }
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// Its reason.
    pub cause: Cause,
    /// The policy, workload or namespace.
    pub name: String,
    /// A sentence without its subject.
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.name, self.message)
    }
}

/// The result for one namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Writes, in this order.
    pub actions: Vec<Action>,
    /// Remarks, in order.
    pub remarks: Vec<Remark>,
    /// Number of generated policies that nobody edited.
    pub owned: usize,
}

/// A stored policy, and its standing.
pub(super) struct Held<'p> {
    policy: &'p NetworkPolicy,
    standing: Standing,
}

impl Held<'_> {
    /// True for a policy that we made for the object with this uid.
    pub(super) fn is_owned_by(&self, uid: &str) -> bool {
        self.standing != Standing::Foreign && self.owners().iter().any(|owner| owner.uid == uid)
    }

    fn owners(&self) -> &[OwnerReference] {
        self.policy.metadata.owner_references.as_deref().unwrap_or_default()
    }

    fn is_ending(&self) -> bool {
        self.policy.metadata.deletion_timestamp.is_some()
    }

    /// True if it is what would be generated.
    fn is_current(&self, spec: &NetworkPolicySpec, owner: Option<&OwnerReference>) -> bool {
        let written = self.policy.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST));
        let is_owned = owner.is_none_or(|owner| self.owners().contains(owner));
        written.is_some_and(|written| *written == digest(spec)) && is_owned
    }
}

/// Wishes of a namespace; `None` while its label cannot be understood: then nothing is made and nothing removed.
#[derive(Clone, Copy)]
struct Wishes {
    allow_ingress: Option<bool>,
    default_deny: Option<bool>,
}

impl Wishes {
    fn of(settings: &Settings, namespace: &Namespace, remarks: &mut Vec<Remark>) -> Self {
        let (allows, denies) = match namespace.label.as_deref() {
            None => (Some(false), Some(false)),
            Some("allow-ingress") => (Some(true), Some(false)),
            Some("default-deny") => (Some(false), Some(true)),
            Some("all") => (Some(true), Some(true)),
            Some(_) => {
                let message = format!(
                    "has a label {OPT_IN} that is not allow-ingress, default-deny or all: nothing is generated or removed there"
                );
                remarks.push(Remark { cause: Cause::Label, name: namespace.name.clone(), message });
                (None, None)
            }
        };
        let named = |names: &std::collections::BTreeSet<String>| names.contains(&namespace.name).then_some(true);
        Self {
            allow_ingress: named(&settings.allow_ingress).or(allows),
            default_deny: named(&settings.default_deny).or(denies),
        }
    }

    /// The wish for the policy of this name.
    fn about(self, name: &str) -> Option<bool> {
        if name == DEFAULT_DENY { self.default_deny } else { self.allow_ingress }
    }
}

/// Plans what is to be done in `namespace`, which holds these workloads and policies. `own` is the namespace of Portcullis.
pub fn plan(
    settings: &Settings,
    own: &str,
    namespace: &Namespace,
    workloads: &[Workload],
    policies: &[Arc<NetworkPolicy>],
) -> Plan {
    let mut planning = Planning { namespace: &namespace.name, held: BTreeMap::new(), plan: Plan::default() };
    if namespace.is_ending || is_excluded(own, &namespace.name) {
        return planning.plan;
    }
    for policy in policies {
        let Some(name) = &policy.metadata.name else { continue };
        planning.held.insert(name, Held { policy, standing: Standing::of(policy) });
    }
    planning.plan.owned = planning.held.values().filter(|held| held.standing == Standing::Ours).count();
    let wishes = Wishes::of(settings, namespace, &mut planning.plan.remarks);
    let mut workloads: Vec<&Workload> = workloads.iter().collect();
    workloads.sort_by_key(|workload| (workload.kind, &workload.name));
    let names = assigned(&workloads, &planning.held);

    planning.remove(wishes, &workloads, &names);
    if wishes.default_deny == Some(true) {
        planning.want(DEFAULT_DENY, default_deny(settings), None);
    }
    if wishes.allow_ingress == Some(true) {
        for (workload, name) in workloads.iter().zip(&names) {
            planning.allow(workload, name.as_deref(), settings);
        }
    }
    planning.plan.remarks.sort();
    planning.plan
}

/// A plan while it is made.
struct Planning<'p> {
    namespace: &'p str,
    held: BTreeMap<&'p str, Held<'p>>,
    plan: Plan,
}

impl Planning<'_> {
    fn tell(&mut self, cause: Cause, name: &str, message: impl Into<String>) {
        self.plan.remarks.push(Remark { cause, name: name.to_owned(), message: message.into() });
    }

    /// Removes what the namespace does not ask for any more. What belongs to a workload that is gone is left to the garbage
    /// collector: that a watch does not show a workload is no proof.
    fn remove(&mut self, wishes: Wishes, workloads: &[&Workload], names: &[Option<String>]) {
        let mut remarks = Vec::new();
        for (name, held) in &self.held {
            let mut tell = |cause, message: String| remarks.push((cause, (*name).to_owned(), message));
            let is_unwanted = wishes.about(name) == Some(false);
            match &held.standing {
                Standing::Foreign => {}
                _ if held.is_ending() => {}
                Standing::Edited(by) => tell(Cause::Edited, edited(by.as_deref())),
                Standing::Ours => {
                    let of = workloads.iter().zip(names).find(|(workload, _)| held.is_owned_by(&workload.uid));
                    let has_another = of.is_some_and(|(_, given)| given.as_deref().is_some_and(|given| given != *name));
                    if is_unwanted || (has_another && wishes.about(name) == Some(true)) {
                        let metadata = &held.policy.metadata;
                        self.plan.actions.push(Action::Delete {
                            name: (*name).to_owned(),
                            uid: metadata.uid.clone(),
                            resource_version: metadata.resource_version.clone(),
                        });
                    } else if *name != DEFAULT_DENY && held.owners().is_empty() && !is_given(names, name) {
                        let message =
                            "belongs to no workload any more, and is not removed by the garbage collector: delete it";
                        tell(Cause::Orphan, message.to_owned());
                    }
                }
            }
        }
        for (cause, name, message) in remarks {
            self.tell(cause, &name, message);
        }
    }

    /// Wants the policy of a workload.
    fn allow(&mut self, workload: &Workload, name: Option<&str>, settings: &Settings) {
        let described = || format!("{} {}", workload.kind.as_str(), workload.name);
        if workload.is_ending {
            return;
        }
        let selector = normal(workload.selector.clone());
        if selector == LabelSelector::default() {
            let message = "selects every Pod of its namespace: no policy is generated for it";
            return self.tell(Cause::Selector, &described(), message);
        }
        match name {
            Some(name) => self.want(name, allow_ingress(&selector, &settings.from), Some(owner(workload))),
            None => {
                let message = "has no policy: other workloads have both of its names";
                self.tell(Cause::Clash, &described(), message);
            }
        }
    }

    /// Wants a policy: creates it, or updates it if it is ours.
    fn want(&mut self, name: &str, spec: NetworkPolicySpec, owner: Option<OwnerReference>) {
        let over = match self.held.get(name) {
            None => {
                let creations = self.plan.actions.iter().filter(|action| action.creates()).count();
                if self.plan.owned + creations >= POLICIES {
                    let message = format!("is not generated: the namespace has {POLICIES} generated policies already");
                    return self.tell(Cause::Limit, name, message);
                }
                None
            }
            Some(held) => match held.standing {
                Standing::Foreign => {
                    let message = "is a NetworkPolicy of somebody else, and is left alone: rename or delete it to have it generated";
                    return self.tell(Cause::Foreign, name, message);
                }
                // It is told of where removals are planned.
                Standing::Edited(_) => return,
                Standing::Ours if held.is_ending() || held.is_current(&spec, owner.as_ref()) => return,
                Standing::Ours => Some(&held.policy.metadata),
            },
        };
        let policy = generated(self.namespace, name, spec, owner, over);
        self.plan.actions.push(Action::Apply(Box::new(policy)));
    }
}

impl Action {
    /// The name of the policy.
    pub fn name(&self) -> &str {
        match self {
            Self::Apply(policy) => policy.metadata.name.as_deref().unwrap_or_default(),
            Self::Delete { name, .. } => name,
        }
    }

    /// True if it creates a policy.
    pub fn creates(&self) -> bool {
        matches!(self, Self::Apply(policy) if policy.metadata.uid.is_none())
    }
}

fn is_given(names: &[Option<String>], name: &str) -> bool {
    names.iter().any(|given| given.as_deref() == Some(name))
}

fn edited(by: Option<&str>) -> String {
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    format!("was generated, was edited{by} since, and is left alone: delete it to have it generated again")
}
