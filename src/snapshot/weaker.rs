//! Policies that a reload made weaker.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{LABELS, Scope, Snapshot};
use crate::engine::ActivePolicy;
use crate::exception::{Exceptions, Shared};
use crate::mode::Mode;
use crate::object::Workloads;
use crate::pod_security::Version;
use crate::policy::{Kinds, Meta, quoted};

/// A policy that became weaker, or may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weaker {
    /// Id of the policy; `workloads` for a kind with pod templates that was removed, `podSecurityLabels` for the
    /// labels of namespaces, whose mode is the strongest that they may ask for, `breakGlass` for a group that may break the glass,
    /// `webhooks` for the repair of webhook objects.
    pub policy: &'static str,
    /// The namespace; `*` for all that no entry names, `KEY=VALUE` for those that carry a label which an entry matches.
    pub namespace: String,
    /// The part of the policy that changed.
    pub change: Change,
    /// Value before the reload.
    pub from: String,
    /// Value after the reload; empty if it was removed.
    pub to: String,
}

/// The part of a policy that a reload changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The mode.
    Mode,
    /// `updates`: strict or lenient.
    Updates,
    /// `deletes`: enforce or warn.
    Deletes,
    /// The settings. Two settings have no order, so that every change counts as weaker.
    Settings,
    /// The version of the Pod Security Standards that it follows.
    PodSecurityVersion,
    /// A kind with pod templates, or one template path of a kind, was removed.
    Workload,
    /// An exception from the policy was added, widened or prolonged.
    Exception,
    /// A group was added whose members may break the glass.
    BreakGlass,
    /// Webhook objects that somebody weakens are no longer repaired.
    Drift,
    /// Pods may inherit the policy's findings from more owners: from any, or from younger ones (`existing`).
    Existing,
}

/// Everything that is weaker in `new` than in `old`, or may be, by namespace.
pub fn weaker(old: &Snapshot, new: &Snapshot) -> Vec<Weaker> {
    let names: BTreeSet<&str> = old.by_name.keys().chain(new.by_name.keys()).map(String::as_str).collect();
    let compare = |namespace: &str, shown: &str| {
        let (before, after) = (old.scope(namespace), new.scope(namespace));
        let mut found = scopes(before, after, new.version, shown);
        if new.existing > old.existing {
            found.extend(existing((before, old.existing), (after, new.existing), shown));
        }
        found
    };
    // No namespace has the empty name: it is governed by the top.
    let everywhere = compare("", "*");
    let mut all = everywhere.clone();
    for name in names {
        let same = |weaker: &Weaker| {
            let alike = |top: &Weaker| {
                (top.policy, top.change, &top.from, &top.to) == (weaker.policy, weaker.change, &weaker.from, &weaker.to)
            };
            everywhere.iter().any(alike)
        };
        all.extend(compare(name, name).into_iter().filter(|weaker| !same(weaker)));
    }
    for raise in &old.raises {
        let before = &old.scopes[raise.scope];
        let after = new.raised("", |label| label.covers(&raise.label));
        // What became weaker at the top is told of it.
        let by_top = |one: &Weaker| everywhere.iter().any(|top| (top.policy, top.change) == (one.policy, one.change));
        let found = scopes(before, &after, new.version, &raise.label.to_string());
        all.extend(found.into_iter().filter(|one| one.change != Change::Settings && !by_top(one)));
    }
    if new.version < old.version {
        let follows = |meta: &Meta| meta.controls.iter().any(|control| control.standard.starts_with("Pod Security"));
        let following = new.scopes.iter().flat_map(|scope| &scope.policies).map(|policy| policy.meta);
        let following: BTreeSet<&str> = following.filter(|meta| follows(meta)).map(|meta| meta.id).collect();
        all.extend(following.into_iter().map(|policy| Weaker {
            policy,
            namespace: "*".to_owned(),
            change: Change::PodSecurityVersion,
            from: old.version.to_string(),
            to: new.version.to_string(),
        }));
    }
    all.extend(workloads(&old.workloads, &new.workloads));
    all.extend(exceptions(&old.exceptions, &new.exceptions));
    let groups = new.break_glass.iter().filter(|group| !old.break_glass.contains(group));
    all.extend(groups.map(|group| Weaker {
        policy: "breakGlass",
        namespace: "*".to_owned(),
        change: Change::BreakGlass,
        from: String::new(),
        to: quoted(group).to_string(),
    }));
    if old.repairs_webhooks && !new.repairs_webhooks {
        all.push(Weaker {
            policy: "webhooks",
            namespace: "*".to_owned(),
            change: Change::Drift,
            from: "repair".to_owned(),
            to: "report".to_owned(),
        });
    }
    all
}

/// Every policy from which an exception takes more than before. One that another covers whole, under whatever name, takes
/// nothing. Namespace and end are told, and which fields became wider: not what they say, which may name people.
fn exceptions(old: &Exceptions, new: &Exceptions) -> Vec<Weaker> {
    let mut found = Vec::new();
    for exception in new.iter() {
        for policy in &exception.policies {
            let covers = |other: &&Shared| {
                // The cheap comparisons come first: there may be thousands of exceptions on both sides.
                other.expires >= exception.expires
                    && other.matching.namespace == exception.matching.namespace
                    && other.policies.iter().any(|named| std::ptr::eq(*named, *policy))
                    && exception.wider_than(other).is_empty()
            };
            if old.iter().any(|other| covers(&other)) {
                continue;
            }
            let before = old.iter().find(|other| other.name == exception.name);
            let before = before.filter(|other| other.policies.iter().any(|named| std::ptr::eq(*named, *policy)));
            let wider = before.map(|before| exception.wider_than(before)).unwrap_or_default();
            let wider = if wider.is_empty() { String::new() } else { format!(" (wider: {})", wider.join(", ")) };
            found.push(Weaker {
                policy: policy.id,
                namespace: exception.matching.namespace.clone().unwrap_or_else(|| "*".to_owned()),
                change: Change::Exception,
                from: before.map(ToString::to_string).unwrap_or_default(),
                to: format!("{exception}{wider}"),
            });
        }
    }
    found
}

/// Every policy whose findings refused Pods and, for owners that are old enough, no longer do.
fn existing(
    (old, from): (&Scope, Option<Timestamp>),
    (new, to): (&Scope, Option<Timestamp>),
    namespace: &str,
) -> Vec<Weaker> {
    let enforces = |scope: &Scope, meta: &Meta| {
        scope.modes().any(|(other, mode)| std::ptr::eq(other, meta) && mode == Mode::Enforce)
    };
    let inherits =
        |meta: &Meta| new.policies.iter().all(|policy| !std::ptr::eq(policy.meta, meta) || policy.inherits());
    let shown = |before: Option<Timestamp>| before.map(|before| format!("created before {before}")).unwrap_or_default();
    let judging = new.policies.iter().map(|policy| policy.meta).chain([&LABELS]);
    let weaker = judging.filter(|meta| {
        meta.kinds.contains(&Kinds::Pods) && enforces(old, meta) && enforces(new, meta) && inherits(meta)
    });
    weaker
        .map(|meta| Weaker {
            policy: meta.id,
            namespace: namespace.to_owned(),
            change: Change::Existing,
            from: shown(from),
            to: shown(to),
        })
        .collect()
}

fn scopes(old: &Scope, new: &Scope, version: Version, namespace: &str) -> Vec<Weaker> {
    let weaker = |policy, change, from: &str, to: &str| Weaker {
        policy,
        namespace: namespace.to_owned(),
        change,
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let mut found: Vec<Weaker> = old
        .stronger_than(new, version)
        .map(|(meta, from, to)| weaker(meta.id, Change::Mode, from.as_str(), to.as_str()))
        .collect();
    let still_runs = |meta: &Meta| new.modes().any(|(other, mode)| std::ptr::eq(other, meta) && mode > Mode::Off);
    let mut compare = |strict: fn(&ActivePolicy) -> bool, change, from: &str, to: &str| {
        let lenient = old.stricter_than(new, version, strict).filter(|meta| still_runs(meta));
        found.extend(lenient.map(|meta| weaker(meta.id, change, from, to)));
    };
    compare(|policy| policy.strict_updates, Change::Updates, "strict", "lenient");
    compare(|policy| policy.enforces_deletes, Change::Deletes, "enforce", "warn");
    let none = Value::Object(serde_json::Map::new());
    for (meta, _) in old.modes().filter(|(meta, _)| still_runs(meta)) {
        let of = |scope: &Scope| scope.settings.get(meta.id).unwrap_or(&none).to_string();
        let (from, to) = (of(old), of(new));
        if from != to {
            found.push(weaker(meta.id, Change::Settings, &quoted(&from).to_string(), &quoted(&to).to_string()));
        }
    }
    found
}

fn workloads(old: &Workloads, new: &Workloads) -> Vec<Weaker> {
    let places = |workloads: &Workloads| -> BTreeSet<String> {
        let rows = workloads.iter().flat_map(|row| {
            row.templates
                .iter()
                .map(|path| format!("{}/{} ({}) /{}", row.group, row.kind, row.resource, path.join("/")))
                .collect::<Vec<_>>()
        });
        rows.collect()
    };
    let (before, after) = (places(old), places(new));
    let gone = before.difference(&after).map(|place| Weaker {
        policy: "workloads",
        namespace: "*".to_owned(),
        change: Change::Workload,
        from: place.clone(),
        to: String::new(),
    });
    gone.collect()
}
