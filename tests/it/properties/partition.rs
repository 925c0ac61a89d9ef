//! Webhooks partition requests: what some policy judges is sent once, to a webhook that fails closed exactly where a policy may refuse.
//! Namespaces that no policy judges are sent once too, in dry runs, where their labels may make a policy refuse Pods.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use portcullis::config::compile;
use portcullis::mode::Mode;
use portcullis::policy::Kinds;
use portcullis::snapshot::Snapshot;
use portcullis::webhooks::{Target, mutating, validating};

use crate::judging::HEAD;

const POLICIES: &str =
    "policies: {root-users: {mode: enforce}, exposed-services: {mode: warn}, unlabelled-namespaces: {mode: warn}}\n";
/// Entries, of which each configuration has some. One that is weaker than the top is refused.
const ENTRIES: [&str; 9] = [
    "{match: {labels: {tier: pci}}, ceiling: enforce}",
    "{match: {labels: {tier: [pci, prod]}}, ceiling: warn}",
    "{match: {labels: {tier: prod}}, ceiling: enforce, policies: {exposed-services: {mode: enforce}}}",
    "{match: {labels: {example.com/team: bank}}, ceiling: enforce, policies: {unlabelled-namespaces: {mode: enforce}}, defaults: safe}",
    "{match: {labels: {example.com/team: bank}}, ceiling: audit}",
    "{match: {names: [pay]}, ceiling: enforce, relax: true}",
    "{match: {names: [pay]}, ceiling: audit, defaults: safe, relax: true}",
    "{match: {names: [pay, portcullis]}, ceiling: off, relax: true}",
    "{match: {names: [shop]}, policies: {root-users: {mode: warn}}, relax: true}",
];
const NAMESPACES: [&str; 4] = ["pay", "shop", "other", "portcullis"];
const LABELS: [&[(&str, &str)]; 6] = [
    &[],
    &[("tier", "pci")],
    &[("tier", "prod")],
    &[("tier", "dev"), ("example.com/team", "bank")],
    &[("tier", "prod"), ("example.com/team", "bank")],
    &[("tier", "pci"), ("example.com/team", "bank")],
];
const RESOURCES: [&str; 3] = ["pods", "services", "namespaces"];

fn configurations() -> Vec<(String, Snapshot)> {
    let mut all = Vec::new();
    for ceiling in ["off", "audit", "warn", "enforce"] {
        for first in 0..ENTRIES.len() {
            for second in 0..ENTRIES.len() {
                let third = (first + second) % ENTRIES.len();
                let entries = [first, second, third].map(|entry| ENTRIES[entry]).join(", ");
                let text = format!("{HEAD}ceiling: {ceiling}\n{POLICIES}namespaces: [{entries}]\n");
                all.extend(compile("test", &text, None).ok().map(|one| (text, one.snapshot)));
            }
        }
    }
    all
}

fn is_sent(
    rules: Option<&Vec<RuleWithOperations>>,
    selector: Option<&LabelSelector>,
    resource: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let names = |rule: &RuleWithOperations| rule.resources.iter().flatten().any(|name| name == resource);
    let selector: Selector = selector.expect("a selector").clone().try_into().expect("valid");
    rules.into_iter().flatten().any(names) && selector.matches(labels)
}

#[test]
fn every_request_is_sent_once_and_fails_closed_where_it_may_be_refused() {
    let configurations = configurations();
    let (mut refusing, mut raised, mut checked) = (0, 0, 0);
    for (text, snapshot) in &configurations {
        let validating = validating(snapshot, &Target::service()).webhooks.unwrap_or_default();
        let mutating = mutating(snapshot, &Target::service()).webhooks.unwrap_or_default();
        for namespace in NAMESPACES {
            for written in LABELS {
                let mut labels: BTreeMap<String, String> =
                    written.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
                let scope = snapshot.raised(namespace, |label| label.is_in(|key| labels.get(key).map(String::as_str)));
                labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
                for resource in RESOURCES {
                    let covers = |kinds: Kinds<'_>| match kinds {
                        Kinds::Pods => resource == "pods",
                        Kinds::Resource(row) => row.resource == resource,
                        _ => false,
                    };
                    let is_own = namespace == "portcullis";
                    let mode = if is_own { Mode::Off } else { scope.strongest_on(Some(namespace), covers) };
                    let is_checked = resource == "namespaces" && !is_own && snapshot.labels_may_refuse(namespace);
                    checked += usize::from(is_checked && mode == Mode::Off);
                    let expected: &[&str] = match mode {
                        Mode::Off if is_checked => &["Ignore"],
                        Mode::Off => &[],
                        Mode::Enforce => &["Fail"],
                        Mode::Audit | Mode::Warn => &["Ignore"],
                    };
                    let asked = validating.iter().filter(|webhook| {
                        is_sent(webhook.rules.as_ref(), webhook.namespace_selector.as_ref(), resource, &labels)
                    });
                    let asked: Vec<_> = asked.collect();
                    let failing: Vec<&str> =
                        asked.iter().map(|webhook| webhook.failure_policy.as_deref().expect("a policy")).collect();
                    assert_eq!(failing, expected, "{resource} in {namespace} {written:?}: {text}");
                    refusing += usize::from(mode == Mode::Enforce);
                    let of_labels = asked.iter().filter(|webhook| webhook.name == "labels.portcullis.dev").count();
                    assert_eq!(
                        of_labels,
                        usize::from(is_checked && mode == Mode::Off),
                        "{namespace} {written:?}: {text}"
                    );
                    raised += asked.iter().filter(|webhook| webhook.name.starts_with("raise-")).count();
                }
                let sets = namespace != "portcullis" && scope.strongest_default() > Mode::Off;
                let asked = mutating.iter().filter(|webhook| {
                    is_sent(webhook.rules.as_ref(), webhook.namespace_selector.as_ref(), "pods", &labels)
                });
                assert_eq!(asked.count(), usize::from(sets), "defaults in {namespace} {written:?}: {text}");
            }
        }
        for webhook in &validating {
            let same = validating.iter().filter(|other| other.name == webhook.name);
            assert_eq!(same.count(), 1, "{}: {text}", webhook.name);
        }
    }
    assert!(
        configurations.len() > 60 && refusing > 1_000 && raised > 1_000 && checked > 100,
        "{} {refusing} {raised} {checked}",
        configurations.len()
    );
}
