//! The kinds without pods that policies judge: one table for reading objects, webhook rules and the pages.
//!
//! A row names a resource, and the struct with the fields that policies read of its objects. The struct has a file of its own
//! in `resource/`. It borrows from the request, and skips the fields that it does not name. Structs and lists inside it are read
//! by the functions of `mapping`, so that an array is not taken for a struct and memory is bounded.

mod config_map;
mod service_account;

use std::marker::PhantomData;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mapping::Mapping;
use super::path::Path;
use super::read::parse;
use super::{Unread, Unreadable, unchanged};
use crate::operation::Operation;

pub use config_map::ConfigMap;
pub use service_account::ServiceAccount;

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

resources! {
    // A row without a struct, `NAME = Resource {…};`, is of objects of which policies read the metadata alone.
    /// ServiceAccounts that are created.
    NEW_SERVICE_ACCOUNTS: ServiceAccount = Resource {
        group: "",
        kind: "ServiceAccount",
        resource: "serviceaccounts",
        operations: &[Operation::Create],
        subresources: &[],
        harmless: &[],
        is_namespaced: true,
    };
    /// ConfigMaps.
    CONFIG_MAPS: ConfigMap<'a> = Resource {
        group: "",
        kind: "ConfigMap",
        resource: "configmaps",
        operations: &[Operation::Create, Operation::Update],
        subresources: &[],
        harmless: &[],
        is_namespaced: true,
    };
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
}

impl Resource {
    /// The subresource; empty for the resource itself.
    pub fn subresource(&self) -> &'static str {
        self.resource.split_once('/').map_or("", |(_, subresource)| subresource)
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

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{FromContent as _, Resource, ServiceAccount};
    use crate::object::{Object, Unreadable, Workloads};
    use crate::operation::Operation;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    fn read<'a>(text: &'a str, other: Option<&str>) -> Result<Object<'a>, Unreadable> {
        Object::read_beside(raw(text), other.map(raw), Workloads::built_in().shape("", "ServiceAccount"))
    }

    #[test]
    fn a_resource_is_read_into_its_struct() {
        let text = r#"{"metadata":{"name":"web"},"secrets":[1],"automountServiceAccountToken":false}"#;
        let object = read(text, None).expect("readable");
        let account = ServiceAccount::from_content(object.content()).expect("a ServiceAccount");
        assert_eq!((object.metadata().name(), account.automount_service_account_token()), ("web", Some(false)));
        let other = Object::read(raw(text), Workloads::built_in().shape("example.com", "ServiceAccount"));
        assert!(ServiceAccount::from_content(other.expect("readable").content()).is_none(), "of another group");
    }

    #[test]
    fn every_row_is_of_a_resource_and_a_kind_of_its_own() {
        for (position, row) in Resource::all().enumerate() {
            assert!(Workloads::built_in().find(row.group, row.kind).is_none(), "{row:?} holds pod templates");
            // The struct of a kind is read for the first row.
            let is_same = |other: &&Resource| (other.group, other.kind) == (row.group, row.kind);
            assert_eq!(Resource::all().position(|other| is_same(&other)), Some(position), "{row:?}");
            // Objects are read on these alone: a CONNECT sends options, and a deletion the old object.
            let is_read = |operation: &Operation| matches!(operation, Operation::Create | Operation::Update);
            assert!(row.operations.iter().all(is_read), "{row:?}");
            assert!(
                row.subresources.iter().all(|below| row.harmless.iter().all(|(other, _)| other != below)),
                "{row:?}"
            );
        }
    }

    #[test]
    fn a_row_names_the_subresources_through_which_its_objects_change() {
        let row = |resource| Resource {
            group: "",
            kind: "Namespace",
            resource,
            operations: &[Operation::Update],
            subresources: &["status"],
            harmless: &[("finalize", "It changes the finalizers alone.")],
            is_namespaced: false,
        };
        let names: Vec<String> = row("namespaces").names().collect();
        assert_eq!(names, ["namespaces", "namespaces/status"]);
        for (resource, subresource, changes) in [
            ("namespaces", "", true),
            ("namespaces", "status", true),
            ("namespaces", "unheard-of", true),
            ("namespaces", "finalize", false),
            ("namespaces/status", "status", true),
            ("namespaces/status", "", false),
        ] {
            assert_eq!(row(resource).changes_through(subresource), changes, "{resource} {subresource}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_is_refused_unless_the_update_left_it_unchanged() {
        let text = r#"{"metadata":{"name":"web","uid":7},"automountServiceAccountToken":"no"}"#;
        let changed = text.replace("no", "yes");
        let place = |other| read(text, other).err().map(|error| error.path.to_string());
        assert_eq!(place(None).as_deref(), Some("metadata.uid"));
        assert_eq!(place(Some(&changed)).as_deref(), Some("automountServiceAccountToken"));
        let unchanged = read(text, Some(text)).expect("readable");
        let left: Vec<String> = unchanged.unread().iter().map(|field| field.place.shown()).collect();
        assert_eq!(left, ["metadata.uid", "automountServiceAccountToken"]);
        assert!(read("[false]", Some("[false]")).is_err(), "a list is not an object");
    }
}
