//! Gateways, and the routes that are attached to them.

use super::PlaintextIngresses;
use crate::object::resource::{Gateway, GrpcRoute, HttpRoute, HttpRouteRule, ParentRef};
use crate::object::{Path, Place};
use crate::policy::ingress_controller::is_challenge;
use crate::policy::{Report, quoted};
use crate::request::Request;

/// Port of plain HTTP, and those of HTTPS.
const HTTP: i64 = 80;
const HTTPS: [i64; 2] = [443, 8443];

/// Protocol of a listener, as far as a route tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Tls,
    Unknown,
    Plain,
}

/// Warns of each listener for plain HTTP.
pub(super) fn judge(request: &Request<'_>, report: &mut Report) {
    let Some(gateway) = request.object_as::<Gateway<'_>>() else { return };
    for (position, listener) in gateway.listeners().enumerate() {
        if listener.protocol() == "HTTP" {
            let place = Path::root().fields("spec.listeners").index(position).fields("protocol");
            let name = quoted(listener.name());
            let message =
                format_args!("must not be HTTP, but for redirects to https: listener {name} takes plain HTTP");
            report.add_warning(Place::field(place), message);
        }
    }
}

impl PlaintextIngresses {
    pub(super) fn judge_http_route(&self, request: &Request<'_>, report: &mut Report) {
        let Some(route) = request.object_as::<HttpRoute<'_>>() else { return };
        let serving = || route.rules().enumerate().filter(|(_, rule)| serves(rule));
        if serving().next().is_none() {
            return;
        }
        let Some(parent) = self.judge_parents(route.parents(), "or redirect to https", report) else { return };
        for (position, rule) in serving() {
            let served = rule.backends().next().unwrap_or_default();
            let message = match served {
                "" => format!("must redirect to https, on {parent}"),
                service => {
                    format!("must redirect to https: {} is served over plain HTTP, on {parent}", quoted(service))
                }
            };
            report.add(Place::field(Path::root().fields("spec.rules").index(position).fields("filters")), message);
        }
    }

    pub(super) fn judge_grpc_route(&self, request: &Request<'_>, report: &mut Report) {
        let Some(route) = request.object_as::<GrpcRoute<'_>>() else { return };
        let serving =
            || route.rules().enumerate().filter_map(|(position, rule)| Some((position, rule.backends().next()?)));
        if serving().next().is_none() {
            return;
        }
        let advice = "which is all that keeps a GRPCRoute from plain HTTP";
        let Some(parent) = self.judge_parents(route.parents(), advice, report) else { return };
        for (position, service) in serving() {
            let place = Path::root().fields("spec.rules").index(position).fields("backendRefs");
            let message =
                format!("must be served over TLS: {} is served over plain HTTP, on {parent}", quoted(service));
            report.add(Place::field(place), message);
        }
    }

    /// Warns of each parent that may take plain HTTP, and returns the first one that is known to.
    fn judge_parents<'p, 'a: 'p>(
        &self,
        parents: impl Iterator<Item = &'p ParentRef<'a>>,
        advice: &str,
        report: &mut Report,
    ) -> Option<String> {
        let mut plain = None;
        for (position, parent) in parents.enumerate().filter(|(_, parent)| parent.is_gateway()) {
            match self.listener(parent) {
                Listener::Tls => {}
                Listener::Plain if plain.is_some() => {}
                Listener::Plain => plain = Some(named(parent)),
                Listener::Unknown => {
                    let message = format_args!(
                        "must name a listener with TLS, by sectionName or port, {advice}: {} may take plain HTTP",
                        named(parent)
                    );
                    report.add_warning(Place::field(Path::root().fields("spec.parentRefs").index(position)), message);
                }
            }
        }
        plain
    }

    /// A port says more than a name.
    fn listener(&self, parent: &ParentRef<'_>) -> Listener {
        match (parent.port(), parent.section()) {
            (Some(HTTP), _) => Listener::Plain,
            (Some(port), _) if HTTPS.contains(&port) => Listener::Tls,
            (_, name) if self.https_listeners.hold(name) => Listener::Tls,
            (_, name) if self.http_listeners.hold(name) => Listener::Plain,
            _ => Listener::Unknown,
        }
    }
}

/// True if a rule answers requests by something else than a redirect to https, and not ACME challenges alone.
fn serves(rule: &HttpRouteRule<'_>) -> bool {
    let mut schemes = rule.redirect_schemes().peekable();
    let redirects = schemes.peek().is_some();
    let to_https = redirects && schemes.all(|scheme| scheme == "https");
    let is_of_challenges = || {
        let mut paths = rule.paths().peekable();
        paths.peek().is_some() && paths.all(|path| path.is_some_and(is_challenge))
    };
    !to_https && (redirects || rule.backends().next().is_some()) && !is_of_challenges()
}

/// A listener as messages name it.
fn named(parent: &ParentRef<'_>) -> String {
    let gateway = quoted(parent.name());
    match (parent.port(), parent.section()) {
        (Some(port), _) => format!("port {port} of Gateway {gateway}"),
        (None, "") => format!("Gateway {gateway}"),
        (None, section) => format!("listener {} of Gateway {gateway}", quoted(section)),
    }
}
