//! The generated objects.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference,
};

use super::plan::Workload;
use super::{DIGEST, Direction, LABEL, MANAGER, Settings};
use crate::digest::sha256;

/// Label that the API server gives each namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Resource version that no stored object has: an apply with it creates the object, and fails with a conflict where there is one.
const ABSENT: &str = "1";

/// The spec that lets a workload be reached from its own namespace and those in the settings.
pub(super) fn allow_ingress(selector: &LabelSelector, from: &BTreeSet<String>) -> NetworkPolicySpec {
    let mut peers =
        vec![NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }];
    if !from.is_empty() {
        let named = LabelSelectorRequirement {
            key: NAMESPACE_NAME.to_owned(),
            operator: "In".to_owned(),
            values: Some(from.iter().cloned().collect()),
        };
        let namespaces = LabelSelector { match_expressions: Some(vec![named]), ..LabelSelector::default() };
        peers.push(NetworkPolicyPeer { namespace_selector: Some(namespaces), ..NetworkPolicyPeer::default() });
    }
    NetworkPolicySpec {
        pod_selector: Some(selector.clone()),
        policy_types: Some(vec![Direction::Ingress.policy_type().to_owned()]),
        ingress: Some(vec![NetworkPolicyIngressRule { from: Some(peers), ports: None }]),
        egress: None,
    }
}

/// The spec that denies what no other policy allows, in these directions.
pub(super) fn default_deny(settings: &Settings) -> NetworkPolicySpec {
    let directions = &settings.directions;
    let denied = Direction::ALL.into_iter().filter(|one| directions.is_empty() || directions.contains(one));
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(denied.map(|one| one.policy_type().to_owned()).collect()),
        ..NetworkPolicySpec::default()
    }
}

/// The reference that has the garbage collector remove a policy with its workload. It holds up no deletion, which would need the
/// right to change the workload's finalizers.
pub(super) fn owner(workload: &Workload) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: workload.kind.as_str().to_owned(),
        name: workload.name.clone(),
        uid: workload.uid.clone(),
        controller: Some(false),
        block_owner_deletion: Some(false),
    }
}

/// The object as it is applied; `over` is the state that it replaces, and must still be there. Without one, there must be no policy
/// of this name.
pub fn generated(
    namespace: &str,
    name: &str,
    spec: NetworkPolicySpec,
    owner: Option<OwnerReference>,
    over: Option<&ObjectMeta>,
) -> NetworkPolicy {
    let version = over.and_then(|over| over.resource_version.clone());
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), MANAGER.to_owned())])),
            annotations: Some(BTreeMap::from([(DIGEST.to_owned(), digest(&spec))])),
            owner_references: owner.map(|owner| vec![owner]),
            uid: over.and_then(|over| over.uid.clone()),
            resource_version: Some(version.unwrap_or_else(|| ABSENT.to_owned())),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
    }
}

/// SHA-256 of a spec.
pub(super) fn digest(spec: &NetworkPolicySpec) -> String {
    sha256(&serde_json::to_vec(spec).unwrap_or_default())
}

/// A selector as an API server stores it: without empty lists and maps.
pub(super) fn normal(mut selector: LabelSelector) -> LabelSelector {
    for requirement in selector.match_expressions.iter_mut().flatten() {
        requirement.values = requirement.values.take().filter(|values| !values.is_empty());
    }
    selector.match_expressions = selector.match_expressions.filter(|list| !list.is_empty());
    selector.match_labels = selector.match_labels.filter(|labels| !labels.is_empty());
    selector
}
