//! The environment of a container, as far as its spec tells: values that are written there, and references.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::list::List;
use super::mapping::{self, Mapping};
use super::text::Text;

/// Source of the value of an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource<'r> {
    /// It is written in the container; empty if it is absent.
    Written(&'r str),
    /// A key of a Secret. The container starts without it where the reference is optional.
    Secret {
        /// `optional`
        is_optional: bool,
    },
    /// A key of a ConfigMap.
    ConfigMap {
        /// `optional`
        is_optional: bool,
    },
    /// A field of the Pod, a resource of a container, or a file.
    Other,
}

/// An entry of `env`.
#[derive(Debug)]
pub(super) struct Variable<'a> {
    pub(super) name: Text<'a>,
    pub(super) value: Text<'a>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Written,
    Secret { is_optional: bool },
    ConfigMap { is_optional: bool },
    Other,
}

impl Variable<'_> {
    pub(super) fn source(&self) -> ValueSource<'_> {
        match self.origin {
            Origin::Written => ValueSource::Written(&self.value),
            Origin::Secret { is_optional } => ValueSource::Secret { is_optional },
            Origin::ConfigMap { is_optional } => ValueSource::ConfigMap { is_optional },
            Origin::Other => ValueSource::Other,
        }
    }
}

/// An entry of `envFrom`: every key of a ConfigMap or of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundle {
    /// True for a Secret.
    pub is_secret: bool,
    /// True if the container starts without it.
    pub is_optional: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    optional: Option<bool>,
}

impl Reference {
    fn is_optional(&self) -> bool {
        self.optional == Some(true)
    }
}

/// The entries of `env`, in their order.
pub(super) fn variables<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<List<Variable<'a>>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Written<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        #[serde(borrow)]
        value: Option<&'a RawValue>,
        #[serde(deserialize_with = "mapping::optional")]
        value_from: Option<Source>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Source {
        #[serde(deserialize_with = "mapping::optional")]
        secret_key_ref: Option<Reference>,
        #[serde(deserialize_with = "mapping::optional")]
        config_map_key_ref: Option<Reference>,
    }
    let mut variables = List::default();
    mapping::each(deserializer, |_, Mapping(variable): Mapping<Written<'a>>| {
        // Manifests hold `value: true`. An API server refuses that, and it is nothing that a policy could judge.
        let text =
            |raw: &'a RawValue| raw.get().starts_with('"').then(|| serde_json::from_str::<Text<'a>>(raw.get()).ok());
        let value = variable.value.and_then(text).flatten().unwrap_or_default();
        // An API server takes no entry with both.
        let origin = match variable.value_from.filter(|_| value.is_empty()) {
            None => Origin::Written,
            Some(Source { secret_key_ref: Some(secret), .. }) => Origin::Secret { is_optional: secret.is_optional() },
            Some(Source { config_map_key_ref: Some(map), .. }) => Origin::ConfigMap { is_optional: map.is_optional() },
            Some(_) => Origin::Other,
        };
        variables.push(Variable { name: variable.name.unwrap_or_default(), value, origin })
    })?;
    Ok(variables)
}

/// The entries of `envFrom`.
pub(super) fn bundles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<List<Bundle>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Written {
        #[serde(deserialize_with = "mapping::optional")]
        secret_ref: Option<Reference>,
        #[serde(deserialize_with = "mapping::optional")]
        config_map_ref: Option<Reference>,
    }
    let mut bundles = List::default();
    mapping::each(deserializer, |_, Mapping(written): Mapping<Written>| {
        let (is_secret, reference) = match (written.secret_ref, written.config_map_ref) {
            (Some(secret), _) => (true, secret),
            (None, Some(map)) => (false, map),
            (None, None) => return Ok(()),
        };
        bundles.push(Bundle { is_secret, is_optional: reference.is_optional() })
    })?;
    Ok(bundles)
}
