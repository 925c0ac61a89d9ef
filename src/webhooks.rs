//! [`Snapshot`] → the webhook configurations: one pure function of (configuration, workload table).
//!
//! The entries partition requests, so that an object is judged once: `enforce` (failurePolicy `Fail`) where some policy
//! can refuse, `observe` (`Ignore`) where one can only warn or record. They are split by namespace name, and never cover
//! our own namespace, whose Pods must be able to start while nobody answers.

use std::ops::RangeInclusive;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
    ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};

use crate::config::Snapshot;
use crate::mode::Mode;
use crate::object::Workload;

/// The name of both configurations.
pub const NAME: &str = "portcullis";
/// The label that every namespace carries with its own name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Seconds until a refusing webhook counts as failed.
const ENFORCE_TIMEOUT: i32 = 3;
/// Seconds that an observing webhook may cost a write.
const OBSERVE_TIMEOUT: i32 = 1;
/// Seconds that setting defaults may cost a write.
const MUTATE_TIMEOUT: i32 = 1;
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

impl Target {
    /// The Service that `deploy/` makes.
    pub fn service() -> Self {
        Self { namespace: NAME.to_owned(), service: NAME.to_owned(), url: None, ca_bundle: None }
    }
}

/// The configuration that sends `/validate` what the validators in force judge.
pub fn validating(snapshot: &Snapshot, target: &Target) -> ValidatingWebhookConfiguration {
    let modes = Modes::of(snapshot, |namespace| snapshot.strongest(namespace));
    let webhook = |name: &str, part: RangeInclusive<Mode>, failure: &str, timeout| {
        let selector = modes.select(&part, &target.namespace)?;
        Some(ValidatingWebhook {
            name: format!("{name}.portcullis.dev"),
            admission_review_versions: vec!["v1".to_owned()],
            client_config: client_config(target, "/validate"),
            failure_policy: Some(failure.to_owned()),
            match_conditions: Some(match_conditions()),
            match_policy: Some("Equivalent".to_owned()),
            rules: Some(scoped(validating_rules(snapshot), modes.holds_top(&part))),
            namespace_selector: Some(selector),
            side_effects: "None".to_owned(),
            timeout_seconds: Some(timeout),
            ..ValidatingWebhook::default()
        })
    };
    let webhooks = [
        webhook("enforce", Mode::Enforce..=Mode::Enforce, "Fail", ENFORCE_TIMEOUT),
        webhook("observe", Mode::Audit..=Mode::Warn, "Ignore", OBSERVE_TIMEOUT),
    ];
    ValidatingWebhookConfiguration {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        webhooks: Some(webhooks.into_iter().flatten().collect()),
    }
}

/// The configuration that sends `/mutate` what the mutators in force may patch. What they did not set, because nobody
/// answered, the validators see.
pub fn mutating(snapshot: &Snapshot, target: &Target) -> MutatingWebhookConfiguration {
    let modes = Modes::of(snapshot, |namespace| snapshot.strongest_default(namespace));
    let part = Mode::Audit..=Mode::Enforce;
    let selector = modes.select(&part, &target.namespace);
    let webhook = selector.map(|selector| MutatingWebhook {
        name: "defaults.portcullis.dev".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(target, "/mutate"),
        failure_policy: Some("Ignore".to_owned()),
        match_conditions: Some(match_conditions()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(selector),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(scoped(mutating_rules(snapshot), modes.holds_top(&part))),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(MUTATE_TIMEOUT),
        ..MutatingWebhook::default()
    });
    MutatingWebhookConfiguration {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        webhooks: Some(webhook.into_iter().collect()),
    }
}

/// The strongest mode at the top, and in each namespace that an entry names.
struct Modes<'s> {
    top: Mode,
    named: Vec<(&'s str, Mode)>,
}

impl<'s> Modes<'s> {
    fn of(snapshot: &'s Snapshot, strongest: impl Fn(&str) -> Mode) -> Self {
        let named = snapshot.named_namespaces().into_iter().map(|name| (name, strongest(name))).collect();
        Self { top: strongest(""), named }
    }

    /// Whether what lives in no namespace is in `part`: the top governs it.
    fn holds_top(&self, part: &RangeInclusive<Mode>) -> bool {
        part.contains(&self.top)
    }

    /// Selects, by name, the namespaces whose strongest mode is in `part`, without our own; `None` where there is none.
    fn select(&self, part: &RangeInclusive<Mode>, own: &str) -> Option<LabelSelector> {
        let (operator, mut names) = if self.holds_top(part) {
            let others = self.named.iter().filter(|(_, mode)| !part.contains(mode));
            ("NotIn", others.map(|(name, _)| (*name).to_owned()).chain([own.to_owned()]).collect::<Vec<_>>())
        } else {
            let these = self.named.iter().filter(|(name, mode)| part.contains(mode) && *name != own);
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

/// A namespaceSelector holds back nothing that lives in no namespace, so only the part that the top is in takes such
/// objects; of Kubernetes' own kinds with pod templates there are none.
fn scoped(mut rules: Vec<RuleWithOperations>, holds_top: bool) -> Vec<RuleWithOperations> {
    let is_added = |rule: &RuleWithOperations| {
        rule.api_groups.iter().flatten().any(|group| !["", "apps", "batch"].contains(&group.as_str()))
    };
    for rule in rules.iter_mut().filter(|rule| holds_top && is_added(rule)) {
        rule.scope = Some("*".to_owned());
    }
    rules
}

/// What the API server writes by itself keeps it able to start.
fn match_conditions() -> Vec<MatchCondition> {
    vec![MatchCondition {
        name: "not-the-api-server".to_owned(),
        expression: "request.userInfo.username != \"system:apiserver\"".to_owned(),
    }]
}

/// Exactly the kinds, subresources and operations that are judged: one rule a group, and one for subresources.
fn validating_rules(snapshot: &Snapshot) -> Vec<RuleWithOperations> {
    let mut rules = by_group(snapshot, &["CREATE", "UPDATE"], |_| true);
    rules.push(rule("", &["UPDATE"], POD_SUBRESOURCES.map(str::to_owned).to_vec()));
    rules
}

/// Exactly what may be patched: Pods when they are created, ephemeral containers when they are added, templates when
/// they are new or change (a Job's never does), and ServiceAccounts where their mutator is on.
fn mutating_rules(snapshot: &Snapshot) -> Vec<RuleWithOperations> {
    let is_fixed = |row: &Workload| row.is_pod() || row.is_immutable;
    let mut rules = by_group(snapshot, &["CREATE"], is_fixed);
    rules.extend(by_group(snapshot, &["CREATE", "UPDATE"], |row| !is_fixed(row)));
    rules.push(rule("", &["UPDATE"], vec!["pods/ephemeralcontainers".to_owned()]));
    let everywhere = snapshot.named_namespaces().into_iter().chain([""]);
    let mut setters = everywhere.flat_map(|namespace| snapshot.setters(namespace));
    if setters.any(|setter| setter.meta.id == "default-no-token-automount" && setter.mode > Mode::Off) {
        rules.push(rule("", &["CREATE"], vec!["serviceaccounts".to_owned()]));
    }
    rules
}

fn by_group(snapshot: &Snapshot, operations: &[&str], takes: impl Fn(&Workload) -> bool) -> Vec<RuleWithOperations> {
    let rows: Vec<&Workload> = snapshot.workloads().iter().filter(|row| takes(row)).collect();
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(group, _)| *group == row.group) {
            Some((_, resources)) => resources.push(row.resource.to_string()),
            None => groups.push((&row.group, vec![row.resource.to_string()])),
        }
    }
    groups.into_iter().map(|(group, resources)| rule(group, operations, resources)).collect()
}

fn rule(group: &str, operations: &[&str], resources: Vec<String>) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(operations.iter().map(|operation| (*operation).to_owned()).collect()),
        resources: Some(resources),
        scope: Some("Namespaced".to_owned()),
    }
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
        let webhooks = validating(&snapshot, &Target::service()).webhooks.unwrap_or_default();
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
    fn what_lives_in_no_namespace_is_asked_about_once() {
        let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\nceiling: audit\n";
        let fleet = "workloads: [{group: example.org, kind: Fleet, path: /spec/template}]\n";
        let raised = "namespaces: [{match: {names: [pay]}, ceiling: enforce}]\n";
        let snapshot = compile("test", &format!("{head}{fleet}{raised}"), None).expect("compiles");
        let webhooks = validating(&snapshot, &Target::service()).webhooks.unwrap_or_default();
        let scopes: Vec<_> = webhooks
            .iter()
            .flat_map(|webhook| webhook.rules.iter().flatten())
            .filter(|rule| rule.resources.iter().flatten().any(|resource| resource == "fleets"))
            .map(|rule| rule.scope.clone().unwrap_or_default())
            .collect();
        assert_eq!(scopes, ["Namespaced", "*"], "enforce, which pay alone is in, and observe");
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

    #[test]
    fn where_labels_may_tighten_a_namespace_can_refuse_up_to_its_ceiling() {
        let labels = "podSecurityLabels: tighten\n";
        assert_eq!(selectors(labels), [row("enforce", "NotIn", &["portcullis"])]);
        assert_eq!(selectors("podSecurityLabels: ignore\n"), []);
        let policies = "policies: {root-users: {mode: audit}}\n";
        assert_eq!(selectors(policies), [row("observe", "NotIn", &["portcullis"])]);
        assert_eq!(selectors(&format!("{labels}{policies}")), [row("enforce", "NotIn", &["portcullis"])]);
        let ceilings = "namespaces:\n- {match: {names: [kube-system]}, ceiling: audit, relax: true}\n\
                        - {match: {names: [free]}, ceiling: off, relax: true}\n";
        assert_eq!(
            selectors(&format!("{labels}{policies}{ceilings}")),
            [row("enforce", "NotIn", &["free", "kube-system", "portcullis"]), row("observe", "In", &["kube-system"])]
        );
        let raised = "ceiling: warn\nnamespaces: [{match: {names: [pay]}, ceiling: enforce}]\n";
        assert_eq!(
            selectors(&format!("{labels}{policies}{raised}")),
            [row("enforce", "In", &["pay"]), row("observe", "NotIn", &["pay", "portcullis"])]
        );
    }
}
