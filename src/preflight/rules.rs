//! Rules of webhooks, and whether they meet those that we derive.

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;

/// True if some rule of the one and some rule of the other select the same request.
pub(super) fn meet(one: &[RuleWithOperations], other: &[RuleWithOperations]) -> bool {
    one.iter().any(|one| other.iter().any(|other| meets(one, other)))
}

/// True if some rule selects the creation of `resource` in `group`.
pub(super) fn selects(rules: &[RuleWithOperations], group: &str, resource: &str) -> bool {
    let creation = RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(vec!["CREATE".to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        scope: None,
    };
    meet(rules, &[creation])
}

fn meets(one: &RuleWithOperations, other: &RuleWithOperations) -> bool {
    let both = |one: &Option<Vec<String>>, other: &Option<Vec<String>>, is_same: fn(&str, &str) -> bool| {
        one.iter().flatten().any(|one| other.iter().flatten().any(|other| is_same(one, other)))
    };
    both(&one.api_groups, &other.api_groups, word)
        && both(&one.operations, &other.operations, word)
        && both(&one.resources, &other.resources, resource)
        && scope(one.scope.as_deref(), other.scope.as_deref())
}

/// The same word, or a wildcard.
fn word(one: &str, other: &str) -> bool {
    one == other || one == "*" || other == "*"
}

/// `*` is every resource without subresources, `*/*` everything, `pods/*` every subresource of Pods, and `*/scale` every
/// scale (admissionregistration/v1).
fn resource(one: &str, other: &str) -> bool {
    let parts = |text: &str| text.split_once('/').map(|(name, sub)| (name.to_owned(), sub.to_owned()));
    match (parts(one), parts(other)) {
        (Some((one_name, one_sub)), Some((other_name, other_sub))) => {
            word(&one_name, &other_name) && word(&one_sub, &other_sub)
        }
        (None, None) => word(one, other),
        // `*/*` and `pods/*` select the resource itself too.
        (Some((name, sub)), None) => sub == "*" && word(&name, other),
        (None, Some((name, sub))) => sub == "*" && word(&name, one),
    }
}

fn scope(one: Option<&str>, other: Option<&str>) -> bool {
    word(one.unwrap_or("*"), other.unwrap_or("*"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;

    use super::{meet, selects};

    fn rule(group: &str, operation: &str, resource: &str) -> RuleWithOperations {
        RuleWithOperations {
            api_groups: Some(vec![group.to_owned()]),
            api_versions: Some(vec!["v1".to_owned()]),
            operations: Some(vec![operation.to_owned()]),
            resources: Some(vec![resource.to_owned()]),
            scope: None,
        }
    }

    #[test]
    fn wildcards_select_what_the_api_server_says() {
        let pods = [rule("", "CREATE", "pods")];
        for (group, operation, resource, expected) in [
            ("", "CREATE", "pods", true),
            ("*", "*", "*", true),
            ("*", "*", "*/*", true),
            ("", "CREATE", "pods/*", true),
            ("", "UPDATE", "pods", false),
            ("apps", "CREATE", "pods", false),
            ("", "CREATE", "pods/exec", false),
            ("", "CREATE", "services", false),
        ] {
            assert_eq!(meet(&[rule(group, operation, resource)], &pods), expected, "{group} {operation} {resource}");
            assert_eq!(selects(&[rule(group, operation, resource)], "", "pods"), expected);
        }
    }
}
