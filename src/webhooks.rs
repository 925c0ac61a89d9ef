//! [`Snapshot`] → the webhook configurations: one pure function of (configuration, workload table).
//!
//! The entries partition requests, so that an object is judged once: `enforce` (failurePolicy `Fail`) where some policy
//! can refuse, `observe` (`Ignore`) where one can only warn or record. They are split by namespace name, and never cover
//! our own namespace, whose Pods must be able to start while nobody answers.
//!
//! Each entry of `namespaces` that matches by a label has webhooks of its own for what it raises, `raise-<n>` and `raise-<n>-observe`,
//! counted from 1; the others leave out the namespaces that carry the label. So one label makes no other namespace fail closed.
//!
//! Where labels may raise policies, `labels` (`Ignore`) sends dry runs of updates of Namespaces that no policy judges.

mod entry;
mod labelling;
mod namespaces;
mod sent;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, ServiceReference, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::mode::Mode;
use crate::object::Workload;
use crate::object::resource::{CLUSTER_ROLES, EPHEMERAL_CONTAINERS};
use crate::operation::Operation;
use crate::policy::Kinds;
use crate::request::CLEANERS;
use crate::snapshot::Snapshot;

use entry::{By, Entry, entries};
use sent::{OfPods, sent};

pub use labelling::CHANGES_LABELS;
pub(crate) use labelling::NAME as LABELLING;
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
/// Seconds that a dry run of an update of a Namespace may wait for a check of its Pods, which takes one at the most.
const LABELLING_TIMEOUT: i32 = 3;
/// Operations on objects that are stored.
const BOTH: [Operation; 2] = [Operation::Create, Operation::Update];
/// Subresources of Pods through which what policies judge can change.
const POD_SUBRESOURCES: [&str; 2] = [EPHEMERAL_CONTAINERS.resource, "pods/resize"];

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
    let strongest = |by: By<'_>, kinds: &[Kinds<'_>]| match by {
        By::Name(namespace) => snapshot.strongest_on(namespace, |of| kinds.contains(&of)),
        By::Label(entry) => snapshot.strongest_raised_on(entry, None, |of| kinds.contains(&of)),
    };
    let sent = sent(snapshot.judged(), &of_pods(snapshot));
    let webhook = |name, failure: &str, conditions, rules, selector, timeout| ValidatingWebhook {
        name,
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(target, "/validate"),
        failure_policy: Some(failure.to_owned()),
        match_conditions: Some(conditions),
        match_policy: Some("Equivalent".to_owned()),
        rules: Some(rules),
        namespace_selector: Some(selector),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(timeout),
        ..ValidatingWebhook::default()
    };
    let one_by = |name: String, raise, part: &RangeInclusive<Mode>, failure: &'static str, timeout| {
        let entries = entries(snapshot, &sent, part, raise, &target.namespace, strongest);
        entries.into_iter().map(move |entry| {
            webhook(entry.name(&name), failure, match_conditions(&entry), entry.rules(), entry.selector, timeout)
        })
    };
    let webhooks = |name: &str, end: &str, part: RangeInclusive<Mode>, failure, timeout| {
        let by_name = one_by(name.to_owned(), None, &part, failure, timeout);
        let by_label = |entry| one_by(format!("{}{end}", raising(entry)), Some(entry), &part, failure, timeout);
        by_name.chain((0..snapshot.raising().len()).flat_map(by_label)).collect::<Vec<_>>()
    };
    let enforcing = webhooks("enforce", "", Mode::Enforce..=Mode::Enforce, "Fail", ENFORCE_TIMEOUT);
    let observing = webhooks("observe", "-observe", Mode::Audit..=Mode::Warn, "Ignore", OBSERVE_TIMEOUT);
    let labelling = labelling::selector(snapshot, &sent, &target.namespace).map(|selector| {
        let conditions = vec![not_the_api_server(), condition(labelling::CONDITION, CHANGES_LABELS)];
        webhook(LABELLING.to_owned(), "Ignore", conditions, vec![labelling::rule()], selector, LABELLING_TIMEOUT)
    });
    let webhooks = enforcing.into_iter().chain(observing).chain(labelling).collect();
    ValidatingWebhookConfiguration { metadata: metadata(snapshot), webhooks: Some(webhooks) }
}

/// The configuration that sends `/mutate` what the mutators in force may patch. What they did not set, because nobody
/// answered, the validators see.
pub fn mutating(snapshot: &Snapshot, target: &Target) -> MutatingWebhookConfiguration {
    // A mutator costs a namespace no second webhook: all kinds are sent wherever some mutator acts.
    let strongest = |by: By<'_>, _: &[Kinds<'_>]| match by {
        By::Name(namespace) => snapshot.strongest_default(namespace),
        By::Label(entry) => snapshot.strongest_raised_default(entry),
    };
    let sent = sent(snapshot.setting().flat_map(|meta| meta.kinds).copied(), &patched_of_pods(snapshot));
    let part = Mode::Audit..=Mode::Enforce;
    let by = |raise| entries(snapshot, &sent, &part, raise, &target.namespace, strongest);
    let by_name = by(None).into_iter().map(|entry| ("defaults".to_owned(), entry));
    let by_label = (0..snapshot.raising().len())
        .flat_map(|number| by(Some(number)).into_iter().map(move |entry| (raising(number), entry)));
    let webhooks = by_name.chain(by_label).map(|(name, entry)| MutatingWebhook {
        name: entry.name(&name),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(target, "/mutate"),
        failure_policy: Some("Ignore".to_owned()),
        match_conditions: Some(match_conditions(&entry)),
        match_policy: Some("Equivalent".to_owned()),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(entry.rules()),
        namespace_selector: Some(entry.selector),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(MUTATE_TIMEOUT),
        ..MutatingWebhook::default()
    });
    MutatingWebhookConfiguration { metadata: metadata(snapshot), webhooks: Some(webhooks.collect()) }
}

/// Beginning of the names of the webhooks for an entry that matches by a label, which is counted from 0 here.
fn raising(entry: usize) -> String {
    format!("raise-{}", entry + 1)
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

/// True for everything but an update of a Role or of a binding that changes nothing that a policy reads. Server-side apply, as Helm and
/// GitOps tools do it, sends unchanged objects too, our own ClusterRole among them: they must not wait for us.
pub const CHANGES_RIGHTS: &str = "request.operation != \"UPDATE\" || request.resource.group != \"rbac.authorization.k8s.io\" || \
    object.?rules != oldObject.?rules || object.?aggregationRule != oldObject.?aggregationRule || \
    object.?roleRef != oldObject.?roleRef || object.?subjects != oldObject.?subjects || \
    object.metadata.?labels != oldObject.metadata.?labels || \
    object.metadata.?annotations != oldObject.metadata.?annotations || \
    object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences";

/// True for every deletion but those of controllers that clean up: a namespace ends, and what belonged to a deleted object goes, while
/// nobody answers.
pub fn not_a_cleaner() -> String {
    let names: Vec<String> = CLEANERS.iter().map(|name| format!("\"{name}\"")).collect();
    format!("!(request.userInfo.username in [{}])", names.join(", "))
}

fn match_conditions(entry: &Entry<'_>) -> Vec<MatchCondition> {
    let mut conditions = vec![not_the_api_server()];
    if entry.sends_deletions() {
        conditions.push(condition("not-a-controller-that-cleans-up", &not_a_cleaner()));
    }
    if entry.sends(CLUSTER_ROLES.group) {
        conditions.push(condition("not-an-update-that-changes-no-rights", CHANGES_RIGHTS));
    }
    conditions.extend(entry.condition().map(|own| condition(own.name, own.expression)));
    conditions
}

/// The API server is not asked about its own writes: they keep it able to start.
fn not_the_api_server() -> MatchCondition {
    condition("not-the-api-server", "request.userInfo.username != \"system:apiserver\"")
}

fn condition(name: &str, expression: &str) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.to_owned() }
}

/// The kinds and subresources that policies on Pods judge.
fn of_pods(snapshot: &Snapshot) -> Vec<OfPods<'_>> {
    let rows = snapshot.workloads().iter().map(|row| OfPods::of(row, &BOTH));
    rows.chain(POD_SUBRESOURCES.map(OfPods::below)).collect()
}

/// Exactly what may be patched: Pods when they are created, ephemeral containers when they are added, templates when
/// they are new or change (a Job's never does).
fn patched_of_pods(snapshot: &Snapshot) -> Vec<OfPods<'_>> {
    let is_fixed = |row: &&Workload| row.is_pod() || row.is_immutable;
    let fixed = snapshot.workloads().iter().filter(is_fixed).map(|row| OfPods::of(row, &BOTH[..1]));
    let others = snapshot.workloads().iter().filter(|row| !is_fixed(row)).map(|row| OfPods::of(row, &BOTH));
    fixed.chain(others).chain([OfPods::below(EPHEMERAL_CONTAINERS.resource)]).collect()
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
        let everywhere = [row("enforce", "NotIn", &["portcullis"]), row("labels", "NotIn", &["portcullis"])];
        assert_eq!(selectors(labels), everywhere);
        assert_eq!(selectors("podSecurityLabels: ignore\n"), []);
        let policies = "policies: {root-users: {mode: audit}}\n";
        assert_eq!(selectors(policies), [row("observe", "NotIn", &["portcullis"])]);
        assert_eq!(selectors(&format!("{labels}{policies}")), everywhere);
        let ceilings = "namespaces:\n- {match: {names: [kube-system]}, ceiling: audit, relax: true}\n\
                        - {match: {names: [free]}, ceiling: off, relax: true}\n";
        assert_eq!(
            selectors(&format!("{labels}{policies}{ceilings}")),
            [
                row("enforce", "NotIn", &["free", "kube-system", "portcullis"]),
                row("observe", "In", &["kube-system"]),
                row("labels", "NotIn", &["free", "kube-system", "portcullis"]),
            ]
        );
        let raised = "ceiling: warn\nnamespaces: [{match: {names: [pay]}, ceiling: enforce}]\n";
        assert_eq!(
            selectors(&format!("{labels}{policies}{raised}")),
            [
                row("enforce", "In", &["pay"]),
                row("observe", "NotIn", &["pay", "portcullis"]),
                row("labels", "In", &["pay"]),
            ]
        );
    }
}
