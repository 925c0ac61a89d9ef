//! [`Snapshot`] → the webhook configurations: one pure function of (configuration, workload table).
//!
//! The entries partition requests, so that an object is judged once: `enforce` (failurePolicy `Fail`) where some policy
//! can refuse, `observe` (`Ignore`) where one can only warn or record. They are split by namespace name, and never cover
//! our own namespace, whose Pods must be able to start while nobody answers.

mod namespaces;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
    ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::mode::Mode;
use crate::object::Workload;
use crate::object::resource::{EPHEMERAL_CONTAINERS, Resource};
use crate::policy::{Kinds, Meta};
use crate::snapshot::Snapshot;

pub(crate) use namespaces::Modes;

/// The name of both configurations.
pub const NAME: &str = "portcullis";
/// Label of both, by which they are found together, and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", NAME);
/// Label of both: version of the program that they are derived by.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Annotation of both: digest of the configuration that they are derived from.
pub const CONFIGURATION: &str = "portcullis.dev/configuration";
/// End of the names of what the API server reads from files (KEP-5793).
pub const STATIC: &str = ".static.k8s.io";
/// Seconds until a refusing webhook counts as failed.
const ENFORCE_TIMEOUT: i32 = 3;
/// Seconds that an observing webhook may cost a write.
const OBSERVE_TIMEOUT: i32 = 1;
/// Seconds that setting defaults may cost a write.
const MUTATE_TIMEOUT: i32 = 1;
/// Subresources of Pods through which what policies judge can change.
const POD_SUBRESOURCES: [&str; 2] = [EPHEMERAL_CONTAINERS.resource, "pods/resize"];
/// Ephemeral containers, where a policy judges who adds them.
const EPHEMERAL: Kinds = Kinds::Resource(EPHEMERAL_CONTAINERS);

/// Address at which the API server reaches the webhook.
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
    // Policies on Pods judge ephemeral containers too, so that one entry sends them for all policies.
    let is_judged = |of: Kinds, kinds: Kinds| of == kinds || kinds == EPHEMERAL && of == Kinds::Pods;
    let strongest = |namespace: &str, kinds| snapshot.strongest_on(namespace, |of| is_judged(of, kinds));
    let kinds = in_force(snapshot.judging());
    let webhooks = |name, part: RangeInclusive<Mode>, failure: &'static str, timeout| {
        let entries = entries(snapshot, &kinds, &part, &target.namespace, strongest);
        entries.into_iter().map(move |entry| ValidatingWebhook {
            name: entry.name(name),
            admission_review_versions: vec!["v1".to_owned()],
            client_config: client_config(target, "/validate"),
            failure_policy: Some(failure.to_owned()),
            match_conditions: Some(match_conditions()),
            match_policy: Some("Equivalent".to_owned()),
            rules: Some(entry.rules(snapshot, validating_rules)),
            namespace_selector: Some(entry.selector),
            side_effects: "None".to_owned(),
            timeout_seconds: Some(timeout),
            ..ValidatingWebhook::default()
        })
    };
    let enforcing = webhooks("enforce", Mode::Enforce..=Mode::Enforce, "Fail", ENFORCE_TIMEOUT);
    let observing = webhooks("observe", Mode::Audit..=Mode::Warn, "Ignore", OBSERVE_TIMEOUT);
    ValidatingWebhookConfiguration {
        metadata: metadata(snapshot),
        webhooks: Some(enforcing.chain(observing).collect()),
    }
}

/// The configuration that sends `/mutate` what the mutators in force may patch. What they did not set, because nobody
/// answered, the validators see.
pub fn mutating(snapshot: &Snapshot, target: &Target) -> MutatingWebhookConfiguration {
    // A mutator costs a namespace no second webhook: all kinds are sent wherever some mutator acts.
    let strongest = |namespace: &str, _| snapshot.strongest_default(namespace);
    let kinds = in_force(snapshot.setting());
    let entries = entries(snapshot, &kinds, &(Mode::Audit..=Mode::Enforce), &target.namespace, strongest);
    let webhooks = entries.into_iter().map(|entry| MutatingWebhook {
        name: entry.name("defaults"),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(target, "/mutate"),
        failure_policy: Some("Ignore".to_owned()),
        match_conditions: Some(match_conditions()),
        match_policy: Some("Equivalent".to_owned()),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(entry.rules(snapshot, mutating_rules)),
        namespace_selector: Some(entry.selector),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(MUTATE_TIMEOUT),
        ..MutatingWebhook::default()
    });
    MutatingWebhookConfiguration { metadata: metadata(snapshot), webhooks: Some(webhooks.collect()) }
}

fn metadata(snapshot: &Snapshot) -> ObjectMeta {
    let all = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
    };
    ObjectMeta {
        name: Some(NAME.to_owned()),
        labels: all(&[LABEL, (VERSION, env!("CARGO_PKG_VERSION"))]),
        annotations: all(&[(CONFIGURATION, snapshot.digest())]),
        ..ObjectMeta::default()
    }
}

/// The kinds of some policies, each once: Pods, then the resources by name, so that the order of the catalogue changes no rule
/// and no webhook's name.
fn in_force(metas: impl Iterator<Item = &'static Meta>) -> Vec<Kinds> {
    let mut found = Vec::new();
    for kinds in metas.flat_map(|meta| meta.kinds).copied() {
        if !found.contains(&kinds) {
            found.push(kinds);
        }
    }
    found.sort_by_key(|kinds| match kinds {
        Kinds::Pods => None,
        Kinds::Resource(row) => Some((row.resource, row.group)),
    });
    found
}

/// The kinds that are sent from the same namespaces: one webhook.
struct Entry {
    kinds: Vec<Kinds>,
    selector: LabelSelector,
    /// Set where cluster-scoped objects are sent too.
    holds_top: bool,
}

/// Groups the kinds by the namespaces in which their strongest mode is in `part`.
fn entries(
    snapshot: &Snapshot,
    kinds: &[Kinds],
    part: &RangeInclusive<Mode>,
    own: &str,
    strongest: impl Fn(&str, Kinds) -> Mode,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for kinds in kinds.iter().copied() {
        let modes = Modes::of(snapshot.named_namespaces(), |namespace| strongest(namespace, kinds));
        let Some(selector) = modes.select(part, own) else { continue };
        let holds_top = modes.holds_top(part);
        if matches!(kinds, Kinds::Resource(row) if !is_sent(row, holds_top)) {
            continue;
        }
        match entries.iter_mut().find(|entry| entry.selector == selector && entry.holds_top == holds_top) {
            Some(entry) => entry.kinds.push(kinds),
            None => entries.push(Entry { kinds: vec![kinds], selector, holds_top }),
        }
    }
    entries
}

impl Entry {
    /// `enforce.portcullis.dev` for the one with the Pods; others name their first resource too.
    fn name(&self, name: &str) -> String {
        match self.kinds.first() {
            Some(Kinds::Resource(row)) => format!("{name}-{}.portcullis.dev", row.resource.replace('/', "-")),
            Some(Kinds::Pods) | None => format!("{name}.portcullis.dev"),
        }
    }

    /// The rules of its kinds; `of_pods` are those of Pods and of what holds pod templates.
    fn rules(&self, snapshot: &Snapshot, of_pods: fn(&Snapshot) -> Vec<RuleWithOperations>) -> Vec<RuleWithOperations> {
        let of_kinds = |kinds: &Kinds| match kinds {
            Kinds::Pods => scoped(of_pods(snapshot), self.holds_top),
            Kinds::Resource(row) => vec![of_resource(row)],
        };
        self.kinds.iter().flat_map(of_kinds).collect()
    }
}

/// A namespaceSelector holds back no cluster-scoped object but a Namespace, so such objects are sent by the one entry that the
/// top is in.
fn is_sent(row: &Resource, holds_top: bool) -> bool {
    row.is_namespaced || row.resource == "namespaces" || holds_top
}

/// The rule of a resource.
fn of_resource(row: &Resource) -> RuleWithOperations {
    let operations: Vec<&str> = row.operations.iter().map(|operation| operation.as_str()).collect();
    let rule = rule(row.group, &operations, row.names().collect());
    let scope = if row.is_namespaced { "Namespaced" } else { "Cluster" };
    RuleWithOperations { scope: Some(scope.to_owned()), ..rule }
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

/// The API server is not asked about its own writes: they keep it able to start.
fn match_conditions() -> Vec<MatchCondition> {
    vec![MatchCondition {
        name: "not-the-api-server".to_owned(),
        expression: "request.userInfo.username != \"system:apiserver\"".to_owned(),
    }]
}

/// Exactly the kinds, subresources and operations that are judged: one rule a group, and one for subresources.
fn validating_rules(snapshot: &Snapshot) -> Vec<RuleWithOperations> {
    let mut rules = by_group(snapshot, &["CREATE", "UPDATE"], |_| true);
    let has_own_rule = snapshot.judging().any(|meta| meta.kinds.contains(&EPHEMERAL));
    let subresources =
        POD_SUBRESOURCES.into_iter().filter(|name| !has_own_rule || *name != EPHEMERAL_CONTAINERS.resource);
    rules.push(rule("", &["UPDATE"], subresources.map(str::to_owned).collect()));
    rules
}

/// Exactly what may be patched: Pods when they are created, ephemeral containers when they are added, templates when
/// they are new or change (a Job's never does).
fn mutating_rules(snapshot: &Snapshot) -> Vec<RuleWithOperations> {
    let is_fixed = |row: &Workload| row.is_pod() || row.is_immutable;
    let mut rules = by_group(snapshot, &["CREATE"], is_fixed);
    rules.extend(by_group(snapshot, &["CREATE", "UPDATE"], |row| !is_fixed(row)));
    rules.push(rule("", &["UPDATE"], vec!["pods/ephemeralcontainers".to_owned()]));
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
        let snapshot = compile("test", &format!("{head}{config}"), None).expect("compiles").snapshot;
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
        let snapshot = compile("test", &format!("{head}{fleet}{raised}"), None).expect("compiles").snapshot;
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
        assert_eq!(selectors("profile: pss-restricted\n"), [row("enforce", "NotIn", &["portcullis"])]);
        assert_eq!(
            selectors(
                "profile: pss-restricted\nceiling: audit\nnamespaces:\n- {match: {names: [pay]}, ceiling: enforce}\n"
            ),
            [row("enforce", "In", &["pay"]), row("observe", "NotIn", &["pay", "portcullis"])]
        );
        let relaxed = "profile: pss-restricted\nnamespaces:\n- {match: {names: [kube-system]}, ceiling: warn, relax: true}\n\
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
