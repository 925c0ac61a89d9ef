//! Instances of a policy: rules with names of their own, each for the kinds that it lists.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::{NamedKind, NamedKindError};
use crate::redaction::{redact, shortened};
use crate::request::Request;

/// Maximum number of instances of a policy.
const INSTANCES: usize = 64;
/// Maximum number of kinds of an instance.
const KINDS: usize = 64;
/// Maximum length of a name in bytes.
const NAME: usize = 63;
/// Characters of a value that are looked at before it is quoted.
const LOOKED_AT: usize = 256;
/// The annotation in which kubectl keeps the whole object.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A rule with a name, for some kinds.
pub(crate) trait Instance {
    /// The name, which messages repeat.
    fn name(&self) -> &Name;
    /// The kinds of the objects that it is about.
    fn kinds(&self) -> &[NamedKind];
    /// Strongest mode of its findings.
    fn mode(&self) -> InstanceMode;
}

/// The instances of a policy, each with another name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<T>", bound = "T: Deserialize<'de> + Instance")]
#[schemars(with = "Vec<T>")]
pub(crate) struct Instances<T> {
    all: Vec<T>,
    /// The kinds of all of them, each once.
    kinds: Vec<NamedKind>,
}

/// Strongest mode of the findings of an instance. The mode of the policy may be lower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InstanceMode {
    /// Its findings are warnings at most.
    Warn,
    /// Its findings have the mode of the policy.
    #[default]
    Enforce,
}

/// The name of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Name(String);

/// The kinds of an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<KindSetting>")]
#[schemars(with = "Vec<WrittenKind>")]
pub(crate) struct KindList(pub(super) Vec<NamedKind>);

#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenKind")]
struct KindSetting(NamedKind);

/// A kind. One of Kubernetes' own is named by its kind alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenKind {
    /// API group without its version; none for the core group, and for Kubernetes' own kinds.
    group: Option<String>,
    /// Kind, as in `kind:` of a manifest.
    kind: String,
    /// Plural name in the API's paths, of a kind that is not Kubernetes' own.
    resource: Option<String>,
}

/// Instances that cannot be used together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstancesError {
    #[error("must have an instance; leave the setting out to have none")]
    None,
    #[error("must have at most {INSTANCES} instances")]
    TooMany,
    #[error("must not have two instances with the name {0}")]
    Twice(String),
    #[error("must have a kind, such as {{kind: Deployment}}")]
    NoKind,
    #[error("must have at most {KINDS} kinds")]
    TooManyKinds,
    #[error("must not have the kind {0} twice")]
    KindTwice(String),
    #[error("must have a name of at most {NAME} lower-case letters, digits and hyphens, such as owner-label")]
    Name,
}

impl<T> Default for Instances<T> {
    fn default() -> Self {
        Self { all: Vec::new(), kinds: Vec::new() }
    }
}

impl<T: Instance> TryFrom<Vec<T>> for Instances<T> {
    type Error = InstancesError;

    fn try_from(all: Vec<T>) -> Result<Self, InstancesError> {
        if all.is_empty() {
            return Err(InstancesError::None);
        }
        if all.len() > INSTANCES {
            return Err(InstancesError::TooMany);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = all.iter().map(T::name).find(|name| !names.insert(*name)) {
            return Err(InstancesError::Twice(twice.0.clone()));
        }
        let kinds: BTreeSet<&NamedKind> = all.iter().flat_map(T::kinds).collect();
        let kinds = kinds.into_iter().cloned().collect();
        Ok(Self { all, kinds })
    }
}

impl<T: Instance> Instances<T> {
    /// Every instance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter()
    }

    /// The kinds of all instances, each once.
    pub(crate) fn kinds(&self) -> &[NamedKind] {
        &self.kinds
    }

    /// The instances for the kind of the object, and that kind.
    pub(crate) fn about<'i>(&'i self, request: &'i Request<'_>) -> impl Iterator<Item = (&'i T, &'i NamedKind)> {
        let is_it = |kind: &&NamedKind| kind.is(&request.kind.group, &request.kind.kind);
        self.all.iter().filter_map(move |instance| Some((instance, instance.kinds().iter().find(is_it)?)))
    }

    /// True if every instance for that kind only warns, and for a kind that is never refused.
    pub(crate) fn only_warn(&self, kind: &NamedKind) -> bool {
        let mut about = self.all.iter().filter(|instance| instance.kinds().contains(kind));
        kind.is_service_account() || about.all(|instance| instance.mode() == InstanceMode::Warn)
    }
}

impl TryFrom<String> for Name {
    type Error = InstancesError;

    fn try_from(text: String) -> Result<Self, InstancesError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=NAME).contains(&text.len())
            && text.bytes().all(is_plain)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if is_name { Ok(Self(text)) } else { Err(InstancesError::Name) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<WrittenKind> for KindSetting {
    type Error = NamedKindError;

    fn try_from(written: WrittenKind) -> Result<Self, NamedKindError> {
        let WrittenKind { group, kind, resource } = written;
        NamedKind::new(group.as_deref(), &kind, resource.as_deref()).map(Self)
    }
}

impl TryFrom<Vec<KindSetting>> for KindList {
    type Error = InstancesError;

    fn try_from(kinds: Vec<KindSetting>) -> Result<Self, InstancesError> {
        if kinds.is_empty() {
            return Err(InstancesError::NoKind);
        }
        if kinds.len() > KINDS {
            return Err(InstancesError::TooManyKinds);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = kinds.iter().find(|kind| !seen.insert((&kind.0.group, &kind.0.kind))) {
            return Err(InstancesError::KindTwice(twice.0.kind.to_string()));
        }
        Ok(Self(kinds.into_iter().map(|kind| kind.0).collect()))
    }
}

/// `: it is …`, the value under a key as messages show it; nothing for a value of a Secret, for the copy of an object, and where
/// key or value look like those of a secret.
pub(crate) fn it_is(kind: &NamedKind, key: &str, value: &str, shown: impl fmt::Display) -> impl fmt::Display {
    fmt::from_fn(move |out| {
        let begin = format!("{key}={}", shortened(value, LOOKED_AT));
        if kind.is_secret() || key == LAST_APPLIED || redact(&begin) != begin {
            return Ok(());
        }
        write!(out, ": it is {shown}")
    })
}
