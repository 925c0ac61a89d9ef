//! The objects, and the places in them, that an exception is about.

use std::fmt;

use super::{Name, Spot, Subject};
use crate::object::{Image, ImagePattern};

/// The objects that an exception is about. What is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Namespace. Without one, only objects that live in none match, and Namespaces.
    pub namespace: Option<String>,
    /// Kind.
    pub kind: Option<KindMatch>,
    /// Name.
    pub name: Option<NameMatch>,
    /// Names of containers: findings elsewhere are not covered.
    pub containers: Vec<String>,
    /// Images: of the container for findings on one, of all for others.
    pub images: Vec<ImagePattern>,
    /// Names of users.
    pub users: Vec<String>,
}

/// A kind, in one API group or in any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindMatch {
    /// The kind.
    pub kind: String,
    /// The API group; `None` for any.
    pub group: Option<String>,
}

/// A name, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameMatch {
    /// The whole name.
    Exact(String),
    /// The beginning, also of a name that the API server will generate.
    Prefix(String),
}

impl Match {
    /// True if it says nothing, and would match every object that lives in no namespace.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True if it names one object, by kind and whole name.
    pub(super) fn is_of_one(&self) -> bool {
        self.kind.is_some() && matches!(self.name, Some(NameMatch::Exact(_)))
    }

    /// True if an object matches, as far as its identity and the user go.
    pub(super) fn is_about(&self, subject: &Subject<'_>) -> bool {
        let is_there = match &self.namespace {
            Some(namespace) => namespace == subject.governed_by,
            None => subject.is_in_no_namespace,
        };
        is_there
            && self.is_for(subject.group, subject.kind, subject.name)
            && (self.users.is_empty() || self.users.iter().any(|user| user == subject.user))
    }

    /// True if an object of this group, kind and name matches in some namespace, for some user.
    pub fn is_for(&self, group: &str, kind: &str, name: Name<'_>) -> bool {
        self.kind.as_ref().is_none_or(|wanted| wanted.is(group, kind))
            && self.name.as_ref().is_none_or(|wanted| wanted.matches(name))
    }

    /// True if a place of an object is covered.
    pub(super) fn covers(&self, spot: &Spot<'_, '_>) -> bool {
        if self.containers.is_empty() && self.images.is_empty() {
            return true;
        }
        let is_named = |name: &str| self.containers.is_empty() || self.containers.iter().any(|known| known == name);
        let is_image = |image: Option<Image<'_>>| {
            self.images.is_empty() || image.is_some_and(|image| self.images.iter().any(|one| one.matches(&image)))
        };
        if let Some((name, image)) = spot.container() {
            return is_named(name) && is_image(image);
        }
        self.containers.is_empty() && !spot.images().is_empty() && spot.images().iter().copied().all(is_image)
    }

    /// The fields in which this matches more than `other`, or may.
    pub fn wider_than(&self, other: &Self) -> Vec<&'static str> {
        let is_kind = match (&self.kind, &other.kind) {
            (_, None) => true,
            (Some(kind), Some(other)) => kind.is_within(other),
            (None, Some(_)) => false,
        };
        let is_name = match (&self.name, &other.name) {
            (_, None) => true,
            (Some(name), Some(other)) => name.is_within(other),
            (None, Some(_)) => false,
        };
        let fields = [
            ("namespace", self.namespace == other.namespace),
            ("kind", is_kind),
            ("name", is_name),
            ("containers", is_part(&self.containers, &other.containers)),
            ("images", is_part(&self.images, &other.images)),
            ("users", is_part(&self.users, &other.users)),
        ];
        fields.into_iter().filter_map(|(field, is_within)| (!is_within).then_some(field)).collect()
    }
}

/// True if a list matches no more than another one; an empty list matches everything.
fn is_part<T: PartialEq>(list: &[T], other: &[T]) -> bool {
    other.is_empty() || (!list.is_empty() && list.iter().all(|item| other.contains(item)))
}

impl KindMatch {
    /// True if it is this kind.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.kind == kind && self.group.as_ref().is_none_or(|wanted| wanted == group)
    }

    fn is_within(&self, other: &Self) -> bool {
        self.kind == other.kind && (other.group.is_none() || self.group == other.group)
    }
}

impl fmt::Display for KindMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.kind)?;
        self.group.iter().try_for_each(|group| write!(out, ".{group}"))
    }
}

impl NameMatch {
    fn matches(&self, name: Name<'_>) -> bool {
        match (self, name) {
            (Self::Exact(wanted), Name::Exact(name)) => wanted == name,
            (Self::Exact(_), Name::Generated(_)) => false,
            (Self::Prefix(wanted), Name::Exact(name) | Name::Generated(name)) => name.starts_with(wanted),
        }
    }

    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(name), Self::Exact(other)) => name == other,
            (Self::Exact(name) | Self::Prefix(name), Self::Prefix(other)) => name.starts_with(other),
            (Self::Prefix(_), Self::Exact(_)) => false,
        }
    }
}
