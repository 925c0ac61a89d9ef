//! A NetworkPolicy (`networking.k8s.io/v1`), reduced to the pods that it selects and the directions in which it isolates
//! them.

use serde::Deserialize;

use crate::steps::{counted, take};

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
    ingress: Option<Side>,
    egress: Option<Side>,
}

/// One direction in which a policy isolates pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Side {
    /// True if some rule allows all traffic.
    is_open: bool,
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

/// The policy's JSON. `null` means absent, and in a list the empty value, as in Go.
#[derive(Deserialize)]
struct Written {
    metadata: Option<WrittenMetadata>,
    spec: Option<WrittenSpec>,
}

#[derive(Deserialize)]
struct WrittenMetadata {
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WrittenSpec {
    pod_selector: Option<WrittenSelector>,
    policy_types: Option<Vec<String>>,
    ingress: Option<Vec<Option<IngressRule>>>,
    egress: Option<Vec<Option<EgressRule>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WrittenSelector {
    match_labels: Option<std::collections::BTreeMap<String, Option<String>>>,
    match_expressions: Option<Vec<WrittenRequirement>>,
}

#[derive(Deserialize)]
struct WrittenRequirement {
    key: String,
    operator: String,
    values: Option<Vec<Option<String>>>,
}

/// A list whose items are not read.
type List = Option<Vec<serde::de::IgnoredAny>>;

#[derive(Deserialize)]
struct IngressRule {
    from: List,
    ports: List,
}

#[derive(Deserialize)]
struct EgressRule {
    to: List,
    ports: List,
}

impl NetworkPolicy {
    /// Reads a NetworkPolicy of `networking.k8s.io/v1`.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(object: serde_json::Value) -> Result<Self, serde_json::Error> {
        let written: Written = serde_json::from_value(object)?;
        let spec = written.spec.unwrap_or_default();
        let (ingress, egress) = (spec.ingress.unwrap_or_default(), spec.egress.unwrap_or_default());
        let types = spec.policy_types.unwrap_or_default();
        // The API server's own defaulting: Ingress always, Egress where there are egress rules.
        let isolates = |name: &str, by_default: bool| {
            if types.is_empty() { by_default } else { types.iter().any(|written| written == name) }
        };
        let has_egress = !egress.is_empty();
        // A rule without peers and ports allows all traffic.
        let is_empty = |list: &List| list.as_ref().is_none_or(Vec::is_empty);
        let is_all_in =
            |rule: &Option<IngressRule>| rule.as_ref().is_none_or(|rule| is_empty(&rule.from) && is_empty(&rule.ports));
        let is_all_out =
            |rule: &Option<EgressRule>| rule.as_ref().is_none_or(|rule| is_empty(&rule.to) && is_empty(&rule.ports));
        Ok(Self {
            name: written.metadata.and_then(|metadata| metadata.name).unwrap_or_default(),
            selector: spec.pod_selector.unwrap_or_default().into(),
            ingress: isolates("Ingress", true).then(|| Side { is_open: ingress.iter().any(is_all_in) }),
            egress: isolates("Egress", has_egress).then(|| Side { is_open: egress.iter().any(is_all_out) }),
        })
    }

    /// True if selected pods are isolated in `direction`. A policy that allows all traffic isolates in name only, and counts
    /// only with `counts_open`.
    pub fn isolates(&self, direction: Direction, counts_open: bool) -> bool {
        let side = match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        };
        side.is_some_and(|side| counts_open || !side.is_open)
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

impl From<WrittenSelector> for Selector {
    fn from(written: WrittenSelector) -> Self {
        let labels = written
            .match_labels
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| Requirement { key, operator: Operator::In(vec![value.unwrap_or_default()]) });
        let expressions = written.match_expressions.unwrap_or_default().into_iter().map(|expression| {
            let values = expression.values.unwrap_or_default();
            let values: Vec<String> = values.into_iter().map(Option::unwrap_or_default).collect();
            let operator = match (expression.operator.as_str(), values.is_empty()) {
                ("In", false) => Operator::In(values),
                ("NotIn", false) => Operator::NotIn(values),
                ("Exists", true) => Operator::Exists,
                ("DoesNotExist", true) => Operator::DoesNotExist,
                _ => Operator::Invalid,
            };
            Requirement { key: expression.key, operator }
        });
        Self(labels.chain(expressions).collect())
    }
}
