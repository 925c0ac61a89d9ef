//! Peers that are Pods: whether they are together all Pods of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::PodPeer;
use super::{Operator, Requirement, Selector};
use crate::steps::counted;

/// The label that the API server sets on every namespace, with its name.
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Label of namespaces or of Pods, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label<'p> {
    OfNamespace(&'p str),
    OfPod(&'p str),
}

/// The values of a label with which a Pod is selected.
#[derive(Debug, Default)]
struct Values<'p> {
    /// True if it is selected without the label.
    absent: bool,
    /// Set where all values but these select.
    all_but: Option<BTreeSet<&'p str>>,
    /// Values that select.
    listed: BTreeSet<&'p str>,
}

/// True if the peers are together all Pods of all namespaces: one of them has no requirement, or those that have one, on the
/// same label, leave out no value of it. Selectors of several requirements that only together leave nothing out are not seen.
pub(super) fn is_everybody<'p>(peers: impl Iterator<Item = &'p PodPeer>) -> bool {
    let mut labels: BTreeMap<Label<'p>, Values<'p>> = BTreeMap::new();
    for peer in counted(peers) {
        let (namespaces, pods) = (demanding(&peer.namespaces, true), demanding(&peer.pods, false));
        let (label, requirement) = match (namespaces.as_slice(), pods.as_slice()) {
            ([], []) => return true,
            ([one], []) => (Label::OfNamespace(&one.key), *one),
            ([], [one]) => (Label::OfPod(&one.key), *one),
            _ => continue,
        };
        labels.entry(label).or_default().add(&requirement.operator);
    }
    labels.iter().any(|(label, values)| values.are_all(*label == Label::OfNamespace(NAMESPACE_NAME)))
}

/// The requirements of a selector, each once, without those that always hold.
fn demanding(selector: &Selector, is_of_namespaces: bool) -> Vec<&Requirement> {
    let mut requirements: Vec<&Requirement> = Vec::new();
    for requirement in counted(&selector.0) {
        let always = is_of_namespaces && requirement.key == NAMESPACE_NAME && requirement.operator == Operator::Exists;
        if !always && requirements.last() != Some(&requirement) {
            requirements.push(requirement);
        }
    }
    requirements
}

impl<'p> Values<'p> {
    fn add(&mut self, operator: &'p Operator) {
        match operator {
            Operator::In(values) => self.listed.extend(counted(values).map(String::as_str)),
            Operator::NotIn(values) => {
                self.absent = true;
                self.leave_out(counted(values).map(String::as_str).collect());
            }
            Operator::Exists => self.leave_out(BTreeSet::new()),
            Operator::DoesNotExist => self.absent = true,
            // How these add up is not computed.
            Operator::Contains(_) | Operator::StartsWith(_) | Operator::EndsWith(_) | Operator::Invalid => {}
        }
    }

    /// Selects all values but these as well.
    fn leave_out(&mut self, values: BTreeSet<&'p str>) {
        match &mut self.all_but {
            Some(before) => before.retain(|value| values.contains(value)),
            None => self.all_but = Some(values),
        }
    }

    fn are_all(&self, is_always_there: bool) -> bool {
        let values = self.all_but.as_ref().is_some_and(|but| counted(but).all(|value| self.listed.contains(value)));
        values && (self.absent || is_always_there)
    }
}
