//! [`Snapshot`] → the webhook configurations: one pure function of (configuration, workload table).
//!
//! The entries partition requests, so that an object is judged once: `enforce` (failurePolicy `Fail`) where some policy
//! can refuse, `observe` (`Ignore`) where one can only warn or record. They are split by namespace name, and never cover
//! our own namespace, whose Pods must be able to start while nobody answers.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};

use crate::config::Snapshot;
use crate::mode::Mode;
use crate::object::Workload;

/// The label that every namespace carries with its own name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Seconds until a refusing webhook counts as failed.
const ENFORCE_TIMEOUT: i32 = 3;
/// Seconds that an observing webhook may cost a write.
const OBSERVE_TIMEOUT: i32 = 1;
/// Subresources of Pods through which what policies judge can change.
const POD_SUBRESOURCES: [&str; 2] = ["pods/ephemeralcontainers", "pods/resize"];

/// How the API server reaches the webhook.
#[derive(Debug, Clone)]
pub struct Target {
    /// The Service's namespace, which is never judged.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// Instead of the Service: the start of a URL, such as `https://127.0.0.1:8443`.
    pub url: Option<String>,
    /// PEM certificates that sign the serving certificate.
    pub ca_bundle: Option<Vec<u8>>,
}

/// The configuration that sends `/validate` what the policies in force judge.
pub fn validating(snapshot: &Snapshot, target: &Target) -> ValidatingWebhookConfiguration {
    let top = snapshot.strongest("");
    let enforced = Part { minimum: Mode::Enforce, maximum: Mode::Enforce };
    let observed = Part { minimum: Mode::Audit, maximum: Mode::Warn };
    let webhook = |name: &str, part: Part, failure: &str, timeout| {
        let selector = part.select(top, &snapshot.named_namespaces(), &target.namespace)?;
        Some(ValidatingWebhook {
            name: format!("{name}.portcullis.dev"),
            admission_review_versions: vec!["v1".to_owned()],
            client_config: client_config(target, "/validate"),
            failure_policy: Some(failure.to_owned()),
            match_conditions: Some(vec![MatchCondition {
                // What the API server writes by itself keeps it able to start.
                name: "not-the-api-server".to_owned(),
                expression: "request.userInfo.username != \"system:apiserver\"".to_owned(),
            }]),
            match_policy: Some("Equivalent".to_owned()),
            namespace_selector: Some(selector),
            rules: Some(rules(snapshot)),
            side_effects: "None".to_owned(),
            timeout_seconds: Some(timeout),
            ..ValidatingWebhook::default()
        })
    };
    let webhooks = [
        webhook("enforce", enforced, "Fail", ENFORCE_TIMEOUT),
        webhook("observe", observed, "Ignore", OBSERVE_TIMEOUT),
    ];
    ValidatingWebhookConfiguration {
        metadata: ObjectMeta { name: Some("portcullis".to_owned()), ..ObjectMeta::default() },
        webhooks: Some(webhooks.into_iter().flatten().collect()),
    }
}

/// The namespaces whose strongest mode lies between two modes.
#[derive(Clone, Copy)]
struct Part {
    minimum: Mode,
    maximum: Mode,
}

impl Part {
    fn holds(self, mode: Mode) -> bool {
        (self.minimum..=self.maximum).contains(&mode)
    }

    /// Selects them by name; `None` where there is none.
    fn select(self, top: Mode, named: &[(&str, Mode)], own: &str) -> Option<LabelSelector> {
        let (operator, mut names) = if self.holds(top) {
            let others = named.iter().filter(|(_, mode)| !self.holds(*mode));
            ("NotIn", others.map(|(name, _)| (*name).to_owned()).chain([own.to_owned()]).collect::<Vec<_>>())
        } else {
            let these = named.iter().filter(|(name, mode)| self.holds(*mode) && *name != own);
            ("In", these.map(|(name, _)| (*name).to_owned()).collect())
        };
        names.sort_unstable();
        names.dedup();
        let requirement = LabelSelectorRequirement {
            key: NAME_LABEL.to_owned(),
            operator: operator.to_owned(),
            values: Some(names.clone()),
        };
        (!names.is_empty())
            .then(|| LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() })
    }
}

/// Exactly the kinds, subresources and operations that are judged: one rule a group, and one for subresources.
fn rules(snapshot: &Snapshot) -> Vec<RuleWithOperations> {
    let rule = |group: &str, operations: &[&str], resources: Vec<String>| RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(operations.iter().map(|operation| (*operation).to_owned()).collect()),
        resources: Some(resources),
        scope: Some("Namespaced".to_owned()),
    };
    let mut groups: Vec<&str> = Vec::new();
    for workload in snapshot.workloads().iter() {
        if !groups.contains(&workload.group.as_ref()) {
            groups.push(&workload.group);
        }
    }
    let of_group = |group: &str| {
        let rows = snapshot.workloads().iter().filter(|row: &&Workload| row.group == group);
        rows.map(|row| row.resource.to_string()).collect()
    };
    let mut rules: Vec<_> = groups.iter().map(|group| rule(group, &["CREATE", "UPDATE"], of_group(group))).collect();
    rules.push(rule("", &["UPDATE"], POD_SUBRESOURCES.map(str::to_owned).to_vec()));
    rules
}

fn client_config(target: &Target, path: &str) -> WebhookClientConfig {
    let service = ServiceReference {
        namespace: target.namespace.clone(),
        name: target.service.clone(),
        path: Some(path.to_owned()),
        port: Some(443),
    };
    WebhookClientConfig {
        ca_bundle: target.ca_bundle.clone().map(ByteString),
        service: target.url.is_none().then_some(service),
        url: target.url.as_ref().map(|url| format!("{}{path}", url.trim_end_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, validating};
    use crate::config::compile;

    fn selectors(config: &str) -> Vec<(String, String, Vec<String>)> {
        let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
        let snapshot = compile("test", &format!("{head}{config}"), None).expect("compiles");
        let target =
            Target { namespace: "portcullis".to_owned(), service: "portcullis".to_owned(), url: None, ca_bundle: None };
        let webhooks = validating(&snapshot, &target).webhooks.unwrap_or_default();
        let selector = |webhook: &k8s_openapi::api::admissionregistration::v1::ValidatingWebhook| {
            let selector = webhook.namespace_selector.clone()?;
            let requirement = selector.match_expressions?.pop()?;
            Some((webhook.name.clone(), requirement.operator, requirement.values?))
        };
        webhooks.iter().filter_map(selector).collect()
    }

    fn row(name: &str, operator: &str, values: &[&str]) -> (String, String, Vec<String>) {
        (format!("{name}.portcullis.dev"), operator.to_owned(), values.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn namespaces_are_partitioned() {
        assert_eq!(selectors("profile: hardened\n"), [row("enforce", "NotIn", &["portcullis"])]);
        assert_eq!(
            selectors("profile: hardened\nceiling: audit\nnamespaces:\n- {match: {names: [pay]}, ceiling: enforce}\n"),
            [row("enforce", "In", &["pay"]), row("observe", "NotIn", &["pay", "portcullis"])]
        );
        let relaxed = "profile: hardened\nnamespaces:\n- {match: {names: [kube-system]}, ceiling: warn, relax: true}\n\
                       - {match: {names: [free]}, ceiling: off, relax: true}\n";
        assert_eq!(
            selectors(relaxed),
            [row("enforce", "NotIn", &["free", "kube-system", "portcullis"]), row("observe", "In", &["kube-system"])]
        );
        assert_eq!(selectors("ceiling: off\n"), []);
    }
}
