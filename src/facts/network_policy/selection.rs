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

/// The requirements of a peer that are not known to hold.
type Open<'p> = Vec<(Label<'p>, &'p Requirement)>;

/// Maximum number of requirements and values that are added up, where selectors have several requirements.
const SIZE: usize = 1_024;
/// Maximum number of cases of their labels that are told apart.
const CASES: u32 = 512;

/// True if the peers are together all Pods of all namespaces: one of them has no requirement, those that have one, on the same
/// label, leave out no value of it, or no Pod is left in any case of the labels that several requirements are about.
pub(super) fn is_everybody<'p>(peers: impl Iterator<Item = &'p PodPeer>) -> bool {
    let mut labels: BTreeMap<Label<'p>, Values<'p>> = BTreeMap::new();
    let mut all: Vec<Open<'p>> = Vec::new();
    for peer in counted(peers) {
        let (namespaces, pods) = (demanding(&peer.namespaces, true), demanding(&peer.pods, false));
        let of_namespaces = namespaces.into_iter().map(|one| (Label::OfNamespace(&one.key), one));
        let open: Open<'_> = of_namespaces.chain(pods.into_iter().map(|one| (Label::OfPod(&one.key), one))).collect();
        match open.as_slice() {
            [] => return true,
            [(label, requirement)] => labels.entry(*label).or_default().add(&requirement.operator),
            _ => {}
        }
        all.push(open);
    }
    // What fits is enough to tell: some of the peers may be everybody.
    let mut size = 0;
    all.sort_by_cached_key(weight);
    all.retain(|open| {
        size += weight(open);
        size <= SIZE
    });
    // Where each has one requirement, labels do not add up with one another.
    let (adds_up, mut cases) = (all.iter().any(|open| open.len() > 1), CASES);
    labels.iter().any(|(label, values)| values.are_all(label.is_always_there()))
        || adds_up && leave_out_nobody(&all, &mut cases)
}

/// Number of requirements of a peer, and of their values.
fn weight(open: &Open<'_>) -> usize {
    open.iter().map(|(_, requirement)| 1 + requirement.operator.values().len()).sum()
}

/// True if every Pod is among the peers, in each case of the first label that they are about. False where the cases are used up.
fn leave_out_nobody(peers: &[Open<'_>], cases: &mut u32) -> bool {
    if peers.iter().any(Vec::is_empty) {
        return true;
    }
    let Some((label, _)) = peers.iter().flatten().next() else { return false };
    let about = || peers.iter().flatten().filter(|(of, _)| of == label).map(|(_, requirement)| *requirement);
    let mut values: BTreeSet<Case<'_>> = BTreeSet::from([Case::Other]);
    if !label.is_always_there() {
        values.insert(Case::Absent);
    }
    for requirement in counted(about()) {
        values.extend(counted(requirement.operator.values()).map(|value| Case::Value(value)));
    }
    values.into_iter().all(|case| {
        let Some(left) = cases.checked_sub(1) else { return false };
        *cases = left;
        let selecting = counted(peers).filter(|open| {
            open.iter().all(|(of, requirement)| of != label || case.is_selected_by(&requirement.operator))
        });
        let rest = selecting.map(|open| open.iter().filter(|(of, _)| of != label).copied().collect());
        leave_out_nobody(&rest.collect::<Vec<Open<'_>>>(), cases)
    })
}

/// A case of a label: what requirements tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Case<'p> {
    Absent,
    /// A value that no requirement names.
    Other,
    Value(&'p str),
}

impl Case<'_> {
    fn is_selected_by(self, operator: &Operator) -> bool {
        let is_among =
            |values: &[String]| matches!(self, Self::Value(value) if counted(values).any(|one| one == value));
        match operator {
            Operator::In(values) => is_among(values),
            Operator::NotIn(values) => !is_among(values),
            Operator::Exists => self != Self::Absent,
            Operator::DoesNotExist => self == Self::Absent,
            // How these add up is not computed.
            Operator::Contains(_) | Operator::StartsWith(_) | Operator::EndsWith(_) | Operator::Invalid => false,
        }
    }
}

impl Operator {
    /// The values that it names.
    fn values(&self) -> &[String] {
        match self {
            Self::In(values) | Self::NotIn(values) => values,
            _ => &[],
        }
    }
}

impl Label<'_> {
    /// True if every object has it.
    fn is_always_there(self) -> bool {
        self == Self::OfNamespace(NAMESPACE_NAME)
    }
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
