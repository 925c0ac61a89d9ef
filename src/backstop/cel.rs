//! Pieces of CEL, the language of ValidatingAdmissionPolicies.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;

/// True for the requests of the API server itself, which keep it able to start.
const API_SERVER: &str = "request.userInfo.username != \"system:apiserver\"";

/// A text as a literal. CEL knows every escape that JSON has.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Texts as a list of literals.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let literals: Vec<String> = texts.into_iter().map(literal).collect();
    format!("[{}]", literals.join(", "))
}

/// True if the user is in one of the groups.
pub(super) fn is_in(groups: &[&str]) -> String {
    format!("request.userInfo.?groups.orValue([]).exists(g, g in {})", list(groups.iter().copied()))
}

/// A condition under which a request is judged.
pub(super) fn condition(name: &str, expression: impl Into<String>) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.into() }
}

/// The condition that leaves the API server's own writes out.
pub(super) fn not_the_api_server() -> MatchCondition {
    condition("not-the-api-server", API_SERVER)
}
