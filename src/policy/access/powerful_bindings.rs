//! `powerful-bindings`: forbids bindings to `cluster-admin`, and bindings to users and groups that mean everybody.
//!
//! Each subject is judged by itself, so that an update that adds none is an update that grants nothing new.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{CLUSTER_ROLE_BINDINGS, ClusterRoleBinding, ROLE_BINDINGS, RoleRef, Subject};
use crate::object::{Path, Place};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Users and groups that must not be subjects, and the reason.
const NOBODY: [(&str, &str); 5] = [
    ("system:masters", "members of this group bypass RBAC"),
    ("system:anonymous", "it is everybody who reaches the API server"),
    ("system:unauthenticated", "it is everybody who reaches the API server"),
    ("system:authenticated", "it is everybody who has signed in, and every ServiceAccount"),
    ("system:serviceaccounts", "it is every ServiceAccount, and so every Pod with a token"),
];
/// ClusterRoles of Kubernetes that read every Secret where they are bound.
const READERS: [&str; 2] = ["admin", "edit"];

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PowerfulBindings {
    /// Subjects that may have a role; a list replaces the default, which holds what kubeadm binds.
    allow: Vec<Bound>,
}

/// A subject, and the role that it may have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Entry")]
struct Bound(Entry);

impl TryFrom<Entry> for Bound {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, &'static str> {
        match (entry.kind, &entry.namespace) {
            (SubjectKind::ServiceAccount, None) => Err(
                "a ServiceAccount must have a namespace: without one, an account of that name in any namespace would be allowed",
            ),
            (SubjectKind::User | SubjectKind::Group, Some(_)) => Err("a User or Group must not have a namespace"),
            _ => Ok(Self(entry)),
        }
    }
}

/// An entry of the setting `allow`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    /// Kind of the subject.
    kind: SubjectKind,
    /// Name of the subject.
    name: String,
    /// Namespace of a ServiceAccount.
    #[serde(default)]
    namespace: Option<String>,
    /// The role, as in the binding.
    role_ref: Named,
    /// Namespace of the RoleBinding; if it is left out, any binding counts.
    #[serde(default)]
    binding_namespace: Option<String>,
}

/// Kinds of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

impl SubjectKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServiceAccount => "ServiceAccount",
        }
    }
}

/// A role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Kind of the role.
    kind: RoleKind,
    /// Name of the role.
    name: String,
}

/// Kinds of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum RoleKind {
    Role,
    ClusterRole,
}

impl RoleKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::ClusterRole => "ClusterRole",
        }
    }
}

impl Default for PowerfulBindings {
    /// `K/cmd/kubeadm/app`: the group of the administrator's kubeconfig, and the one ConfigMap that whoever joins reads first.
    fn default() -> Self {
        let bound = |kind, name: &str, role_kind, role: &str, namespace: Option<&str>| {
            Bound(Entry {
                kind,
                name: name.to_owned(),
                namespace: None,
                role_ref: Named { kind: role_kind, name: role.to_owned() },
                binding_namespace: namespace.map(str::to_owned),
            })
        };
        let admins = bound(SubjectKind::Group, "kubeadm:cluster-admins", RoleKind::ClusterRole, "cluster-admin", None);
        let role = "kubeadm:bootstrap-signer-clusterinfo";
        let joining = bound(SubjectKind::User, "system:anonymous", RoleKind::Role, role, Some("kube-public"));
        Self { allow: vec![admins, joining] }
    }
}

impl Policy for PowerfulBindings {
    const META: &'static Meta = &Meta {
        id: "powerful-bindings",
        title: "a binding that makes an administrator, or that gives a role to everybody",
        severity: Severity::Critical,
        since: "0.1.0",
        why: "A subject of cluster-admin owns the cluster, and a role of everybody is one that no attacker has to steal. The \
              ClusterRoles admin and edit read every Secret, so a ClusterRoleBinding to them is a warning.",
        fix: "bind a ClusterRole with the rights that are needed to a user, group or ServiceAccount of its own; who may be an \
              administrator is listed, by subject and role, in the setting allow",
        kinds: &[Kinds::Resource(CLUSTER_ROLE_BINDINGS), Kinds::Resource(ROLE_BINDINGS)],
        fields: &[
            Fields::of(&["roleRef.kind", "roleRef.name"]).allow(&[
                Allowed::Words(
                    "any role but the ClusterRole `cluster-admin`; `admin` and `edit` in a ClusterRoleBinding are a warning at most",
                ),
            ]),
            Fields::of(&["subjects[*].kind", "subjects[*].name"]).allow(&[
                Allowed::Words(
                    "any but `system:masters`, `system:anonymous`, `system:unauthenticated` and `system:authenticated`; of these, \
                     and of `cluster-admin`, those that the setting `allow` lists with the role, as `{kind, name, roleRef: {kind, name}}` of the subject \
                     and, if wanted, its `namespace` and the `bindingNamespace`; by default what kubeadm binds: the group \
                     `kubeadm:cluster-admins` to `cluster-admin`, and `system:anonymous` to the Role \
                     `kubeadm:bootstrap-signer-clusterinfo` in `kube-public`",
                ),
            ]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.1",
            name: "Ensure that the cluster-admin role is only used where required",
        }],
    };
}

impl Validator for PowerfulBindings {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(grant) = request.grant() else { return Ok(()) };
        let Some(role) = grant.role() else { return Ok(()) };
        let is_cluster_role = role.kind() == "ClusterRole";
        let is_admin = is_cluster_role && role.name() == "cluster-admin";
        for (position, subject) in grant.subjects().enumerate() {
            // ServiceAccounts have names of their own.
            let named = NOBODY.iter().find(|(name, _)| *name == subject.name() && subject.kind() != "ServiceAccount");
            if named.is_none() && !is_admin || self.allows(request, role, subject) {
                continue;
            }
            let place = SubjectAt(position);
            let (kind, name) = (role.kind(), quoted(role.name()));
            match named {
                Some((group, why)) => report.add(place, format_args!("must not be {group:?}: {why} ({kind} {name})")),
                None => {
                    let (kind, name) = (quoted(subject.kind()), quoted(subject.name()));
                    report.add(place, format_args!("must not be {name} ({kind}), who would have cluster-admin"));
                }
            }
        }
        let is_everywhere = request.object_as::<ClusterRoleBinding<'_>>().is_some();
        if is_everywhere && is_cluster_role && READERS.contains(&role.name()) && grant.subjects().next().is_some() {
            let message =
                format_args!("must not be {} in every namespace: it reads their Secrets", quoted(role.name()));
            report.add_warning(Place::field(Path::root().fields("roleRef.name")), message);
        }
        Ok(())
    }
}

impl PowerfulBindings {
    fn allows(&self, request: &Request<'_>, role: &RoleRef<'_>, subject: &Subject<'_>) -> bool {
        self.allow.iter().any(|Bound(allowed)| {
            allowed.kind.as_str() == subject.kind()
                && allowed.name == subject.name()
                && allowed.namespace.as_deref().is_none_or(|namespace| namespace == subject.namespace())
                && allowed.role_ref.kind.as_str() == role.kind()
                && allowed.role_ref.name == role.name()
                && allowed.binding_namespace.as_deref().is_none_or(|namespace| namespace == &*request.namespace)
        })
    }
}

/// The place of a subject, which is written out only if the finding is kept.
struct SubjectAt(usize);

impl From<SubjectAt> for Place {
    fn from(SubjectAt(position): SubjectAt) -> Self {
        Self::field(Path::root().fields("subjects").index(position).fields("name"))
    }
}
