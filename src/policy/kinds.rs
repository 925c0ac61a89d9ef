//! The kinds and operations that policies act on. Webhook rules, the scope sentence of a page and the choice of policies
//! for a request are derived from them.

use std::fmt;

use crate::object::NamedKind;
use crate::object::resource::Resource;
use crate::request::{Operation, Request};

/// Objects that a policy acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds<'k> {
    /// Pods and every kind that holds a pod template, created or updated.
    Pods,
    /// One resource of the table in `src/object/resource.rs`.
    Resource(&'static Resource),
    /// The kinds that the settings name, in the documentation of a policy. Where they are set, each is a `Named` one.
    Settings,
    /// One kind that settings name, created or updated.
    Named(&'k NamedKind),
}

impl Kinds<'_> {
    /// True if a policy on these objects is asked about the request. A request whose kind could not be read is taken for
    /// any.
    pub fn cover(self, request: &Request<'_>) -> bool {
        match self {
            Self::Pods => !request.is_out_of_scope() && request.operation != Operation::Delete,
            Self::Resource(row) => is_of(row, request),
            Self::Settings => false,
            Self::Named(named) => is_of_kind(named, request),
        }
    }

    /// True if these objects are judged when they are deleted, and only then.
    pub fn is_deletion(self) -> bool {
        matches!(self, Self::Resource(row) if row.is_deletion())
    }
}

/// True if a request is about a resource, or about a subresource through which what policies read of it can change.
fn is_of(row: &Resource, request: &Request<'_>) -> bool {
    let is_same = *request.kind.group == *row.group
        && *request.kind.kind == *row.kind
        && row.changes_through(&request.subresource);
    row.operations.contains(&request.operation) && (request.kind.kind.is_empty() || is_same)
}

/// True if a request creates or updates an object of a kind that settings name, or changes it through a subresource that is not
/// known to be harmless.
fn is_of_kind(named: &NamedKind, request: &Request<'_>) -> bool {
    let is_same = named.is(&request.kind.group, &request.kind.kind);
    matches!(request.operation, Operation::Create | Operation::Update)
        && !request.is_out_of_scope()
        && (request.kind.kind.is_empty() || is_same)
}

impl fmt::Display for Kinds<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = match self {
            Self::Pods => return out.write_str("Pods, and below the pod template in every kind that holds one"),
            Self::Settings => {
                return out.write_str("objects of the kinds that the settings name, when they are created or updated");
            }
            Self::Named(named) => return write!(out, "{} objects, when they are created or updated", named.kind),
            Self::Resource(row) => row,
        };
        if !row.subresource().is_empty() {
            let operations: Vec<&str> = row.operations.iter().map(|operation| operation.as_str()).collect();
            return write!(out, "{} requests to `{}`", operations.join(" and "), row.resource);
        }
        let verbs = row.operations.iter().map(|operation| match operation {
            Operation::Create => "created",
            Operation::Update => "updated",
            Operation::Delete => "deleted",
            Operation::Connect => "connected to",
        });
        write!(out, "{} objects, when they are {}", row.kind, verbs.collect::<Vec<_>>().join(" or "))
    }
}
