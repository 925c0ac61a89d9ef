//! [`Snapshot`] → the backstop: ValidatingAdmissionPolicies that the API server evaluates by itself, as one pure function.
//!
//! Such a policy cannot know whether Portcullis answers. It is always in force, and it knows no exception, no reason on an object
//! and no age of a workload. So it refuses less than Portcullis does, and never more: it judges the creation of Pods, by the
//! policies in `pods`, in the namespaces where they enforce and nothing else could admit the Pod. A second one protects the
//! objects of Portcullis (`guard`).

mod cel;
mod guard;
mod pods;
mod scope;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::snapshot::Snapshot;
use crate::webhooks::{LABEL, STATIC};

/// Beginning of the names of all objects.
const NAME: &str = "portcullis-backstop";
/// The group whose members may do everything already.
const MASTERS: &str = "system:masters";

/// Settings of a backstop that are not in the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our namespace: Pods in it are not judged.
    pub namespace: String,
    /// Groups that may create every Pod, and change the objects of Portcullis. `system:masters` always may.
    pub groups: Vec<String>,
    /// Users that may change the objects of Portcullis.
    pub users: Vec<String>,
    /// True for files of the API server (KEP-5793), false for objects of the API.
    pub is_static: bool,
    /// Time at which exceptions are looked at.
    pub now: Timestamp,
}

/// The policies, each with its binding, and notes of what they leave to Portcullis.
#[derive(Debug, Clone)]
pub struct Backstop {
    /// The policies and their bindings.
    pub policies: Vec<(ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding)>,
    /// One sentence for each policy that is left out.
    pub notes: Vec<String>,
}

/// The backstop of a configuration.
pub fn backstop(snapshot: &Snapshot, settings: &Settings) -> Backstop {
    let (groups, notes) = scope::groups(snapshot, settings);
    let of_pods = groups.into_iter().enumerate().map(|(position, group)| {
        let suffix = if position == 0 { String::new() } else { format!("-{}", position + 1) };
        let spec = pods::spec(snapshot, settings, group.validations);
        pair(settings, &format!("pods{suffix}"), spec, group.selector)
    });
    let guard = pair(settings, "guard", guard::spec(settings), LabelSelector::default());
    Backstop { policies: of_pods.chain([guard]).collect(), notes }
}

/// The policy of that name, and its binding in the namespaces that are selected.
fn pair(
    settings: &Settings,
    name: &str,
    spec: ValidatingAdmissionPolicySpec,
    selector: LabelSelector,
) -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let name = format!("{NAME}-{name}{}", if settings.is_static { STATIC } else { "" });
    let labels = [LABEL, ("app.kubernetes.io/component", "backstop")];
    let labels: BTreeMap<String, String> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
    let matched = MatchResources { namespace_selector: Some(selector), ..everything() };
    let binding = ValidatingAdmissionPolicyBinding {
        metadata: metadata.clone(),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: name,
            validation_actions: vec!["Deny".to_owned()],
            match_resources: Some(matched),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    };
    (ValidatingAdmissionPolicy { metadata, spec: Some(spec), status: None }, binding)
}

/// All objects, in what an API server would otherwise fill in: nothing differs after it is applied.
fn everything() -> MatchResources {
    MatchResources {
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(LabelSelector::default()),
        object_selector: Some(LabelSelector::default()),
        ..MatchResources::default()
    }
}

/// Objects by API group, resources, operations and scope.
fn rule(group: &str, resources: &[&str], operations: &[&str], scope: &str) -> NamedRuleWithOperations {
    let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect());
    NamedRuleWithOperations {
        api_groups: texts(&[group]),
        api_versions: texts(&["*"]),
        operations: texts(operations),
        resources: texts(resources),
        scope: Some(scope.to_owned()),
        ..NamedRuleWithOperations::default()
    }
}

/// The groups that nothing is refused to, each once: `system:masters`, then those given.
fn allowed(groups: &[String]) -> Vec<&str> {
    let mut all = vec![MASTERS];
    for group in groups {
        if !all.contains(&group.as_str()) {
            all.push(group);
        }
    }
    all
}

#[cfg(test)]
mod tests;
