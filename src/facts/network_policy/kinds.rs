//! The kinds of network policies beside NetworkPolicy.

use serde_json::Value;

use super::written::{Misread, Object, misread};
use super::{NetworkPolicy, calico, cilium, cluster};
use crate::steps::uncounted;

/// The namespaces that a kind's policies are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each is for the namespace that it is in.
    Namespaced,
    /// Each is for the whole cluster.
    Clusterwide,
}

/// Who makes a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Cilium,
    Calico,
    Sig,
}

/// A kind of network policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyKind {
    /// API group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Resource, in the plural.
    pub resource: &'static str,
    /// The namespaces that it is for.
    pub scope: Scope,
    maker: Maker,
}

const fn kind(
    maker: Maker,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    resource: &'static str,
    scope: Scope,
) -> PolicyKind {
    PolicyKind { group, version, kind, resource, scope, maker }
}

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        kind(Maker::Cilium, "cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", Scope::Namespaced),
        kind(
            Maker::Cilium,
            "cilium.io",
            "v2",
            "CiliumClusterwideNetworkPolicy",
            "ciliumclusterwidenetworkpolicies",
            Scope::Clusterwide,
        ),
        kind(Maker::Calico, "projectcalico.org", "v3", "NetworkPolicy", "networkpolicies", Scope::Namespaced),
        kind(
            Maker::Calico,
            "projectcalico.org",
            "v3",
            "GlobalNetworkPolicy",
            "globalnetworkpolicies",
            Scope::Clusterwide,
        ),
        kind(Maker::Calico, "crd.projectcalico.org", "v1", "NetworkPolicy", "networkpolicies", Scope::Namespaced),
        kind(
            Maker::Calico,
            "crd.projectcalico.org",
            "v1",
            "GlobalNetworkPolicy",
            "globalnetworkpolicies",
            Scope::Clusterwide,
        ),
        kind(
            Maker::Sig,
            "policy.networking.k8s.io",
            "v1alpha2",
            "ClusterNetworkPolicy",
            "clusternetworkpolicies",
            Scope::Clusterwide,
        ),
    ];

    /// The kind of this name.
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        let is_it = |one: &Self| {
            one.kind == kind
                && api_version
                    .split_once('/')
                    .is_some_and(|(group, version)| (group, version) == (one.group, one.version))
        };
        Self::ALL.into_iter().find(is_it)
    }

    /// The resource with its group, as RBAC and kubectl name it.
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.resource, self.group)
    }

    /// Reads an object, which may hold several policies.
    ///
    /// # Errors
    /// If a field has the wrong type, or a selector cannot be parsed.
    pub fn read(&self, object: &Value, namespace: &str) -> Result<Vec<NetworkPolicy>, Misread> {
        let object = Object::of(object, "the object")?;
        let metadata = object.object("metadata")?;
        let name = metadata.text("name")?.unwrap_or_default();
        let is_ending = metadata.text("deletionTimestamp")?.is_some();
        let namespace = match self.scope {
            Scope::Clusterwide => None,
            Scope::Namespaced if namespace.is_empty() => {
                return Err(misread("metadata.namespace", "the name of a namespace"));
            }
            Scope::Namespaced => Some(namespace),
        };
        // It is kept for all that ask, so it has to be whole.
        let read = uncounted(|| match self.maker {
            Maker::Cilium => cilium::read(object, name, namespace),
            Maker::Calico => calico::read(object, name, namespace),
            Maker::Sig => cluster::read(object, name),
        })?;
        Ok(read.into_iter().map(|policy| NetworkPolicy { is_ending, ..policy }).collect())
    }
}
