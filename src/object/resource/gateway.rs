//! The fields of the Gateway API's kinds that policies read.

use serde::Deserialize;

use crate::object::list::List;
use crate::object::mapping;
use crate::object::text::Text;
use crate::steps::counted;

/// API group of Gateways.
const GROUP: &str = "gateway.networking.k8s.io";

/// A Gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Gateway<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<GatewaySpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GatewaySpec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    listeners: List<Listener<'a>>,
}

/// An entry of `spec.listeners`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listener<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    protocol: Option<Text<'a>>,
}

/// An HTTPRoute.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpRoute<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<HttpRouteSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HttpRouteSpec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    parent_refs: List<ParentRef<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    rules: List<HttpRouteRule<'a>>,
}

/// A rule of an HTTPRoute.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRouteRule<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    matches: List<Match<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    filters: List<Filter<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    backend_refs: List<BackendRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Match<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    path: Option<PathMatch<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PathMatch<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "mapping::optional")]
    request_redirect: Option<Redirect<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Redirect<'a> {
    #[serde(borrow)]
    scheme: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BackendRef<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// A GRPCRoute.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcRoute<'a> {
    #[serde(borrow, deserialize_with = "mapping::optional")]
    spec: Option<GrpcRouteSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GrpcRouteSpec<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    parent_refs: List<ParentRef<'a>>,
    #[serde(borrow, deserialize_with = "mapping::list")]
    rules: List<GrpcRouteRule<'a>>,
}

/// A rule of a GRPCRoute.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcRouteRule<'a> {
    #[serde(borrow, deserialize_with = "mapping::list")]
    backend_refs: List<BackendRef<'a>>,
}

/// An entry of `spec.parentRefs` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ParentRef<'a> {
    #[serde(borrow)]
    group: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    section_name: Option<Text<'a>>,
    port: Option<i64>,
}

impl Gateway<'_> {
    /// `spec.listeners`
    pub fn listeners(&self) -> impl Iterator<Item = &Listener<'_>> {
        counted(self.spec.iter().flat_map(|spec| spec.listeners.iter()))
    }
}

impl Listener<'_> {
    /// `name`; empty if it is absent.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// `protocol`; empty if it is absent.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or_default()
    }
}

impl<'a> HttpRoute<'a> {
    /// `spec.parentRefs`
    pub fn parents(&self) -> impl Iterator<Item = &ParentRef<'a>> {
        counted(self.spec.iter().flat_map(|spec| spec.parent_refs.iter()))
    }

    /// `spec.rules`
    pub fn rules(&self) -> impl Iterator<Item = &HttpRouteRule<'a>> {
        counted(self.spec.iter().flat_map(|spec| spec.rules.iter()))
    }
}

impl HttpRouteRule<'_> {
    /// The path of each match; `None` for one of any path, or of a regular expression.
    pub fn paths(&self) -> impl Iterator<Item = Option<&str>> {
        counted(self.matches.iter()).map(|one| {
            let path = one.path.as_ref()?;
            let is_regular = path.kind.as_deref() == Some("RegularExpression");
            path.value.as_deref().filter(|_| !is_regular)
        })
    }

    /// The scheme of each filter that redirects; empty where it stays.
    pub fn redirect_schemes(&self) -> impl Iterator<Item = &str> {
        let redirects = |filter: &&Filter<'_>| filter.kind.as_deref() == Some("RequestRedirect");
        counted(self.filters.iter()).filter(redirects).map(|filter| {
            let redirect = filter.request_redirect.as_ref();
            redirect.and_then(|redirect| redirect.scheme.as_deref()).unwrap_or_default()
        })
    }

    /// The names of `backendRefs`; empty where one is absent.
    pub fn backends(&self) -> impl Iterator<Item = &str> {
        counted(self.backend_refs.iter()).map(|backend| backend.name.as_deref().unwrap_or_default())
    }
}

impl<'a> GrpcRoute<'a> {
    /// `spec.parentRefs`
    pub fn parents(&self) -> impl Iterator<Item = &ParentRef<'a>> {
        counted(self.spec.iter().flat_map(|spec| spec.parent_refs.iter()))
    }

    /// `spec.rules`
    pub fn rules(&self) -> impl Iterator<Item = &GrpcRouteRule<'a>> {
        counted(self.spec.iter().flat_map(|spec| spec.rules.iter()))
    }
}

impl GrpcRouteRule<'_> {
    /// The names of `backendRefs`; empty where one is absent.
    pub fn backends(&self) -> impl Iterator<Item = &str> {
        counted(self.backend_refs.iter()).map(|backend| backend.name.as_deref().unwrap_or_default())
    }
}

impl ParentRef<'_> {
    /// True for a Gateway or a set of listeners of one, and not for a Service of a mesh.
    pub fn is_gateway(&self) -> bool {
        let group = self.group.as_deref().unwrap_or(GROUP);
        let kind = self.kind.as_deref().unwrap_or("Gateway");
        kind == "Gateway" && group == GROUP || kind == "ListenerSet" || kind == "XListenerSet"
    }

    /// `name`; empty if it is absent.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// `sectionName`; empty if it is absent.
    pub fn section(&self) -> &str {
        self.section_name.as_deref().unwrap_or_default()
    }

    /// `port`
    pub fn port(&self) -> Option<i64> {
        self.port
    }
}
