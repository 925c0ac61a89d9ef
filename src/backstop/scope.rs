//! The namespaces in which the backstop judges a policy: where it enforces, and nothing that the API server does not know could
//! admit the Pod.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use k8s_openapi::api::admissionregistration::v1::Validation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Settings;
use super::pods::{self, RULES, Rule};
use crate::engine::ActivePolicy;
use crate::mode::Mode;
use crate::policy::{Kinds, catalogue};
use crate::snapshot::Snapshot;
use crate::webhooks::Modes;

/// The mode that refuses.
const REFUSING: RangeInclusive<Mode> = Mode::Enforce..=Mode::Enforce;
/// Exceptions that a note names; the others are counted.
const NAMED: usize = 3;

/// Policies that are judged in the same namespaces.
pub(super) struct Group {
    pub(super) selector: LabelSelector,
    pub(super) validations: Vec<Validation>,
}

/// The policies, by the namespaces in which they are judged, and notes of those that are left out.
pub(super) fn groups(snapshot: &Snapshot, settings: &Settings) -> (Vec<Group>, Vec<String>) {
    let mut names: BTreeSet<&str> = snapshot.named_namespaces().into_iter().collect();
    names.extend(snapshot.exceptions().iter().filter_map(|one| one.matching.namespace.as_deref()));
    let mut groups: Vec<Group> = Vec::new();
    for rule in &RULES {
        let at = |namespace: &str| expression(snapshot, settings, rule, namespace);
        let expressions: BTreeSet<String> = names.iter().copied().chain([""]).filter_map(at).collect();
        for wanted in expressions {
            let mode = |namespace: &str| {
                if at(namespace).as_ref() == Some(&wanted) { Mode::Enforce } else { Mode::Off }
            };
            let modes = Modes::of(names.iter().copied().collect(), mode);
            let Some(selector) = modes.select(&REFUSING, &settings.namespace) else { continue };
            add(&mut groups, selector, pods::validation(rule, wanted));
        }
        // What the top has is judged in namespaces with a label too.
        let of_top = at("");
        for (entry, label) in snapshot.raising().enumerate() {
            let Some((policy, wanted)) =
                raised(snapshot, rule, entry).filter(|(_, wanted)| of_top.as_ref() != Some(wanted))
            else {
                continue;
            };
            let own = snapshot.raised_by(entry).and_then(|scope| scope.settings.get(rule.id));
            let is_left = |namespace: &str| {
                excepted(snapshot, settings, policy, namespace).next().is_some()
                    || snapshot.settings(namespace, rule.id) != own
            };
            let mode = |namespace: &str| {
                if !namespace.is_empty() && is_left(namespace) { Mode::Enforce } else { Mode::Off }
            };
            let modes = Modes::of(names.iter().copied().collect(), mode).raised(vec![(label, Mode::Enforce)]);
            let Some(selector) = modes.select_raised(0, &REFUSING, &settings.namespace) else { continue };
            add(&mut groups, selector, pods::validation(rule, wanted));
        }
    }
    (groups, notes(snapshot, settings))
}

fn add(groups: &mut Vec<Group>, selector: LabelSelector, validation: Validation) {
    match groups.iter_mut().find(|group| group.selector == selector) {
        Some(group) => group.validations.push(validation),
        None => groups.push(Group { selector, validations: vec![validation] }),
    }
}

/// A policy that the label of an entry makes enforce, counted from 0, and its expression, if the backstop judges it.
fn raised<'s>(snapshot: &'s Snapshot, rule: &Rule, entry: usize) -> Option<(&'s ActivePolicy, String)> {
    let scope = snapshot.raised_by(entry)?;
    let policy = scope.policies.iter().find(|policy| policy.meta.id == rule.id)?;
    let counts = policy.mode == Mode::Enforce && !may_be_old(snapshot, policy);
    let expression =
        counts.then(|| (rule.expression)(policy.meta, snapshot.version(), scope.settings.get(rule.id)))??;
    Some((policy, expression))
}

/// The expression of a policy for Pods in a namespace, if the backstop judges it there.
fn expression(snapshot: &Snapshot, settings: &Settings, rule: &Rule, namespace: &str) -> Option<String> {
    let policy = snapshot.policies(namespace).iter().find(|policy| policy.meta.id == rule.id)?;
    let counts = policy.mode == Mode::Enforce && !may_be_old(snapshot, policy);
    let is_excepted = || excepted(snapshot, settings, policy, namespace).next().is_some();
    if !counts || is_excepted() {
        return None;
    }
    (rule.expression)(policy.meta, snapshot.version(), snapshot.settings(namespace, rule.id))
}

/// True if the age of a workload may admit its Pods.
fn may_be_old(snapshot: &Snapshot, policy: &ActivePolicy) -> bool {
    snapshot.existing().is_some() && !policy.strict_updates
}

/// The exceptions from a policy in a namespace. Any of them may be for some Pod: owners, users and images are not looked at here.
fn excepted<'s>(
    snapshot: &'s Snapshot,
    settings: &Settings,
    policy: &ActivePolicy,
    namespace: &str,
) -> impl Iterator<Item = &'s str> {
    let (meta, now) = (policy.meta, settings.now);
    snapshot.exceptions().iter().filter_map(move |one| {
        let is_here = !namespace.is_empty() && one.matching.namespace.as_deref() == Some(namespace);
        let names = one.policies.iter().any(|policy| std::ptr::eq(*policy, meta));
        (is_here && names && one.is_in_force(now)).then_some(one.name.as_str())
    })
}

fn notes(snapshot: &Snapshot, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let mut excepted: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    let (mut unruled, mut old): (BTreeSet<&str>, BTreeSet<&str>) = (BTreeSet::new(), BTreeSet::new());
    let named: BTreeSet<&str> = snapshot.named_namespaces().into_iter().collect();
    let of_exceptions = snapshot.exceptions().iter().filter_map(|one| one.matching.namespace.as_deref());
    let namespaces: BTreeSet<&str> = named.into_iter().chain(of_exceptions).chain([""]).collect();
    let of_labels = (0..snapshot.raising().len()).filter_map(|entry| snapshot.raised_by(entry));
    let raised = of_labels
        .flat_map(|scope| scope.policies.iter().map(move |policy| (policy, scope.settings.get(policy.meta.id))));
    let mut enforces = false;
    for (policy, of_policy) in raised.filter(|(policy, _)| policy.mode == Mode::Enforce) {
        let meta = policy.meta;
        if !meta.kinds.contains(&Kinds::Pods) {
            continue;
        }
        enforces = true;
        let rule = RULES.iter().find(|rule| rule.id == meta.id);
        if rule.and_then(|rule| (rule.expression)(meta, snapshot.version(), of_policy)).is_none() {
            unruled.insert(meta.id);
        } else if may_be_old(snapshot, policy) {
            old.insert(meta.id);
        }
    }
    for namespace in namespaces {
        let enforced = snapshot.policies(namespace).iter().filter(|policy| policy.mode == Mode::Enforce);
        for policy in enforced.filter(|policy| policy.meta.kinds.contains(&Kinds::Pods)) {
            enforces = true;
            let id = policy.meta.id;
            let rule = RULES.iter().find(|rule| rule.id == id);
            let of_rule = rule
                .and_then(|rule| (rule.expression)(policy.meta, snapshot.version(), snapshot.settings(namespace, id)));
            if of_rule.is_none() {
                unruled.insert(id);
                continue;
            }
            if may_be_old(snapshot, policy) {
                old.insert(id);
            }
            excepted.extend(self::excepted(snapshot, settings, policy, namespace).map(|name| (id, namespace, name)));
        }
    }
    if !enforces {
        notes.push(
            "no policy on Pods enforces anywhere: the objects of Portcullis are protected, and no Pod is judged"
                .to_owned(),
        );
    }
    if !unruled.is_empty() {
        notes.push(format!("left to Portcullis, because the backstop has no rule for them: {}", joined(&unruled)));
    }
    if !old.is_empty() {
        notes.push(format!(
            "left to Portcullis everywhere, because `existing` admits Pods of old workloads: {}; write updates: strict for a \
             policy that is to hold for them too",
            joined(&old)
        ));
    }
    if snapshot.judging().any(|meta| std::ptr::eq(meta, &raw const crate::snapshot::LABELS)) {
        notes.push("left to Portcullis: policies that the labels of a namespace add (podSecurityLabels)".to_owned());
    }
    let exceptions = excepted.iter().take(NAMED).map(|(id, namespace, name)| {
        format!("left to Portcullis in namespace {namespace}, because exception {name:?} names it: {id}")
    });
    notes.extend(exceptions);
    if excepted.len() > NAMED {
        notes.push(format!("{} more are left to Portcullis because of exceptions", excepted.len() - NAMED));
    }
    notes
}

/// Ids in the order of the catalogue.
fn joined(ids: &BTreeSet<&str>) -> String {
    let known = catalogue::CATALOGUE.iter().map(|entry| entry.meta.id).filter(|id| ids.contains(id));
    known.collect::<Vec<_>>().join(", ")
}
