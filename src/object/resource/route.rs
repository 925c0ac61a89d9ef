//! The fields of an OpenShift Route that policies read.

use serde::Deserialize;

use crate::object::mapping;
use crate::object::text::Text;

/// A Route.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Route<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec<'a> {
    #[serde(borrow)]
    host: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    tls: Option<RouteTls<'a>>,
}

/// `spec.tls` of a Route.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RouteTls<'a> {
    #[serde(borrow)]
    termination: Option<Text<'a>>,
    #[serde(borrow)]
    insecure_edge_termination_policy: Option<Text<'a>>,
}

impl<'a> Route<'a> {
    /// `spec.host`; empty if it is absent.
    pub fn host(&self) -> &str {
        self.spec.as_ref().and_then(|spec| spec.host.as_deref()).unwrap_or_default()
    }

    /// `spec.path`; empty if it is absent.
    pub fn path(&self) -> &str {
        self.spec.as_ref().and_then(|spec| spec.path.as_deref()).unwrap_or_default()
    }

    /// `spec.tls`
    pub fn tls(&self) -> Option<&RouteTls<'a>> {
        self.spec.as_ref()?.tls.as_ref()
    }
}

impl RouteTls<'_> {
    /// `termination`; empty if it is absent.
    pub fn termination(&self) -> &str {
        self.termination.as_deref().unwrap_or_default()
    }

    /// `insecureEdgeTerminationPolicy`; empty, which is `None`, if it is absent.
    pub fn insecure_policy(&self) -> &str {
        self.insecure_edge_termination_policy.as_deref().unwrap_or_default()
    }
}
