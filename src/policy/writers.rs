//! Who writes what: the kinds whose writers are judged, the writers that settings list, and Kubernetes' own.
//!
//! Kubernetes' own components write most objects in the line of duty. They are known by their user names, for which an API server
//! vouches, and by nothing that stands in an object.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kinds;
use super::names::{Accounts, Groups, Users, name_user};
use crate::object::Object;
use crate::object::resource::{
    CONFIG_MAPS, GATEWAYS, GRPC_ROUTES, HTTP_ROUTES, INGRESSES, NETWORK_POLICIES, PEER_AUTHENTICATIONS, ROLE_BINDINGS,
    ROLES, ROUTES, SERVICE_ACCOUNTS, SERVICES,
};
use crate::object::unchanged::is_untouched;
use crate::request::{Operation, Request, User};

/// The kinds whose writers are judged: all that live in namespaces and say what runs there, and how it is reached.
pub(crate) const KINDS: &[Kinds<'static>] = &[
    Kinds::Pods,
    Kinds::Resource(SERVICES),
    Kinds::Resource(INGRESSES),
    Kinds::Resource(NETWORK_POLICIES),
    Kinds::Resource(ROLES),
    Kinds::Resource(ROLE_BINDINGS),
    Kinds::Resource(SERVICE_ACCOUNTS),
    Kinds::Resource(CONFIG_MAPS),
    Kinds::Resource(GATEWAYS),
    Kinds::Resource(HTTP_ROUTES),
    Kinds::Resource(GRPC_ROUTES),
    Kinds::Resource(ROUTES),
    Kinds::Resource(PEER_AUTHENTICATIONS),
];

/// Users of Kubernetes' own components. A scheduler is none of them: what it writes, bindings and statuses, is not judged.
const COMPONENTS: [&str; 3] = ["system:apiserver", CONTROLLER_MANAGER, "system:cloud-controller-manager"];
/// The user of all controllers where they share one.
pub(crate) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// Beginning of the user names of controllers that have a ServiceAccount each.
const CONTROLLER: &str = "system:serviceaccount:kube-system:";
/// The controllers of Kubernetes that write objects of such kinds
/// (`K/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`).
const CONTROLLERS: [&str; 16] = [
    // Of providers, as <https://kubernetes.io/docs/tasks/administer-cluster/running-cloud-controller> runs it.
    "cloud-controller-manager",
    // `cluster-info` in `kube-public`.
    "bootstrap-signer",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    // ownerReferences and finalizers.
    "generic-garbage-collector",
    "job-controller",
    // Pods that empty a volume.
    "persistent-volume-binder",
    "replicaset-controller",
    "replication-controller",
    // `kube-root-ca.crt` in every namespace.
    "root-ca-cert-publisher",
    // The ServiceAccount `default` of every namespace.
    "service-account-controller",
    // Finalizers of Services.
    "service-controller",
    "statefulset-controller",
    // Objects as they are, so that they are stored in a newer version.
    "storage-version-migrator-controller",
    // Pods whose node is gone.
    "pod-garbage-collector",
];

/// Those who may write.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Writers {
    /// Groups whose members may.
    groups: Groups,
    /// Users who may.
    users: Users,
    /// ServiceAccounts that may, such as that of a GitOps controller.
    service_accounts: Accounts,
}

impl Writers {
    /// True if the user is listed, or in a group that is.
    pub(crate) fn hold(&self, user: &User<'_>) -> bool {
        name_user(user, &self.users, &self.service_accounts, &self.groups)
    }
}

/// The user who writes an object of these kinds; `None` where Kubernetes itself does, where nothing changes, and for files and
/// stored objects, which nobody sends.
pub(crate) fn writer<'r, 'a>(kinds: &[Kinds<'_>], request: &'r Request<'a>) -> Option<&'r User<'a>> {
    let user = Some(&request.user).filter(|user| user.username.is_some() && !is_of_kubernetes(user))?;
    let is_write = matches!(request.operation, Operation::Create | Operation::Update);
    let is_judged = |kinds: &Kinds<'_>| match kinds {
        // They cover every kind that may hold pods. One of such a kind is judged without a template too.
        Kinds::Pods => kinds.cover(request) && request.object.as_ref().is_some_and(Object::is_workload),
        others => others.cover(request),
    };
    (is_write && kinds.iter().any(is_judged) && !changes_nothing(request)).then_some(user)
}

/// True for an update that leaves an object as it was, or takes finalizers off one that is being deleted. It reads both objects whole.
pub(crate) fn changes_nothing(request: &Request<'_>) -> bool {
    request.sent.zip(request.old).is_some_and(|(sent, old)| is_untouched(sent, old))
}

/// True for the components of Kubernetes, by the names that an API server gives them.
fn is_of_kubernetes(user: &User<'_>) -> bool {
    let name = user.name();
    let is_kubelet = || name.starts_with("system:node:") && user.is_in("system:nodes");
    let is_controller = || name.strip_prefix(CONTROLLER).is_some_and(|name| CONTROLLERS.contains(&name));
    COMPONENTS.contains(&name) || is_controller() || is_kubelet()
}

#[cfg(test)]
mod tests {
    use super::{CONTROLLERS, KINDS};
    use crate::facts::OwnerKind;
    use crate::object::resource::Resource;
    use crate::operation::Operation;
    use crate::policy::Kinds;

    #[test]
    fn every_kind_of_the_table_that_lives_in_a_namespace_is_judged() {
        // Who writes Secrets is what `unmanaged-secrets` judges. A later row of a kind is of fewer operations.
        let is_judged = |row: &&Resource| {
            Resource::find(row.group, row.kind) == Some(*row) && !["Secret", "TokenRequest"].contains(&row.kind)
        };
        for row in Resource::all().filter(|row| row.is_namespaced).filter(is_judged) {
            let is_written = row.operations.iter().all(|operation| *operation != Operation::Connect);
            assert_eq!(KINDS.contains(&Kinds::Resource(row)), is_written, "{row:?}");
        }
    }

    #[test]
    fn every_controller_that_owns_pods_is_known() {
        for kind in OwnerKind::ALL {
            assert!(CONTROLLERS.contains(&kind.controller()), "{kind:?}");
        }
    }
}
