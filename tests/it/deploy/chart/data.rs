//! What the templates know of the program, `files/policies.json`: policies, profiles, kinds, and the plurals of kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::config::profile;
use portcullis::object::resource::{
    CHANGED_NETWORK_POLICIES, CLUSTER_ROLES, DELETED_NETWORK_POLICIES, EPHEMERAL_CONTAINERS, GATEWAYS, NODE_PROXY,
    Resource, SERVICE_ACCOUNTS,
};
use portcullis::object::{Known, NamedKind, Workload, Workloads, plural};
use portcullis::pod_security::Version;
use portcullis::policy::catalogue::{self, Built, CATALOGUE};
use portcullis::policy::defaults::Safety;
use portcullis::policy::{Kinds, Meta, Validator};
use portcullis::webhooks::{CHANGES_LABELS, CHANGES_RIGHTS, not_a_cleaner};
use serde_json::{Map, Value, json};

use super::CHART;
use crate::golden::assert_holds;

#[test]
fn the_chart_knows_the_policies_of_the_program() {
    let data = json!({
        "policies": CATALOGUE.iter().map(policy).collect::<Vec<_>>(),
        "profiles": profile::names().map(|name| (name.to_owned(), profile(name))).collect::<Map<_, _>>(),
        "changesRights": {
            "group": CLUSTER_ROLES.group,
            "condition": {"name": "not-an-update-that-changes-no-rights", "expression": CHANGES_RIGHTS},
        },
        "cleaners": {"name": "not-a-controller-that-cleans-up", "expression": not_a_cleaner()},
        "changesLabels": {"name": "dry-run-that-changes-labels", "expression": CHANGES_LABELS},
        "kinds": kinds(),
        "named": NamedKind::all_known().map(named).collect::<Map<_, _>>(),
        "workloads": Workloads::built_in().iter().map(workload).collect::<Vec<_>>(),
        "plurals": {
            "words": plural::WORDS.iter().copied().collect::<BTreeMap<_, _>>(),
            "endings": plural::ENDINGS.iter().map(ending).collect::<Vec<_>>(),
        },
    });
    let text = serde_json::to_string_pretty(&data).expect("JSON");
    assert_holds(&format!("{CHART}/files/policies.json"), &format!("{text}\n"));
}

/// The templates leave out that a policy replaces others. It changes no webhook, because it is asked about all that they are.
#[test]
fn a_policy_judges_the_kinds_of_those_that_it_replaces() {
    for entry in CATALOGUE {
        for version in [Version::default(), "v1.0".parse().expect("a version")] {
            for id in entry.replaces(version) {
                let replaced = catalogue::find(id).expect("a policy");
                let is_covered = |kinds: &Kinds| entry.meta.kinds.contains(kinds);
                assert!(replaced.meta.kinds.iter().all(is_covered), "{} and {id}", entry.meta.id);
            }
        }
    }
}

fn policy(entry: &catalogue::Entry) -> Value {
    let mut policy = json!({"id": entry.meta.id, "kinds": keys(entry.meta)});
    // Only a warning there, unless a setting, or a key beside the mode, has this value.
    let warns: Vec<Value> = [
        (NODE_PROXY, "setting", "nodes", "enforce"),
        (SERVICE_ACCOUNTS, "setting", "", "enforce"),
        (GATEWAYS, "setting", "", "enforce"),
        (CHANGED_NETWORK_POLICIES, "key", "updates", "strict"),
        (DELETED_NETWORK_POLICIES, "key", "deletes", "enforce"),
    ]
    .into_iter()
    .filter(|(row, ..)| warns(entry, Kinds::Resource(row)))
    .map(|(row, what, name, value)| json!({"kind": key(Kinds::Resource(row)), what: name, "unless": value}))
    .collect();
    if !warns.is_empty() {
        policy["warns"] = warns.into();
    }
    if limits(entry) {
        // Its settings list the namespaces outside which it judges nothing.
        policy["namespaces"] = true.into();
    }
    if entry.meta.kinds.contains(&Kinds::Settings) {
        policy["instances"] = true.into();
    }
    if let Some(safety) = entry.safety {
        policy["defaults"] = json!(match safety {
            Safety::Safe => "safe",
            Safety::Extended => "all",
        });
    }
    policy
}

/// True if findings of the policy on these objects are warnings at most, with its own settings.
fn warns(entry: &catalogue::Entry, kinds: Kinds<'_>) -> bool {
    entry.meta.kinds.contains(&kinds)
        && validator(entry).is_some_and(|validator| validator.only_warns(kinds) || validator.depends_on_others(kinds))
}

/// True if the policy judges nothing outside the namespaces of its settings.
fn limits(entry: &catalogue::Entry) -> bool {
    validator(entry).is_some_and(|validator| validator.namespaces().is_some())
}

fn validator(entry: &catalogue::Entry) -> Option<Arc<dyn Validator>> {
    match entry.build(&json!({}), Version::default(), &[]).expect("settings of its own") {
        Built::Judge(validator) => Some(validator),
        Built::Set(_) => None,
    }
}

fn keys(meta: &Meta) -> Vec<String> {
    meta.kinds.iter().copied().filter(|kinds| *kinds != Kinds::Settings).map(key).collect()
}

/// The name of a kind in the data.
fn key(kinds: Kinds<'_>) -> String {
    match kinds {
        Kinds::Pods => "pods".to_owned(),
        Kinds::Settings | Kinds::Named(_) => panic!("{kinds} are not in the table"),
        Kinds::Resource(row) if row == EPHEMERAL_CONTAINERS => row.resource.to_owned(),
        Kinds::Resource(row) => {
            let place = Resource::all().position(|other| other == row).expect("a row");
            format!("{}.{}/{place}", row.resource, row.group)
        }
    }
}

/// A profile with the policies of those that it extends.
fn profile(name: &str) -> Value {
    let written: Value = serde_saphyr::from_str(profile::text(name).expect("a profile")).expect("YAML");
    let mut whole = written["extends"].as_str().map_or_else(|| json!({"modes": {}}), profile);
    if let Some(ceiling) = written["ceiling"].as_str() {
        whole["ceiling"] = ceiling.into();
    }
    for (id, policy) in written["policies"].as_object().into_iter().flatten() {
        whole["modes"][id] = policy["mode"].clone();
    }
    whole
}

/// Every kind that some policy is asked about, in the order of webhooks and rules.
fn kinds() -> Vec<Value> {
    let mut rows: Vec<&Resource> = Resource::all().chain([EPHEMERAL_CONTAINERS]).collect();
    rows.sort_by_key(|row| (row.resource, row.path_group(), std::cmp::Reverse(row.operations.len())));
    let rows = rows.into_iter().map(|row| {
        let mut kind = json!({
            "key": key(Kinds::Resource(row)),
            "resource": row.resource,
            "deletion": row.is_deletion(),
            "selected": row.is_namespaced || row.resource == "namespaces",
            "rule": {
                "apiGroups": [row.path_group()],
                "apiVersions": ["*"],
                "operations": row.operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>(),
                "resources": row.names().collect::<Vec<_>>(),
                "scope": if row.is_namespaced { "Namespaced" } else { "Cluster" },
            },
        });
        if let Some(condition) = row.condition {
            kind["condition"] = json!({"name": condition.name, "expression": condition.expression});
        }
        if row.is_secret() || row.condition.is_some() {
            kind["alone"] = true.into();
        }
        kind
    });
    std::iter::once(json!({"key": "pods"})).chain(rows).collect()
}

/// A kind of Kubernetes' own that an instance may name by its kind alone.
fn named(known: &Known) -> (String, Value) {
    let named = NamedKind::new(None, known.kind, None).expect("a known kind");
    let below: Vec<String> = named.names().skip(1).map(|(name, _)| name.into_owned()).collect();
    let row = json!({
        "group": known.group,
        "resource": known.resource,
        "scope": if known.is_namespaced { "Namespaced" } else { "Cluster" },
        "below": below,
        "warns": named.is_service_account(),
        "alone": named.is_secret(),
    });
    (known.kind.to_owned(), row)
}

fn workload(row: &Workload) -> Value {
    json!({"group": row.group, "resource": row.resource, "fixed": row.is_pod() || row.is_immutable})
}

fn ending((end, remove, add): &(&str, usize, &str)) -> Value {
    json!({"end": end, "remove": remove, "add": add})
}
