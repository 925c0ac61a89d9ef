//! The fields of a request for a token that policies read.

use serde::Deserialize;

use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;

/// Lifetime of a token where a request says none (`K/pkg/apis/authentication/v1/defaults.go`), in seconds.
const DEFAULT: i64 = 3600;

/// A request for a token of a ServiceAccount.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokenRequest<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    expiration_seconds: Option<i64>,
    #[serde(borrow, deserialize_with = "mapping::texts")]
    audiences: List<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    bound_object_ref: Option<Bound<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bound<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl TokenRequest<'_> {
    /// `spec.expirationSeconds`; 3,600 if it is absent.
    pub fn seconds(&self) -> i64 {
        self.spec.as_ref().and_then(|spec| spec.expiration_seconds).unwrap_or(DEFAULT)
    }

    /// `spec.audiences`
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.spec.iter().flat_map(|spec| spec.audiences.iter()).map(Text::as_str)
    }

    /// Kind and name of `spec.boundObjectRef`; `None` if the token is bound to the ServiceAccount alone.
    pub fn bound_to(&self) -> Option<(&str, &str)> {
        let bound = self.spec.as_ref()?.bound_object_ref.as_ref()?;
        Some((bound.kind.as_deref().unwrap_or_default(), bound.name.as_deref().unwrap_or_default()))
    }
}
