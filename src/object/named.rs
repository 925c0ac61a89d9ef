//! A kind that settings of a policy name, which is judged by its metadata, or by fields that the settings name too.
//!
//! Its objects are sent where a policy that names it acts, so that a kind is refused here, by name, if a webhook that nobody
//! answers would stop a heartbeat, keep a node out of the cluster, or lock administrators out.

mod known;

use std::borrow::Cow;

use super::plural::plural;
use crate::operation::Operation;
use known::{KNOWN, refusal};

pub use known::Known;

/// Longest label of a DNS name, in bytes.
const LABEL: usize = 63;
/// Maximum length of resource and group together, in bytes: the name of a webhook holds both, and has at most 253.
const NAMES: usize = 220;
/// Likeness from which on a kind is suggested.
const NEAR: f64 = 0.8;

/// A kind of objects, created or updated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedKind {
    /// API group, empty for the core group.
    pub group: Cow<'static, str>,
    /// Kind, as in `kind:`.
    pub kind: Cow<'static, str>,
    /// Plural resource name, as in the API's paths and in webhook rules.
    pub resource: Cow<'static, str>,
    /// The namespaces of its objects.
    pub scope: Scope,
}

/// The namespaces of the objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// They live in namespaces.
    Namespaced,
    /// They live in no namespace.
    Cluster,
    /// A kind of another project, which may do either.
    Unknown,
}

/// A kind that settings cannot name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamedKindError {
    /// A wildcard.
    #[error("must name one kind: * is refused, since it stands for leases, nodes and events too")]
    Wildcard,
    /// A subresource, such as `deployments/status`.
    #[error(
        "must not name a subresource, which {0} is: controllers, kubelets and autoscalers write status and scale all the time, and \
         a webhook that does not answer would stop them; name the resource itself"
    )]
    Subresource(String),
    /// The kind is refused by name, for a reason.
    #[error("must not be {0}, because {1}")]
    Refused(String, &'static str),
    /// The core group, by a name that it does not have.
    #[error("must have an empty group, or none, for a kind of the core group")]
    CoreGroup,
    /// A group with its version.
    #[error("must have the group without its version: {0}; every version is judged")]
    GroupWithVersion(String),
    /// Not a group.
    #[error("must have an API group, such as example.com, in lower case")]
    Group,
    /// Not a kind.
    #[error("must have the kind alone, as in `kind:` of a manifest, such as Deployment{0}")]
    Kind(String),
    /// Not one of Kubernetes' own kinds.
    #[error("must be a kind of Kubernetes, or have group, kind and resource: there is no {0}{1}")]
    Unknown(String, String),
    /// A kind of another project without its resource.
    #[error("must have the resource of {0} too, as `kubectl api-resources` names it, such as {1}")]
    NoResource(String, String),
    /// Not a resource.
    #[error("must have the resource as in the API's paths, in lower case and without its group, such as widgets")]
    Resource,
    /// A known kind with the resource of another, or the other way round.
    #[error("must not have kind {0} and resource {1}: {2}")]
    Contradiction(String, String, String),
    /// Names that are too long for the name of a webhook.
    #[error("must have a group and a resource of at most {NAMES} bytes together")]
    TooLong,
}

impl NamedKind {
    /// The kind of these names. One of Kubernetes' own is known by its kind alone.
    ///
    /// # Errors
    /// [`NamedKindError`] for names that could never match, and for kinds that are refused.
    pub fn new(group: Option<&str>, kind: &str, resource: Option<&str>) -> Result<Self, NamedKindError> {
        let is_star = |text: &str| text.contains('*');
        if group.is_some_and(is_star) || is_star(kind) || resource.is_some_and(is_star) {
            return Err(NamedKindError::Wildcard);
        }
        if let Some(name) = [Some(kind), resource].into_iter().flatten().find(|name| name.contains('/')) {
            return Err(NamedKindError::Subresource(shown(name)));
        }
        if let Some(group) = group {
            is_group(group)?;
        }
        if !is_kind(kind) {
            return Err(NamedKindError::Kind(suggestion(kind)));
        }
        if resource.is_some_and(|resource| !is_label(resource)) {
            return Err(NamedKindError::Resource);
        }
        let is_of_group = |known: &&Known| group.is_none_or(|group| known.group == group);
        if let Some(known) = KNOWN.iter().filter(is_of_group).find(|known| known.kind == kind) {
            return Self::of(known, resource);
        }
        let Some(group) = group.filter(|group| !group.is_empty()) else {
            if let Some(known) = KNOWN.iter().filter(is_of_group).find(|known| Some(known.resource) == resource) {
                Self::of(known, None)?;
            }
            return Err(NamedKindError::Unknown(shown(kind), suggestion(kind)));
        };
        let is_named = |known: &&Known| known.group == group && Some(known.resource) == resource;
        if let Some(known) = KNOWN.iter().find(is_named) {
            Self::of(known, None)?;
            return Err(contradiction(kind, known.resource, known));
        }
        if let Some(reason) = refusal(group, kind, resource.unwrap_or_default()) {
            return Err(NamedKindError::Refused(format!("{} of {group}", shown(kind)), reason));
        }
        let Some(resource) = resource else {
            return Err(NamedKindError::NoResource(shown(kind), plural(kind)));
        };
        if group.len() + resource.len() > NAMES {
            return Err(NamedKindError::TooLong);
        }
        let owned = |text: &str| Cow::Owned(text.to_owned());
        Ok(Self { group: owned(group), kind: owned(kind), resource: owned(resource), scope: Scope::Unknown })
    }

    fn of(known: &'static Known, resource: Option<&str>) -> Result<Self, NamedKindError> {
        if let Some(reason) = refusal(known.group, known.kind, known.resource) {
            return Err(NamedKindError::Refused(known.kind.to_owned(), reason));
        }
        if let Some(resource) = resource.filter(|resource| *resource != known.resource) {
            return Err(contradiction(known.kind, resource, known));
        }
        let borrowed = |text: &'static str| Cow::Borrowed(text);
        let scope = if known.is_namespaced { Scope::Namespaced } else { Scope::Cluster };
        let (group, kind) = (borrowed(known.group), borrowed(known.kind));
        Ok(Self { group, kind, resource: borrowed(known.resource), scope })
    }

    /// True for objects of this kind, whatever the version.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind == kind && self.group == group
    }

    /// True for Secrets, of which nothing but the metadata is read, and no value said.
    pub fn is_secret(&self) -> bool {
        self.is("", "Secret")
    }

    /// True for ServiceAccounts, which are never refused.
    pub fn is_service_account(&self) -> bool {
        self.is("", "ServiceAccount")
    }

    /// The resource and the subresources that webhook rules name, with the operations of each. A Pod's containers change through
    /// two subresources; no other is ever asked about.
    pub fn names(&self) -> impl Iterator<Item = (Cow<'_, str>, &'static [Operation])> {
        const BOTH: &[Operation] = &[Operation::Create, Operation::Update];
        let below: &[&str] = if self.is("", "Pod") { &["pods/ephemeralcontainers", "pods/resize"] } else { &[] };
        let below = below.iter().map(|name| (Cow::Borrowed(*name), &BOTH[1..]));
        std::iter::once((Cow::Borrowed(&*self.resource), BOTH)).chain(below)
    }

    /// Every kind of Kubernetes' own that settings can name by its kind alone.
    pub fn all_known() -> impl Iterator<Item = &'static Known> {
        KNOWN.iter().filter(|known| refusal(known.group, known.kind, known.resource).is_none())
    }
}

fn contradiction(kind: &str, resource: &str, known: &Known) -> NamedKindError {
    let (own, other) = (known.kind, known.resource);
    let right =
        if own == kind { format!("the resource of {own} is {other}") } else { format!("the kind of {other} is {own}") };
    NamedKindError::Contradiction(shown(kind), shown(resource), right)
}

/// A name as errors quote it.
fn shown(name: &str) -> String {
    name.chars().take(LABEL).flat_map(char::escape_debug).collect()
}

/// `; did you mean …?`, for a kind that is like one of Kubernetes' own.
fn suggestion(kind: &str) -> String {
    let kind = kind.split(['.', '/']).next().unwrap_or_default().to_lowercase();
    let likeness = |known: &Known| {
        let of = |name: &str| strsim::jaro_winkler(&kind, name);
        of(&known.kind.to_lowercase()).max(of(known.resource))
    };
    let nearest = NamedKind::all_known().map(|known| (likeness(known), known.kind));
    let nearest = nearest.filter(|(score, _)| *score >= NEAR).max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map_or_else(String::new, |(_, kind)| format!("; did you mean {kind}?"))
}

fn is_group(text: &str) -> Result<(), NamedKindError> {
    if ["core", "v1"].contains(&text) {
        return Err(NamedKindError::CoreGroup);
    }
    match text.split_once('/') {
        Some((group, _)) if group.split('.').all(is_label) => Err(NamedKindError::GroupWithVersion(shown(group))),
        None if text.is_empty() || text.split('.').all(is_label) => Ok(()),
        _ => Err(NamedKindError::Group),
    }
}

/// True for a kind as manifests write it: in letters and digits, the first of them large.
fn is_kind(text: &str) -> bool {
    (1..=LABEL).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// True for a label of RFC 1035 or 1123: groups and resources are made of them.
pub(crate) fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte == b'-' || is_plain(byte))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
