//! LimitRanges: the resources that they give the containers of a Pod when it is created
//! (`K/plugin/pkg/admission/limitranger`, and `SetDefaults_LimitRangeItem` in `K/pkg/apis/core/v1/defaults.go`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The default requests and limits of one LimitRange: quantities by resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitRange {
    limits: BTreeMap<String, Value>,
    requests: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    limits: Option<Vec<Item>>,
}

type Quantities = Option<BTreeMap<String, Value>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    max: Quantities,
    #[serde(default)]
    min: Quantities,
    #[serde(default)]
    default: Quantities,
    #[serde(default)]
    default_request: Quantities,
}

impl LimitRange {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(object: Value) -> serde_json::Result<Self> {
        let written: Written = serde_json::from_value(object)?;
        let items = written.spec.and_then(|spec| spec.limits).unwrap_or_default();
        let mut range = Self::default();
        for item in items.into_iter().filter(|item| item.kind.as_deref() == Some("Container")) {
            let mut limits = item.default.unwrap_or_default();
            add_missing(&mut limits, item.max.unwrap_or_default());
            let mut requests = item.default_request.unwrap_or_default();
            add_missing(&mut requests, limits.clone());
            add_missing(&mut requests, item.min.unwrap_or_default());
            // Of several items the last one counts.
            range.limits.extend(limits);
            range.requests.extend(requests);
        }
        Ok(range)
    }

    /// Adds the defaults that a container does not set.
    pub fn complete(&self, container: &mut Map<String, Value>) {
        for (field, given) in [("limits", &self.limits), ("requests", &self.requests)] {
            if given.is_empty() {
                continue;
            }
            let Some(resources) = object_in(container, "resources") else { return };
            let Some(quantities) = object_in(resources, field) else { return };
            for (resource, quantity) in given {
                quantities.entry(resource).or_insert_with(|| quantity.clone());
            }
        }
    }
}

fn add_missing(quantities: &mut BTreeMap<String, Value>, others: BTreeMap<String, Value>) {
    for (resource, quantity) in others {
        quantities.entry(resource).or_insert(quantity);
    }
}

/// The object under a key, created if it is absent or `null`; `None` for a value of another type.
pub(crate) fn object_in<'o>(object: &'o mut Map<String, Value>, key: &str) -> Option<&'o mut Map<String, Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::LimitRange;

    fn given(items: Value, container: Value) -> Value {
        let range = LimitRange::read(json!({"spec": {"limits": items}})).expect("a LimitRange");
        let Value::Object(mut container) = container else { panic!("a container") };
        range.complete(&mut container);
        container.remove("resources").unwrap_or_default()
    }

    #[test]
    fn what_is_not_said_is_given_as_the_api_server_gives_it() {
        let both = |memory: &str| json!({"limits": {"memory": memory}, "requests": {"memory": memory}});
        for (item, resources) in [
            (json!({"default": {"memory": "1Gi"}}), both("1Gi")),
            (json!({"max": {"memory": "2Gi"}}), both("2Gi")),
            (json!({"default": {"memory": "1Gi"}, "max": {"memory": "2Gi"}}), both("1Gi")),
            (json!({"defaultRequest": {"cpu": 1}}), json!({"requests": {"cpu": 1}})),
            (json!({"min": {"cpu": "1m"}}), json!({"requests": {"cpu": "1m"}})),
            (json!({"min": {"cpu": "1m"}, "defaultRequest": {"cpu": "2m"}}), json!({"requests": {"cpu": "2m"}})),
            (json!({"maxLimitRequestRatio": {"cpu": 2}}), json!(null)),
        ] {
            let mut item = item;
            item["type"] = json!("Container");
            assert_eq!(given(json!([item]), json!({})), resources, "{item}");
            item["type"] = json!("Pod");
            assert_eq!(given(json!([item]), json!({})), json!(null), "of another type");
        }
    }

    #[test]
    fn what_is_said_stays() {
        let item = json!([{"type": "Container", "default": {"memory": "1Gi", "cpu": 1}}]);
        let own = json!({"resources": {"limits": {"memory": "2Gi"}, "requests": null}});
        assert_eq!(
            given(item.clone(), own),
            json!({"limits": {"memory": "2Gi", "cpu": 1}, "requests": {"memory": "1Gi", "cpu": 1}})
        );
        assert_eq!(given(item, json!({"resources": "x"})), json!("x"));
    }

    #[test]
    fn something_else_is_not_a_limit_range() {
        for spec in [json!("x"), json!({"limits": "x"}), json!({"limits": [{"type": 1}]}), json!({"limits": ["x"]})] {
            assert!(LimitRange::read(json!({"spec": spec})).is_err());
        }
        assert_eq!(LimitRange::read(json!({})).expect("an empty one"), LimitRange::default());
    }
}
