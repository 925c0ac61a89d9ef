//! The fields of a RoleBinding and of a ClusterRoleBinding that policies read.

use serde::Deserialize;

use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;
use crate::steps::counted;

/// A RoleBinding.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct RoleBinding<'a>(#[serde(borrow)] Grant<'a>);

impl<'a> RoleBinding<'a> {
    /// What it grants, and to whom.
    pub fn grant(&self) -> &Grant<'a> {
        &self.0
    }
}

/// A ClusterRoleBinding.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct ClusterRoleBinding<'a>(#[serde(borrow)] Grant<'a>);

impl<'a> ClusterRoleBinding<'a> {
    /// What it grants, and to whom.
    pub fn grant(&self) -> &Grant<'a> {
        &self.0
    }
}

/// A role, and the subjects that have it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Grant<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    role_ref: Option<RoleRef<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    subjects: List<Subject<'a>>,
}

impl<'a> Grant<'a> {
    /// `roleRef`
    pub fn role(&self) -> Option<&RoleRef<'a>> {
        self.role_ref.as_ref()
    }

    /// `subjects`
    pub fn subjects(&self) -> impl Iterator<Item = &Subject<'a>> {
        counted(self.subjects.iter())
    }
}

/// The role of a binding.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RoleRef<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    name: Text<'a>,
}

impl RoleRef<'_> {
    /// `Role` or `ClusterRole`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Somebody who has the role of a binding.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Subject<'a> {
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "mapping::or_default")]
    namespace: Text<'a>,
}

impl Subject<'_> {
    /// `User`, `Group` or `ServiceAccount`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of a ServiceAccount.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}
