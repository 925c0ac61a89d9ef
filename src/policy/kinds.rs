//! The kinds and operations that policies act on. Webhook rules, the scope sentence of a page and the choice of policies
//! for a request are derived from them.

use std::fmt;

use crate::request::{Operation, Request};

/// Objects that a policy acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Pods and every kind that holds a pod template, created or updated.
    Pods,
    /// One resource.
    Resource(&'static Resource),
}

/// A resource of the API that a policy judges by itself, and the operations that it is asked about.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Kind of the objects that are sent, as in `kind:`.
    pub kind: &'static str,
    /// Plural name, with the subresource behind a slash where the policy acts on that.
    pub resource: &'static str,
    /// Operations that the policy is asked about.
    pub operations: &'static [Operation],
    /// Set where its objects live in namespaces.
    pub is_namespaced: bool,
}

/// ServiceAccounts that are created.
pub const NEW_SERVICE_ACCOUNTS: Kinds = Kinds::Resource(&Resource {
    group: "",
    kind: "ServiceAccount",
    resource: "serviceaccounts",
    operations: &[Operation::Create],
    is_namespaced: true,
});

impl Kinds {
    /// True if a policy on these objects is asked about the request. A request whose kind could not be read is taken for
    /// any.
    pub fn cover(self, request: &Request<'_>) -> bool {
        match self {
            Self::Pods => !request.is_out_of_scope() && request.operation != Operation::Delete,
            Self::Resource(row) => row.covers(request),
        }
    }
}

impl Resource {
    fn covers(&self, request: &Request<'_>) -> bool {
        let subresource = self.resource.split_once('/').map_or("", |(_, subresource)| subresource);
        let is_same = *request.kind.group == *self.group
            && *request.kind.kind == *self.kind
            && *request.subresource == *subresource;
        self.operations.contains(&request.operation) && (request.kind.kind.is_empty() || is_same)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = match self {
            Self::Pods => return out.write_str("Pods, and below the pod template in every kind that holds one"),
            Self::Resource(row) => row,
        };
        let verbs = row.operations.iter().map(|operation| match operation {
            Operation::Create => "created",
            Operation::Update => "updated",
            Operation::Delete => "deleted",
            Operation::Connect => "connected to",
        });
        write!(out, "{} objects, when they are {}", row.kind, verbs.collect::<Vec<_>>().join(" or "))
    }
}
