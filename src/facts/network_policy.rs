//! A NetworkPolicy (`networking.k8s.io/v1`), reduced to the pods that it selects, the directions in which it isolates them, and
//! what it lets through.

mod coverage;
mod openness;
mod rules;
mod selection;

use serde::Deserialize;

use crate::object::resource::{LabelSelector, NetworkPolicy as Written};
use crate::steps::{counted, take, uncounted};

pub use openness::allow_everything;
use rules::Rule;

/// A direction of traffic, as seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
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
    /// The rules of each direction in which it isolates pods.
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
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
    /// A condition that Kubernetes refuses, such as an unknown operator. It never holds.
    Invalid,
}

/// The part of the policy's JSON that names it.
#[derive(Deserialize)]
struct Named {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
}

impl NetworkPolicy {
    /// Reads a NetworkPolicy of `networking.k8s.io/v1`.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(object: serde_json::Value) -> Result<Self, serde_json::Error> {
        let metadata = Named::deserialize(&object)?.metadata;
        let (name, namespace) = metadata.map_or((None, None), |metadata| (metadata.name, metadata.namespace));
        let written = Written::deserialize(&object)?;
        let policy = uncounted(|| Self::of(&written, &namespace.unwrap_or_default()));
        Ok(Self { name: name.unwrap_or_default(), ..policy })
    }

    /// The NetworkPolicy that was sent, without its name.
    pub fn of(written: &Written<'_>, namespace: &str) -> Self {
        let Some(spec) = &written.spec else { return Self { ingress: Some(Vec::new()), ..Self::default() } };
        // The API server's own defaulting: Ingress always, Egress where there are egress rules.
        let isolates = |name: &str, by_default: bool| {
            if spec.policy_types.is_empty() { by_default } else { spec.policy_types.iter().any(|one| *one == name) }
        };
        let ingress =
            || counted(spec.ingress.iter()).map(|rule| Rule::of(rule.from.iter(), rule.ports.iter(), namespace));
        let egress = || counted(spec.egress.iter()).map(|rule| Rule::of(rule.to.iter(), rule.ports.iter(), namespace));
        Self {
            name: String::new(),
            selector: spec.pod_selector.as_ref().map(Selector::from).unwrap_or_default(),
            ingress: isolates("Ingress", true).then(|| ingress().collect()),
            egress: isolates("Egress", !spec.egress.is_empty()).then(|| egress().collect()),
        }
    }

    /// True if selected pods are isolated in `direction`, be it by rules that allow everything.
    pub fn isolates(&self, direction: Direction) -> bool {
        self.side(direction).is_some()
    }

    fn side(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }

    /// The rules of a direction in which it isolates.
    fn rules(&self, direction: Direction) -> &[Rule] {
        self.side(direction).unwrap_or_default()
    }
}

impl Selector {
    /// True if it selects an object with these labels.
    pub fn selects<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        take(1);
        counted(&self.0).all(|requirement| {
            let value = label(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| counted(values).any(|one| one == value)),
                Operator::NotIn(values) => value.is_none_or(|value| counted(values).all(|one| one != value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
                Operator::Invalid => false,
            }
        })
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
