//! Conditions on what is sent of a resource.

/// A condition on requests (`matchConditions`). What it holds back is nothing to the policies of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub name: &'static str,
    /// The expression, in CEL: true for what is sent. It does not fail on any request, since an error refuses where a webhook
    /// refuses.
    pub expression: &'static str,
}

/// Secrets that hold a token of a ServiceAccount. A creation and an update have an object, whose type is set.
pub(super) const OF_TOKENS: Condition = Condition {
    name: "token-of-a-service-account",
    expression: "object.?type.orValue(\"\") == \"kubernetes.io/service-account-token\"",
};

/// Requests by others than kubelets, which are told as the admission plugin `NodeRestriction` tells them. It leaves a kubelet
/// the tokens of Pods on its own node.
pub(super) const NOT_BY_KUBELETS: Condition = Condition {
    name: "not-by-a-kubelet",
    expression: "!(request.userInfo.username.startsWith(\"system:node:\") && \
                 \"system:nodes\" in request.userInfo.?groups.orValue([]))",
};

#[cfg(test)]
mod tests {
    use super::super::TOKEN_TYPE;
    use super::OF_TOKENS;

    #[test]
    fn the_condition_is_on_the_type_that_the_policy_judges() {
        assert!(OF_TOKENS.expression.ends_with(&format!("== \"{TOKEN_TYPE}\"")), "{}", OF_TOKENS.expression);
    }
}
