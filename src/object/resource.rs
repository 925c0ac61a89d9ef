//! The kinds without pods that policies judge: one table for reading objects, webhook rules and the pages.
//!
//! A row names a resource, and the struct with the fields that policies read of its objects. The struct has a file of its own
//! in `resource/`. It borrows from the request, and skips the fields that it does not name. Structs and lists inside it are read
//! by the functions of `mapping`, so that an array is not taken for a struct and memory is bounded.

mod condition;
mod config_map;
mod connect;
mod gateway;
mod ingress;
mod network_policy;
mod peer_authentication;
mod role;
mod role_binding;
mod route;
mod secret;
mod service;
mod service_account;
#[cfg(test)]
mod tests;
mod token_request;

use std::marker::PhantomData;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mapping::Mapping;
use super::path::Path;
use super::read::parse;
use super::{Unread, Unreadable, unchanged};
use crate::operation::Operation;
use condition::{NOT_BY_KUBELETS, OF_TOKENS};

/// Ephemeral containers that are added to a Pod. No row of the table: the object is a Pod, which is read as such.
pub const EPHEMERAL_CONTAINERS: &Resource = &Resource {
    group: "",
    kind: "Pod",
    resource: "pods/ephemeralcontainers",
    operations: &[Operation::Update],
    ..PLAIN
};

pub use condition::Condition;
pub use config_map::ConfigMap;
pub use connect::{
    ConnectOptions, NodeProxyOptions, PodAttachOptions, PodExecOptions, PodPortForwardOptions, PodProxyOptions,
    ServiceProxyOptions,
};
pub use gateway::{Gateway, GrpcRoute, GrpcRouteRule, HttpRoute, HttpRouteRule, Listener, ParentRef};
pub use ingress::{Ingress, Rule as IngressRule};
pub use network_policy::NetworkPolicy;
pub(crate) use network_policy::{LabelSelector, Peer, Port, PortNumber};
pub use peer_authentication::PeerAuthentication;
pub use role::{Aggregation, ClusterRole, Role, Rule};
pub use role_binding::{ClusterRoleBinding, Grant, RoleBinding, RoleRef, Subject};
pub use route::{Route, RouteTls};
pub use secret::{Secret, TOKEN_TYPE};
pub use service::Service;
pub use service_account::ServiceAccount;
pub use token_request::TokenRequest;

/// Makes the constants of the table, and [`Content`] with a variant for each struct.
macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident $(: $kind:ident $(<$life:lifetime>)?)? = $row:expr;)*) => {
        $($(#[$doc])* pub const $name: &Resource = &$row;)*

        /// Every row.
        const RESOURCES: &[&Resource] = &[$($name),*];

        /// Fields of an object that policies read besides its metadata and its pods.
        #[derive(Debug)]
        pub enum Content<'a> {
            /// Nothing: no row with a struct is of its kind.
            None(PhantomData<&'a ()>),
            $($(#[doc = concat!("The fields of a ", stringify!($kind), ".")] $kind(Box<$kind $(<$life>)?>),)?)*
        }

        impl<'a> Content<'a> {
            /// Reads an object of that resource.
            pub(super) fn read(resource: &Resource, source: &mut Source<'a, '_>) -> Result<Self, Unreadable> {
                $($(if resource == $name {
                    return source.read().map(Self::$kind);
                })?)*
                Ok(Self::default())
            }
        }

        $($(impl<'a> FromContent<'a> for $kind $(<$life>)? {
            fn from_content<'r>(content: &'r Content<'a>) -> Option<&'r Self> {
                if let Content::$kind(read) = content { Some(read) } else { None }
            }
        })?)*
    };
}

/// Group of Roles and their bindings.
const RBAC: &str = "rbac.authorization.k8s.io";
/// Group of Gateways and their routes.
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Groups that are not of Kubernetes itself: a cluster need not serve their kinds.
const ADDED: [&str; 3] = [GATEWAY_API, "route.openshift.io", "security.istio.io"];

/// The fields of a row that does not say otherwise: objects in namespaces, created or updated.
const PLAIN: Resource = Resource {
    group: "",
    kind: "",
    resource: "",
    operations: &[Operation::Create, Operation::Update],
    subresources: &[],
    harmless: &[],
    is_namespaced: true,
    parent_group: None,
    condition: None,
};

/// The row of a kind of such a group, in namespaces, of which the spec alone is read.
const fn added(group: &'static str, kind: &'static str, resource: &'static str) -> Resource {
    Resource {
        group,
        kind,
        resource,
        harmless: &[("status", "It changes the status, and leaves the spec as it is.")],
        ..PLAIN
    }
}

/// The row of the options of a subresource that is connected to.
const fn connect(kind: &'static str, resource: &'static str) -> Resource {
    Resource { kind, resource, operations: &[Operation::Connect], ..PLAIN }
}

/// A row of NetworkPolicies.
const fn network_policies(operations: &'static [Operation]) -> Resource {
    Resource { group: "networking.k8s.io", kind: "NetworkPolicy", resource: "networkpolicies", operations, ..PLAIN }
}

resources! {
    // A row without a struct, `NAME = Resource {…};`, is of objects of which policies read the metadata alone.
    /// ServiceAccounts.
    SERVICE_ACCOUNTS: ServiceAccount = Resource {
        group: "",
        kind: "ServiceAccount",
        resource: "serviceaccounts",
        ..PLAIN
    };
    /// Roles.
    ROLES: Role<'a> = Resource {
        group: RBAC,
        kind: "Role",
        resource: "roles",
        ..PLAIN
    };
    /// ClusterRoles.
    CLUSTER_ROLES: ClusterRole<'a> = Resource {
        group: RBAC,
        kind: "ClusterRole",
        resource: "clusterroles",
        is_namespaced: false,
        ..PLAIN
    };
    /// RoleBindings.
    ROLE_BINDINGS: RoleBinding<'a> = Resource {
        group: RBAC,
        kind: "RoleBinding",
        resource: "rolebindings",
        ..PLAIN
    };
    /// ClusterRoleBindings.
    CLUSTER_ROLE_BINDINGS: ClusterRoleBinding<'a> = Resource {
        group: RBAC,
        kind: "ClusterRoleBinding",
        resource: "clusterrolebindings",
        is_namespaced: false,
        ..PLAIN
    };
    /// NetworkPolicies.
    NETWORK_POLICIES: NetworkPolicy<'a> = network_policies(&[Operation::Create, Operation::Update]);
    /// Namespaces.
    NAMESPACES = Resource {
        group: "",
        kind: "Namespace",
        resource: "namespaces",
        // Both keep new labels (`K/pkg/registry/core/namespace/strategy.go`).
        subresources: &["status", "finalize"],
        is_namespaced: false,
        ..PLAIN
    };
    /// Namespaces that are created.
    NEW_NAMESPACES = Resource {
        group: "",
        kind: "Namespace",
        resource: "namespaces",
        operations: &[Operation::Create],
        is_namespaced: false,
        ..PLAIN
    };
    /// Services. An update of the status keeps new annotations.
    SERVICES: Service<'a> = Resource {
        group: "",
        kind: "Service",
        resource: "services",
        subresources: &["status"],
        ..PLAIN
    };
    /// Ingresses. An update of the status keeps new annotations.
    INGRESSES: Ingress<'a> = Resource {
        group: "networking.k8s.io",
        kind: "Ingress",
        resource: "ingresses",
        subresources: &["status"],
        ..PLAIN
    };
    /// Gateways.
    GATEWAYS: Gateway<'a> = added(GATEWAY_API, "Gateway", "gateways");
    /// HTTPRoutes.
    HTTP_ROUTES: HttpRoute<'a> = added(GATEWAY_API, "HTTPRoute", "httproutes");
    /// GRPCRoutes.
    GRPC_ROUTES: GrpcRoute<'a> = added(GATEWAY_API, "GRPCRoute", "grpcroutes");
    /// Routes of OpenShift.
    ROUTES: Route<'a> = added("route.openshift.io", "Route", "routes");
    /// PeerAuthentications of Istio.
    PEER_AUTHENTICATIONS: PeerAuthentication<'a> = added("security.istio.io", "PeerAuthentication", "peerauthentications");
    /// Commands that are run in a container.
    POD_EXEC: PodExecOptions<'a> = connect("PodExecOptions", "pods/exec");
    /// Connections to the process of a container.
    POD_ATTACH: PodAttachOptions<'a> = connect("PodAttachOptions", "pods/attach");
    /// Connections to ports of a Pod.
    POD_PORT_FORWARD: PodPortForwardOptions<'a> = connect("PodPortForwardOptions", "pods/portforward");
    /// HTTP requests to a Pod through the API server.
    POD_PROXY: PodProxyOptions<'a> = connect("PodProxyOptions", "pods/proxy");
    /// HTTP requests to a Service through the API server.
    SERVICE_PROXY: ServiceProxyOptions<'a> = connect("ServiceProxyOptions", "services/proxy");
    /// HTTP requests to a kubelet through the API server.
    NODE_PROXY: NodeProxyOptions<'a> = Resource { is_namespaced: false, ..connect("NodeProxyOptions", "nodes/proxy") };
    /// ConfigMaps.
    CONFIG_MAPS: ConfigMap<'a> = Resource {
        group: "",
        kind: "ConfigMap",
        resource: "configmaps",
        ..PLAIN
    };
    /// Secrets of every type.
    SECRETS: Secret<'a> = Resource { kind: "Secret", resource: "secrets", ..PLAIN };
    /// Secrets that hold a token of a ServiceAccount. Nothing changes the type of a Secret.
    TOKEN_SECRETS = Resource { kind: "Secret", resource: "secrets", condition: Some(OF_TOKENS), ..PLAIN };
    /// Requests for tokens of ServiceAccounts, but for those of kubelets.
    TOKEN_REQUESTS: TokenRequest<'a> = Resource {
        group: "authentication.k8s.io",
        kind: "TokenRequest",
        resource: "serviceaccounts/token",
        operations: &[Operation::Create],
        parent_group: Some(""),
        condition: Some(NOT_BY_KUBELETS),
        ..PLAIN
    };
    /// ServiceAccounts that are created.
    NEW_SERVICE_ACCOUNTS = Resource {
        group: "",
        kind: "ServiceAccount",
        resource: "serviceaccounts",
        operations: &[Operation::Create],
        ..PLAIN
    };
    /// NetworkPolicies that are changed.
    CHANGED_NETWORK_POLICIES = network_policies(&[Operation::Update]);
    /// NetworkPolicies that are deleted.
    DELETED_NETWORK_POLICIES = network_policies(&[Operation::Delete]);
}

/// A resource of the API that policies judge by itself, and the operations that they are asked about.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Kind of the objects that are sent, as in `kind:`.
    pub kind: &'static str,
    /// Plural name, with the subresource behind a slash where policies act on that.
    pub resource: &'static str,
    /// Operations that policies are asked about.
    pub operations: &'static [Operation],
    /// Subresources that webhook rules name beside the resource itself, since what policies read can change through them, such
    /// as `status` of a Namespace, which keeps new labels.
    pub subresources: &'static [&'static str],
    /// Subresources through which nothing can change that policies read, each with the reason.
    pub harmless: &'static [(&'static str, &'static str)],
    /// True if its objects are namespaced.
    pub is_namespaced: bool,
    /// API group of the resource that it is a subresource of, where that is not the group of its kind.
    pub parent_group: Option<&'static str>,
    /// Requests that are sent, where not all are: what others are about is nothing to the policies of the row.
    pub condition: Option<Condition>,
}

impl Resource {
    /// The subresource; empty for the resource itself.
    pub fn subresource(&self) -> &'static str {
        self.resource.split_once('/').map_or("", |(_, subresource)| subresource)
    }

    /// API group in the path of a request, as webhook rules name it.
    pub fn path_group(&self) -> &'static str {
        self.parent_group.unwrap_or(self.group)
    }

    /// True for Secrets.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }

    /// The resource and its subresources as webhook rules name them.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let below = self.subresources.iter().map(|subresource| format!("{}/{subresource}", self.resource));
        std::iter::once(self.resource.to_owned()).chain(below)
    }

    /// True if what policies read can change through a subresource (empty for the resource itself). One that the row does not
    /// name counts as the resource: webhook rules may send more than ours do.
    pub fn changes_through(&self, subresource: &str) -> bool {
        let is_harmless = || self.harmless.iter().any(|(harmless, _)| *harmless == subresource);
        subresource == self.subresource() || self.subresource().is_empty() && !is_harmless()
    }

    /// True if policies are asked about deletions. Such a row has no other operation: a webhook sends deletions by themselves.
    pub fn is_deletion(&self) -> bool {
        self.operations == [Operation::Delete]
    }

    /// True for a kind that is not of Kubernetes itself, which a cluster need not serve.
    pub fn is_added(&self) -> bool {
        ADDED.contains(&self.group)
    }

    /// Every row.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        RESOURCES.iter().copied()
    }

    /// The row of a kind.
    pub fn find(group: &str, kind: &str) -> Option<&'static Self> {
        Self::all().find(|row| row.kind == kind && row.group == group)
    }
}

/// The struct of a row.
pub trait FromContent<'a>: Sized {
    /// The struct, if the object is of its kind.
    fn from_content<'r>(content: &'r Content<'a>) -> Option<&'r Self>;
}

/// An object as it was received, and the other one of an update where a part that is equal in both may be left out.
pub(super) struct Source<'a, 'o> {
    pub(super) raw: &'a RawValue,
    pub(super) other: Option<&'o RawValue>,
    /// Fields that were left out.
    pub(super) unread: Vec<Unread>,
}

impl<'a> Source<'a, '_> {
    fn read<T: Default + Deserialize<'a>>(&mut self) -> Result<Box<T>, Unreadable> {
        let read = match self.other {
            None => parse::<Mapping<T>>(self.raw, &Path::root())?.0,
            Some(_) => unchanged::fields(self.raw, self.other, &Path::root(), &mut self.unread)?,
        };
        Ok(Box::new(read))
    }
}

impl Default for Content<'_> {
    fn default() -> Self {
        Self::None(PhantomData)
    }
}
