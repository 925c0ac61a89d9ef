//! The objects that Portcullis consists of, as far as a change of them turns it off: its webhook configurations, its namespace and
//! its rights.
//!
//! Creation is not judged, so that what was deleted can come back. Objects are told by `oldObject`: in a deletion of a whole
//! collection, the request names none.

use k8s_openapi::api::admissionregistration::v1::{MatchResources, ValidatingAdmissionPolicySpec, Validation};

use super::cel::{condition, is_in, list, literal, not_the_api_server};
use super::{Settings, allowed, everything, rule};
use crate::webhooks::NAME;

/// Operations that are judged.
const OPERATIONS: [&str; 2] = ["UPDATE", "DELETE"];
/// Controllers that delete what is in a namespace that is being deleted, and what has lost its owner. They have one name where the
/// controller manager uses none for each controller.
const CONTROLLERS: [&str; 3] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
];

pub(super) fn spec(settings: &Settings) -> ValidatingAdmissionPolicySpec {
    let (name, namespace) = (literal(NAME), literal(&settings.namespace));
    // Roles of parts that can be turned on have such names.
    let prefix = literal(&format!("{NAME}-"));
    let account = format!("system:serviceaccount:{}:{NAME}", settings.namespace);
    let groups = allowed(&settings.groups);
    let users = CONTROLLERS.into_iter().chain([account.as_str()]).chain(settings.users.iter().map(String::as_str));
    let is_ours = format!(
        "request.resource.resource == \"namespaces\" ? oldObject.metadata.name == {namespace} : \
         oldObject.metadata.?namespace.orValue(\"\") == \"\" ? oldObject.metadata.name == {name} : \
         oldObject.metadata.?namespace.orValue(\"\") == {namespace} && \
         (oldObject.metadata.name == {name} || oldObject.metadata.name.startsWith({prefix}))"
    );
    let rules = vec![
        rule(
            "admissionregistration.k8s.io",
            &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
            &OPERATIONS,
            "Cluster",
        ),
        rule("", &["namespaces"], &OPERATIONS, "Cluster"),
        rule("rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"], &OPERATIONS, "Cluster"),
        rule("rbac.authorization.k8s.io", &["roles", "rolebindings"], &OPERATIONS, "Namespaced"),
    ];
    let message = format!(
        "the backstop of Portcullis: its webhook configurations, its namespace and its RBAC objects may be changed and deleted by \
         members of {} alone; deploy/break-glass.md says how to turn it off",
        groups.join(", ")
    );
    ValidatingAdmissionPolicySpec {
        failure_policy: Some("Fail".to_owned()),
        match_constraints: Some(MatchResources { resource_rules: Some(rules), ..everything() }),
        match_conditions: Some(vec![not_the_api_server(), condition("objects-of-portcullis", is_ours)]),
        validations: Some(vec![Validation {
            expression: format!("{} || request.userInfo.username in {}", is_in(&groups), list(users)),
            message: Some(one_line(&message)),
            reason: Some("Forbidden".to_owned()),
            ..Validation::default()
        }]),
        ..ValidatingAdmissionPolicySpec::default()
    }
}

/// The text without control characters: the API server takes no message that breaks a line.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
