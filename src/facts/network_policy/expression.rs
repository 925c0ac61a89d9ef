//! Conditions on a Pod, its namespace and its ServiceAccount, as the selectors of other kinds than NetworkPolicy combine them.

use super::rules::PodPeer;
use super::{Operator, Requirement, Selector};
use crate::steps::{counted, take};

/// Maximum number of alternatives of a peer that are kept; what has more is nobody in particular.
const ALTERNATIVES: usize = 64;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// It always holds.
    Always,
    /// It never holds.
    Never,
    /// A condition on a label.
    Label(Bearer, Requirement),
    /// All of these hold.
    Every(Vec<Expression>),
    /// One of these holds.
    Any(Vec<Expression>),
    /// This does not hold.
    Not(Box<Expression>),
}

/// The object whose label is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearer {
    Pod,
    Namespace,
    ServiceAccount,
    /// The name of the ServiceAccount, which has no key.
    AccountName,
}

/// The value of a label, by its key.
pub type Label<'f, 'l> = &'f dyn Fn(&str) -> Option<&'l str>;

/// The labels that conditions are about. `None` stands for an object whose labels are not known.
pub struct Subject<'s> {
    /// Labels of the Pod.
    pub pod: Label<'s, 's>,
    /// The name of its ServiceAccount.
    pub account: &'s str,
    /// Labels of the ServiceAccount.
    pub account_labels: Option<Label<'s, 's>>,
}

impl Expression {
    /// A condition on a label.
    pub(super) fn label(bearer: Bearer, key: &str, operator: Operator) -> Self {
        Self::Label(bearer, Requirement { key: key.to_owned(), operator })
    }

    /// All of these, without those that always hold.
    pub(super) fn every(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut left: Vec<Self> = parts.into_iter().filter(|part| *part != Self::Always).collect();
        match left.len() {
            0 => Self::Always,
            _ if left.contains(&Self::Never) => Self::Never,
            1 => left.pop().unwrap_or(Self::Always),
            _ => Self::Every(left),
        }
    }

    /// One of these, without those that never hold.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut left: Vec<Self> = parts.into_iter().filter(|part| *part != Self::Never).collect();
        match left.len() {
            0 => Self::Never,
            _ if left.contains(&Self::Always) => Self::Always,
            1 => left.pop().unwrap_or(Self::Never),
            _ => Self::Any(left),
        }
    }

    /// The opposite.
    pub(super) fn not(part: Self) -> Self {
        match part {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Not(part) => *part,
            part => Self::Not(Box::new(part)),
        }
    }

    /// The conditions of a label selector.
    pub(super) fn selector(bearer: Bearer, selector: Selector) -> Self {
        Self::every(selector.0.into_iter().map(|requirement| Self::Label(bearer, requirement)))
    }

    /// The same condition in a namespace with these labels.
    pub(super) fn within(&self, label: Label<'_, '_>) -> Self {
        match self {
            Self::Label(Bearer::Namespace, requirement) => {
                if requirement.holds(label(&requirement.key)) {
                    Self::Always
                } else {
                    Self::Never
                }
            }
            Self::Every(parts) => Self::every(parts.iter().map(|part| part.within(label))),
            Self::Any(parts) => Self::any(parts.iter().map(|part| part.within(label))),
            Self::Not(part) => Self::not(part.within(label)),
            other => other.clone(),
        }
    }

    /// True if it asks for labels of such an object.
    pub(super) fn asks(&self, of: Bearer) -> bool {
        match self {
            Self::Always | Self::Never => false,
            Self::Label(bearer, _) => *bearer == of,
            Self::Every(parts) | Self::Any(parts) => parts.iter().any(|part| part.asks(of)),
            Self::Not(part) => part.asks(of),
        }
    }

    /// True if of namespaces it asks for no other label than this one.
    pub(super) fn asks_only_for(&self, key: &str) -> bool {
        match self {
            Self::Label(Bearer::Namespace, requirement) => requirement.key == key,
            Self::Label(..) | Self::Always | Self::Never => true,
            Self::Every(parts) | Self::Any(parts) => parts.iter().all(|part| part.asks_only_for(key)),
            Self::Not(part) => part.asks_only_for(key),
        }
    }

    /// True if it holds; `None` if that depends on labels that are not known.
    pub(super) fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        take(1);
        match self {
            Self::Always => Some(true),
            Self::Never => Some(false),
            Self::Label(bearer, requirement) => match bearer {
                Bearer::Pod => Some(requirement.holds((subject.pod)(&requirement.key))),
                Bearer::AccountName => Some(requirement.holds(Some(subject.account))),
                Bearer::ServiceAccount => Some(requirement.holds(subject.account_labels?(&requirement.key))),
                Bearer::Namespace => None,
            },
            Self::Every(parts) => all(parts.iter().map(|part| part.holds(subject))),
            Self::Any(parts) => all(parts.iter().map(|part| part.holds(subject).map(|holds| !holds))).map(|none| !none),
            Self::Not(part) => part.holds(subject).map(|holds| !holds),
        }
    }

    /// The Pods for which it holds, as peers that add up. What cannot be said so is left out.
    pub(super) fn peers(&self) -> Vec<PodPeer> {
        alternatives(self, true).unwrap_or_default()
    }
}

/// True if all hold, false if one does not, and `None` if that is not known.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            None => all = None,
            Some(true) => {}
        }
    }
    all
}

/// The alternatives of a condition, or of its opposite; `None` if there are too many.
fn alternatives(expression: &Expression, is_affirmed: bool) -> Option<Vec<PodPeer>> {
    let found = match (expression, is_affirmed) {
        (Expression::Always, true) | (Expression::Never, false) => vec![PodPeer::everybody()],
        (Expression::Never, true) | (Expression::Always, false) => Vec::new(),
        (Expression::Not(part), _) => alternatives(part, !is_affirmed)?,
        (Expression::Any(parts), true) | (Expression::Every(parts), false) => {
            let mut all = Vec::new();
            for part in counted(parts) {
                all.extend(alternatives(part, is_affirmed)?);
            }
            all
        }
        (Expression::Every(parts), true) | (Expression::Any(parts), false) => {
            let mut all = vec![PodPeer::everybody()];
            for part in counted(parts) {
                let more = alternatives(part, is_affirmed)?;
                if all.len() * more.len() > ALTERNATIVES {
                    return None;
                }
                all = all.iter().flat_map(|one| more.iter().map(|other| one.and(other))).collect();
            }
            all
        }
        (Expression::Label(bearer, requirement), _) => {
            let operator = match (is_affirmed, &requirement.operator) {
                (true, operator) => operator.clone(),
                (false, Operator::In(values)) => Operator::NotIn(values.clone()),
                (false, Operator::NotIn(values)) => Operator::In(values.clone()),
                (false, Operator::Exists) => Operator::DoesNotExist,
                (false, Operator::DoesNotExist) => Operator::Exists,
                (false, _) => return Some(Vec::new()),
            };
            let selector = Selector(vec![Requirement { key: requirement.key.clone(), operator }]);
            match bearer {
                Bearer::Pod => vec![PodPeer { pods: selector, ..PodPeer::everybody() }],
                Bearer::Namespace => vec![PodPeer { namespaces: selector, ..PodPeer::everybody() }],
                // Of ServiceAccounts it is not known whose they are together.
                Bearer::ServiceAccount | Bearer::AccountName => Vec::new(),
            }
        }
    };
    (found.len() <= ALTERNATIVES).then_some(found)
}

impl PodPeer {
    /// The Pods that both select.
    fn and(&self, other: &Self) -> Self {
        let both = |one: &Selector, other: &Selector| Selector([one.0.as_slice(), &other.0].concat());
        Self { namespaces: both(&self.namespaces, &other.namespaces), pods: both(&self.pods, &other.pods) }
    }
}
