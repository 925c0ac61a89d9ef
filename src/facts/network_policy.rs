//! A NetworkPolicy, of `networking.k8s.io/v1` or of another kind, reduced to the pods that it selects, the directions in which it
//! isolates them, and what it lets through.

mod calico;
mod cilium;
mod cluster;
mod coverage;
mod expression;
mod isolation;
mod kinds;
mod openness;
mod policies;
mod rules;
mod selection;
mod selector;
mod written;

use std::sync::Arc;

use serde::Deserialize;

use crate::object::resource::{LabelSelector, NetworkPolicy as Written};
use crate::steps::{counted, take, uncounted};

use expression::{Bearer, Expression};
pub use expression::{Label, Subject};
pub use isolation::Isolation;
pub use kinds::{PolicyKind, Scope};
pub use openness::allow_everything;
pub use policies::NetworkPolicies;
use rules::Rule;
use selection::NAMESPACE_NAME;
pub use written::Misread;

/// A direction of traffic, as seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the pod.
    Ingress,
    /// Out of the pod.
    Egress,
}

impl Direction {
    /// The direction as messages spell it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// The part of a NetworkPolicy that decides isolation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Its name.
    pub name: String,
    /// The pods that it selects.
    pub selector: Selector,
    /// Further conditions on what it selects, which other kinds than NetworkPolicy have.
    scope: Scoped,
    place: Place,
    ingress: Option<Side>,
    egress: Option<Side>,
    /// True if it is being deleted, and isolates until its finalizers are gone.
    pub is_ending: bool,
}

/// A condition on what a policy selects.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scoped(Expression);

impl Default for Scoped {
    fn default() -> Self {
        Self(Expression::Always)
    }
}

/// The rules of a policy in a direction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    /// True if what no rule allows is denied.
    isolates: bool,
    rules: Arc<[Rule]>,
}

/// The engine that a policy is for, and its place among the policies there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Place {
    /// A NetworkPolicy. All of them add up.
    #[default]
    Kubernetes,
    /// A ClusterNetworkPolicy, before or after NetworkPolicies.
    Cluster { is_admin: bool, priority: i64 },
    /// Cilium's. All of them add up, and what one denies is denied.
    Cilium,
    /// Calico's, by tier and order.
    Calico { tier: String, order: u64 },
}

/// A label selector (`meta/v1` `LabelSelector`). Without requirements it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

/// One requirement of a selector; all of them must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// Condition on the label.
    pub operator: Operator,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// It has one of these values.
    In(Vec<String>),
    /// It is absent, or has another value.
    NotIn(Vec<String>),
    /// It is present.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// It has a value that contains this text.
    Contains(String),
    /// It has a value that begins with this text.
    StartsWith(String),
    /// It has a value that ends with this text.
    EndsWith(String),
    /// A condition that Kubernetes refuses, such as an unknown operator. It never holds.
    Invalid,
}

/// The part of the policy's JSON that names it.
#[derive(Deserialize)]
struct Named {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

impl NetworkPolicy {
    /// Reads a NetworkPolicy of `networking.k8s.io/v1`.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(object: serde_json::Value) -> Result<Self, serde_json::Error> {
        let metadata = Named::deserialize(&object)?.metadata;
        let is_ending = metadata.as_ref().is_some_and(|metadata| metadata.deletion_timestamp.is_some());
        let (name, namespace) = metadata.map_or((None, None), |metadata| (metadata.name, metadata.namespace));
        let written = Written::deserialize(&object)?;
        let policy = uncounted(|| Self::of(&written, &namespace.unwrap_or_default()));
        Ok(Self { name: name.unwrap_or_default(), is_ending, ..policy })
    }

    /// The NetworkPolicy that was sent, without its name.
    pub fn of(written: &Written<'_>, namespace: &str) -> Self {
        let Some(spec) = &written.spec else {
            return Self { ingress: Some(Side::isolating(Vec::new())), ..Self::default() };
        };
        // The API server's own defaulting: Ingress always, Egress where there are egress rules.
        let isolates = |name: &str, by_default: bool| {
            if spec.policy_types.is_empty() { by_default } else { spec.policy_types.iter().any(|one| *one == name) }
        };
        let ingress =
            || counted(spec.ingress.iter()).map(|rule| Rule::of(rule.from.iter(), rule.ports.iter(), namespace));
        let egress = || counted(spec.egress.iter()).map(|rule| Rule::of(rule.to.iter(), rule.ports.iter(), namespace));
        Self {
            selector: spec.pod_selector.as_ref().map(Selector::from).unwrap_or_default(),
            ingress: isolates("Ingress", true).then(|| Side::isolating(ingress().collect())),
            egress: isolates("Egress", !spec.egress.is_empty()).then(|| Side::isolating(egress().collect())),
            ..Self::default()
        }
    }

    /// True if it may select Pods that are in no namespace of its own: whether it does may depend on labels of the namespace.
    pub fn is_scoped(&self) -> bool {
        self.scope.0.asks(Bearer::Namespace)
    }

    /// The same policy for the Pods of a namespace with these labels, or of one whose labels are not known; `None` if it selects
    /// none of them.
    #[must_use]
    pub fn within(&self, namespace: &str, label: Option<Label<'_, '_>>) -> Option<Self> {
        let name = |key: &str| (key == NAMESPACE_NAME).then_some(namespace);
        let scope = match label {
            Some(label) => self.scope.0.within(&|key| name(key).or_else(|| label(key))),
            None if self.scope.0.asks_only_for(NAMESPACE_NAME) => self.scope.0.within(&name),
            None => return None,
        };
        (scope != Expression::Never).then(|| Self { scope: Scoped(scope), ..self.clone() })
    }

    /// True if it is the NetworkPolicy of that name, and no policy of another kind.
    pub fn is_named(&self, name: &str) -> bool {
        self.place == Place::Kubernetes && self.name == name
    }

    /// True if it asks for labels of the Pod's ServiceAccount.
    pub fn asks_for_account(&self) -> bool {
        self.scope.0.asks(Bearer::ServiceAccount)
    }

    /// True if it selects this Pod of the namespace that it was made for.
    pub fn selects(&self, subject: &Subject<'_>) -> bool {
        self.selector.selects(subject.pod) && self.scope.0.holds(subject) == Some(true)
    }

    /// True if selected pods are isolated in `direction`, be it by rules that allow everything.
    pub fn isolates(&self, direction: Direction) -> bool {
        self.side(direction).is_some_and(|side| side.isolates)
    }

    fn side(&self, direction: Direction) -> Option<&Side> {
        match direction {
            Direction::Ingress => self.ingress.as_ref(),
            Direction::Egress => self.egress.as_ref(),
        }
    }

    /// The rules of a direction.
    fn rules(&self, direction: Direction) -> &[Rule] {
        self.side(direction).map_or(&[], |side| &side.rules)
    }
}

impl Side {
    fn isolating(rules: Vec<Rule>) -> Self {
        Self { isolates: true, rules: rules.into() }
    }
}

impl Requirement {
    /// True if it holds for the value of its label.
    fn holds(&self, value: Option<&str>) -> bool {
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| counted(values).any(|one| one == value)),
            Operator::NotIn(values) => value.is_none_or(|value| counted(values).all(|one| one != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Contains(part) => value.is_some_and(|value| value.contains(part)),
            Operator::StartsWith(part) => value.is_some_and(|value| value.starts_with(part)),
            Operator::EndsWith(part) => value.is_some_and(|value| value.ends_with(part)),
            Operator::Invalid => false,
        }
    }
}

impl Selector {
    /// True if it selects an object with these labels.
    pub fn selects<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        take(1);
        counted(&self.0).all(|requirement| requirement.holds(label(&requirement.key)))
    }
}

impl From<&LabelSelector<'_>> for Selector {
    fn from(written: &LabelSelector<'_>) -> Self {
        // A repeated key's last value counts.
        let labels = written.match_labels.iter().filter(|(key, value)| written.match_labels.get(key) == Some(value));
        let labels = labels
            .map(|(key, value)| Requirement { key: key.to_owned(), operator: Operator::In(vec![value.to_owned()]) });
        let expressions = counted(written.match_expressions.iter()).map(|expression| {
            let values: Vec<String> = counted(expression.values.iter()).map(ToString::to_string).collect();
            let operator = match (expression.operator.as_str(), values.is_empty()) {
                ("In", false) => Operator::In(values),
                ("NotIn", false) => Operator::NotIn(values),
                ("Exists", true) => Operator::Exists,
                ("DoesNotExist", true) => Operator::DoesNotExist,
                _ => Operator::Invalid,
            };
            Requirement { key: expression.key.to_string(), operator }
        });
        Self(labels.chain(expressions).collect())
    }
}

#[cfg(test)]
mod tests;
