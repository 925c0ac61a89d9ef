//! Rules of a webhook, taken apart, and the order between them: what one list sends, another sends too.

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use serde_json::Value;

/// The part of a rule that one operation on one resource needs.
struct Atom<'r> {
    operation: &'r str,
    group: &'r str,
    version: &'r str,
    resource: &'r str,
    /// `Namespaced` or `Cluster`.
    scope: &'static str,
}

/// The rules of a webhook's field.
pub(super) fn rules(field: Option<&Value>) -> Vec<RuleWithOperations> {
    field.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
}

/// True if everything that `wanted` sends is certainly sent by `have`.
pub(super) fn send_all_of(have: &[RuleWithOperations], wanted: &[RuleWithOperations]) -> bool {
    wanted.iter().flat_map(atoms).all(|atom| have.iter().any(|rule| sends(rule, &atom)))
}

fn atoms(rule: &RuleWithOperations) -> Vec<Atom<'_>> {
    let scopes: &[&'static str] = match rule.scope.as_deref() {
        Some("Namespaced") => &["Namespaced"],
        Some("Cluster") => &["Cluster"],
        _ => &["Namespaced", "Cluster"],
    };
    let mut found = Vec::new();
    for operation in rule.operations.iter().flatten() {
        for group in rule.api_groups.iter().flatten() {
            for version in rule.api_versions.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    found.extend(scopes.iter().map(|scope| Atom { operation, group, version, resource, scope }));
                }
            }
        }
    }
    found
}

fn sends(rule: &RuleWithOperations, atom: &Atom<'_>) -> bool {
    let holds = |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|one| one == "*" || one == wanted);
    let has_scope = rule.scope.as_deref().is_none_or(|scope| scope == "*" || scope == atom.scope);
    let has_resource = rule.resources.iter().flatten().any(|resource| names(resource, atom.resource));
    holds(&rule.operations, atom.operation)
        && holds(&rule.api_groups, atom.group)
        && holds(&rule.api_versions, atom.version)
        && has_resource
        && has_scope
}

/// True if `pattern` names everything that `wanted` names, as the API server reads both: `*` is every resource and no
/// subresource, `pods/*` is Pods and every subresource of them.
fn names(pattern: &str, wanted: &str) -> bool {
    let split = |resource: &'_ str| match resource.split_once('/') {
        Some((resource, subresource)) => (resource.to_owned(), subresource.to_owned()),
        None => (resource.to_owned(), String::new()),
    };
    let ((resource, subresource), (wanted, of_wanted)) = (split(pattern), split(wanted));
    (resource == "*" || resource == wanted) && (subresource == "*" || subresource == of_wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{rules, send_all_of};

    fn rule(field: &str, value: &Value) -> Value {
        let mut rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["*"],
            "resources": ["pods", "pods/resize"], "scope": "Namespaced"});
        rule[field] = value.clone();
        json!([rule])
    }

    #[test]
    fn narrower_rules_send_less() {
        let own = rules(Some(&rule("scope", &json!("Namespaced"))));
        for (field, value) in [
            ("operations", json!(["*"])),
            ("apiGroups", json!(["apps", ""])),
            ("resources", json!(["*/*"])),
            ("resources", json!(["*", "*/resize"])),
            ("scope", json!("*")),
        ] {
            let wider = rules(Some(&rule(field, &value)));
            assert!(send_all_of(&wider, &own) && !send_all_of(&own, &wider), "{field} {value}");
        }
        for (field, value) in [
            ("operations", json!(["CREATE"])),
            ("apiGroups", json!(["apps"])),
            ("apiVersions", json!(["v1"])),
            ("resources", json!(["pods"])),
            ("resources", json!(["*"])),
            ("resources", json!(["pods", "pods/status"])),
            ("scope", json!("Cluster")),
        ] {
            assert!(!send_all_of(&rules(Some(&rule(field, &value))), &own), "{field} {value}");
        }
        // Split over two rules, and in another order, it is the same.
        let mut split = own.clone();
        split.extend(own.clone());
        split[0].operations = Some(vec!["UPDATE".to_owned()]);
        split[1].operations = Some(vec!["CREATE".to_owned()]);
        assert!(send_all_of(&split, &own) && send_all_of(&own, &split));
    }
}
