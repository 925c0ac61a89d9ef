//! The fields of an Ingress that policies read.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;
use crate::steps::counted;

/// An Ingress.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ingress<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    ingress_class_name: Option<Text<'a>>,
    #[serde(deserialize_with = "is_set")]
    default_backend: bool,
    #[serde(borrow, deserialize_with = "mapping::list")]
    tls: List<Tls<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    rules: List<Rule<'a>>,
}

/// An entry of `spec.tls`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tls<'a> {
    #[serde(borrow, deserialize_with = "mapping::texts")]
    hosts: List<Text<'a>>,
}

/// An entry of `spec.rules`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rule<'a> {
    #[serde(borrow)]
    host: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    http: Option<Http<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Http<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    paths: List<PathRule<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PathRule<'a> {
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    backend: Option<Backend<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Backend<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    service: Option<Service<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Ingress<'_> {
    /// `spec.ingressClassName`; empty if it is absent.
    pub fn class(&self) -> &str {
        self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref()).unwrap_or_default()
    }

    /// True if `spec.defaultBackend` is set.
    pub fn has_default_backend(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.default_backend)
    }

    /// `spec.tls`
    pub fn tls(&self) -> impl Iterator<Item = &Tls<'_>> {
        counted(self.spec.iter().flat_map(|spec| spec.tls.iter()))
    }

    /// `spec.rules`
    pub fn rules(&self) -> impl Iterator<Item = &Rule<'_>> {
        counted(self.spec.iter().flat_map(|spec| spec.rules.iter()))
    }
}

impl Tls<'_> {
    /// `hosts`
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        counted(self.hosts.iter()).map(Text::as_str)
    }
}

impl Rule<'_> {
    /// `host`; empty, which is every host, if it is absent.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_default()
    }

    /// `http.paths[*].path`; empty where one is absent.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        counted(self.http.iter().flat_map(|http| http.paths.iter()))
            .map(|rule| rule.path.as_deref().unwrap_or_default())
    }

    /// The first of `http.paths`: its path, and the name of its Service. Empty where one is absent.
    pub fn first_service(&self) -> Option<(&str, &str)> {
        let first = self.http.as_ref()?.paths.iter().next()?;
        let service = first.backend.as_ref().and_then(|backend| backend.service.as_ref());
        let name = service.and_then(|service| service.name.as_deref());
        Some((first.path.as_deref().unwrap_or_default(), name.unwrap_or_default()))
    }
}

/// True for any value but `null`.
fn is_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}
