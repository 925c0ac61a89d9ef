//! `missing-right`: a right that the server needs and does not have.

use super::{Seen, Trap};
use crate::snapshot::Snapshot;

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Resource.
    pub resource: &'static str,
    /// Name of the one object; empty for all.
    pub name: &'static str,
    /// Verb.
    pub verb: &'static str,
    /// Set where the right holds in our namespace only.
    pub is_namespaced: bool,
}

/// Rights of the server without further settings: group, resources, name, verbs (`deploy/base/rbac.yaml`).
const ALWAYS: [(&str, &[&str], &str, &[&str]); 11] = [
    ("", &["serviceaccounts", "namespaces"], "", &["get", "list", "watch"]),
    ("networking.k8s.io", &["networkpolicies"], "", &["list", "watch"]),
    ("cilium.io", &["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"], "", &["list", "watch"]),
    ("projectcalico.org", &["networkpolicies", "globalnetworkpolicies"], "", &["list", "watch"]),
    ("crd.projectcalico.org", &["networkpolicies", "globalnetworkpolicies"], "", &["list", "watch"]),
    ("policy.networking.k8s.io", &["clusternetworkpolicies"], "", &["list", "watch"]),
    ("", &["pods"], "", &["list", "watch"]),
    ("", &["replicationcontrollers"], "", &["get"]),
    ("apps", &["replicasets", "deployments", "statefulsets", "daemonsets"], "", &["get"]),
    ("batch", &["jobs", "cronjobs"], "", &["get"]),
    (
        "admissionregistration.k8s.io",
        &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        "portcullis",
        &["list", "watch"],
    ),
];
/// The same for a certificate that the server makes: these in the cluster, and those in our namespace.
const CERTIFICATE: [(&str, &[&str], &str, &[&str]); 1] = [(
    "admissionregistration.k8s.io",
    &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
    "portcullis",
    &["patch"],
)];
const SECRET: [(&str, &[&str], &str, &[&str]); 2] = [
    ("", &["secrets"], "", &["create"]),
    ("", &["secrets"], "portcullis-certificate", &["get", "list", "watch", "update"]),
];

/// The same for `webhooks: {drift: repair}`, and for `--fallback-to-last-good`.
const REPAIR: [(&str, &[&str], &str, &[&str]); 2] = [
    ("coordination.k8s.io", &["leases"], "", &["create"]),
    ("coordination.k8s.io", &["leases"], "portcullis-webhooks", &["get", "update"]),
];
const REPLICAS: [(&str, &[&str], &str, &[&str]); 1] = [("discovery.k8s.io", &["endpointslices"], "", &["list"])];

/// Settings of a server that need rights of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// It makes its own certificate.
    pub certificate: bool,
    /// It repairs the webhook configurations.
    pub repair: bool,
    /// It asks the other replicas for their configuration.
    pub replicas: bool,
}

/// The rights that the server needs, one verb each.
pub fn needed(needs: Needs) -> Vec<Right> {
    let patches = needs.certificate || needs.repair;
    let in_cluster = ALWAYS.iter().chain(patches.then_some(&CERTIFICATE).into_iter().flatten());
    let certificate = needs.certificate.then_some(&SECRET).into_iter().flatten();
    let repair = needs.repair.then_some(&REPAIR).into_iter().flatten();
    let in_namespace = certificate.chain(repair).chain(needs.replicas.then_some(&REPLICAS).into_iter().flatten());
    let rows = in_cluster.map(|row| (row, false)).chain(in_namespace.map(|row| (row, true)));
    rows.flat_map(|((group, resources, name, verbs), is_namespaced)| {
        resources.iter().flat_map(move |resource| {
            verbs.iter().map(move |verb| Right { group, resource, name, verb, is_namespaced })
        })
    })
    .collect()
}

pub(super) fn traps(seen: &Seen, _: &Snapshot) -> Vec<Trap> {
    let trap = |right: &Right| {
        let Right { group, resource, name, verb, is_namespaced } = right;
        let qualified = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
        let named = if name.is_empty() { String::new() } else { format!(" named {name}") };
        let place = if *is_namespaced { format!(" in namespace {}", seen.target.namespace) } else { String::new() };
        Trap::new(
            "missing-right",
            format!("the ServiceAccount of Portcullis: {verb} {qualified}{named}{place}"),
            "is denied: what depends on it is unknown, and refused where a policy enforces",
            "apply the ClusterRole and the Role of the chart or of deploy/base/rbac.yaml",
        )
    };
    seen.denied.iter().map(trap).collect()
}
