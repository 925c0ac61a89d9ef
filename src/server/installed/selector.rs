//! Label selectors as sets of requirements, and the order between them: one takes all that another takes.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

/// A label selector: what it takes meets every requirement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector(BTreeSet<Requirement>);

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requirement {
    key: String,
    /// As the API spells it.
    operator: String,
    values: BTreeSet<String>,
}

impl Requirement {
    pub(super) fn new(key: &str, operator: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { key: key.to_owned(), operator: operator.to_owned(), values }
    }

    /// True if whatever meets this meets `other` too. Where that cannot be told from both alone, false.
    fn implies(&self, other: &Self) -> bool {
        self.key == other.key
            && match (self.operator.as_str(), other.operator.as_str()) {
                ("In", "In") => self.values.is_subset(&other.values),
                ("NotIn", "NotIn") => self.values.is_superset(&other.values),
                ("In", "NotIn") => self.values.is_disjoint(&other.values),
                ("In" | "Exists", "Exists") | ("DoesNotExist", "DoesNotExist" | "NotIn") => true,
                _ => false,
            }
    }
}

impl Selector {
    /// The selector of a webhook's field; none, like an empty one, takes everything.
    pub(super) fn of(field: Option<&Value>) -> Self {
        let selector = field.and_then(|value| serde_json::from_value::<LabelSelector>(value.clone()).ok());
        let LabelSelector { match_expressions, match_labels } = selector.unwrap_or_default();
        let written = match_expressions.into_iter().flatten().map(|one| Requirement {
            key: one.key,
            operator: one.operator,
            values: one.values.into_iter().flatten().collect(),
        });
        let labels = match_labels.into_iter().flatten().map(|(key, value)| Requirement {
            key,
            operator: "In".to_owned(),
            values: BTreeSet::from([value]),
        });
        Self(written.chain(labels).collect())
    }

    /// True if it certainly takes everything that `other` takes.
    pub(super) fn takes_all_of(&self, other: &Self) -> bool {
        self.0.iter().all(|demanded| other.0.iter().any(|given| given.implies(demanded)))
    }

    /// The requirements that `which` picks, and the others.
    pub(super) fn split(&self, which: impl Fn(&Requirement) -> bool) -> (Self, Self) {
        let (these, others) = self.0.iter().cloned().partition(|one| which(one));
        (Self(these), Self(others))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of a webhook that demands this and what `wanted` demands; nothing that is in both twice.
    pub(super) fn with(&self, wanted: &Self) -> Value {
        let all: BTreeSet<&Requirement> = wanted.0.iter().chain(&self.0).collect();
        let expression = |one: &Requirement| LabelSelectorRequirement {
            key: one.key.clone(),
            operator: one.operator.clone(),
            values: (!one.values.is_empty()).then(|| one.values.iter().cloned().collect()),
        };
        let expressions: Vec<_> = all.into_iter().map(expression).collect();
        let selector = LabelSelector {
            match_expressions: (!expressions.is_empty()).then_some(expressions),
            ..LabelSelector::default()
        };
        serde_json::to_value(selector).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Selector;

    fn selector(expressions: &Value) -> Selector {
        Selector::of(Some(&json!({"matchExpressions": expressions})))
    }

    #[test]
    fn more_requirements_take_less() {
        let own = selector(&json!([{"key": "name", "operator": "NotIn", "values": ["a", "b"]}]));
        let takes_more = [
            json!([]),
            json!([{"key": "name", "operator": "NotIn", "values": ["b"]}]),
            json!([{"key": "name", "operator": "NotIn", "values": ["b", "a"]}]),
        ];
        for expressions in takes_more {
            assert!(selector(&expressions).takes_all_of(&own), "{expressions}");
        }
        let takes_less = [
            json!([{"key": "name", "operator": "NotIn", "values": ["a", "b", "c"]}]),
            json!([{"key": "name", "operator": "In", "values": ["c"]}]),
            json!([{"key": "name", "operator": "Exists"}]),
            json!([{"key": "name", "operator": "DoesNotExist"}]),
            json!([{"key": "name", "operator": "NotIn", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}]),
            // An operator that is not known proves nothing.
            json!([{"key": "name", "operator": "Gt", "values": ["1"]}]),
        ];
        for expressions in takes_less {
            assert!(!selector(&expressions).takes_all_of(&own), "{expressions}");
        }
        let labels = Selector::of(Some(&json!({"matchLabels": {"name": "c"}})));
        assert!(own.takes_all_of(&labels) && !labels.takes_all_of(&own));
    }

    #[test]
    fn an_entry_by_label_is_compared_by_its_values() {
        let name = json!({"key": "name", "operator": "NotIn", "values": ["own"]});
        let raised = |values: &[&str]| selector(&json!([name, {"key": "tier", "operator": "In", "values": values}]));
        let (one, two) = (raised(&["pci"]), raised(&["pci", "prod"]));
        assert!(two.takes_all_of(&one) && !one.takes_all_of(&two));
        let later = selector(&json!([name, {"key": "tier", "operator": "In", "values": ["pci", "prod"]},
            {"key": "tier", "operator": "NotIn", "values": ["pci"]}]));
        assert!(two.takes_all_of(&later) && !later.takes_all_of(&two), "an earlier entry is left out");
        let rest = selector(&json!([name, {"key": "tier", "operator": "NotIn", "values": ["pci"]}]));
        assert!(selector(&json!([name])).takes_all_of(&rest) && !rest.takes_all_of(&one) && !one.takes_all_of(&rest));
    }
}
