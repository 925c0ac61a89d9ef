//! Ingresses, with the conventions of their controllers.

use super::PlaintextIngresses;
use super::alb::{self, Listeners};
use super::hosts::Covered;
use crate::object::resource::Ingress;
use crate::object::{Object, Path, Place};
use crate::policy::ingress_controller::{
    Annotations, Controller, Readers, annotation, is_canary, is_false, is_true, items, serves_challenges_alone,
    warn_of_class,
};
use crate::policy::{Report, quoted};
use crate::request::Request;

const FORCE_REDIRECT: &str = "nginx.ingress.kubernetes.io/force-ssl-redirect";
const PASSTHROUGH: &str = "nginx.ingress.kubernetes.io/ssl-passthrough";
/// Redirects of every request of an Ingress. The first one that is set counts.
const REDIRECTIONS: [&str; 2] =
    ["nginx.ingress.kubernetes.io/temporal-redirect", "nginx.ingress.kubernetes.io/permanent-redirect"];
/// Annotations that turn the redirect off: of ingress-nginx, then of F5's controller.
const NGINX_REDIRECTS: [&str; 3] =
    ["nginx.ingress.kubernetes.io/ssl-redirect", "nginx.org/ssl-redirect", "ingress.kubernetes.io/ssl-redirect"];
/// The same of HAProxy's two controllers.
const HAPROXY_REDIRECTS: [&str; 4] = [
    "haproxy.org/ssl-redirect",
    "haproxy.com/ssl-redirect",
    "haproxy-ingress.github.io/ssl-redirect",
    "ingress.kubernetes.io/ssl-redirect",
];
/// Annotations of HAProxy's controllers that leave nothing to plain HTTP: the redirect with the default certificate, and TLS
/// that the backend ends.
const HAPROXY_TLS: [&str; 7] = [
    "haproxy.org/ssl-redirect",
    "haproxy.com/ssl-redirect",
    "haproxy-ingress.github.io/ssl-always-add-https",
    "haproxy.org/ssl-passthrough",
    "haproxy.com/ssl-passthrough",
    "haproxy-ingress.github.io/ssl-passthrough",
    "ingress.kubernetes.io/ssl-passthrough",
];
const CONTOUR_REDIRECT: &str = "ingress.kubernetes.io/force-ssl-redirect";
const ALLOW_HTTP: &str = "kubernetes.io/ingress.allow-http";
/// Annotations of GKE that stand for a certificate.
const GKE_CERTIFICATES: [&str; 4] = [
    "ingress.gcp.kubernetes.io/pre-shared-cert",
    "networking.gke.io/managed-certificates",
    "networking.gke.io/certmap",
    "gke.googleapis.com/managed-certificates",
];
/// The object that makes GKE redirect.
const FRONTEND_CONFIG: &str = "networking.gke.io/v1beta1.FrontendConfig";
const AZURE_CERTIFICATE: &str = "appgw.ingress.kubernetes.io/appgw-ssl-certificate";
const ROUTER_TLS: &str = "traefik.ingress.kubernetes.io/router.tls";
const ENTRY_POINTS: &str = "traefik.ingress.kubernetes.io/router.entrypoints";
const MIDDLEWARES: &str = "traefik.ingress.kubernetes.io/router.middlewares";
/// Names that Traefik's chart and its documentation give to entry points for plain HTTP.
const PLAIN_ENTRY_POINTS: [&str; 2] = ["web", "http"];
const KONG_PROTOCOLS: &str = "konghq.com/protocols";

/// An Ingress while it is judged.
struct Judged<'r, 'p> {
    policy: &'p PlaintextIngresses,
    ingress: &'r Ingress<'r>,
    annotations: Annotations<'r>,
}

impl PlaintextIngresses {
    pub(super) fn judge_ingress(&self, request: &Request<'_>, report: &mut Report) {
        let Some(ingress) = request.object_as::<Ingress<'_>>() else { return };
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return };
        if serves_challenges_alone(ingress) {
            return;
        }
        let (readers, class) = self.classes.readers(ingress, metadata);
        if matches!(readers, Readers::One(controller) if self.tls_by_controller.contains(&controller)) {
            return;
        }
        let judged = Judged { policy: self, ingress, annotations: Annotations { metadata, readers } };
        judged.judge_redirects(report);
        let listeners = Listeners::of(&judged.annotations, ingress);
        if let Some(listeners) = &listeners {
            judged.judge_listeners(listeners, report);
        }
        if judged.annotations.are_read_by(Controller::Alb) {
            return;
        }
        let by_alb = listeners.is_some_and(|listeners| listeners.https).then_some(alb::CERTIFICATE);
        let Some(claim) = judged.tls_only().or_else(|| judged.certificate()).or(by_alb) else {
            judged.judge_hosts(report);
            return;
        };
        // Of a class that nobody knows, only what the API itself defines is sure.
        if readers == Readers::Unknown && !judged.are_covered() {
            warn_of_class(class, claim, report);
        }
    }
}

impl Judged<'_, '_> {
    /// A finding, or a warning where it is a guess.
    fn add(&self, place: Place, message: impl std::fmt::Display, report: &mut Report) {
        if self.annotations.readers == Readers::Unknown {
            report.add_warning(place, message);
        } else {
            report.add(place, message);
        }
    }

    fn is_set_to(&self, controller: Controller, key: &str, is: impl Fn(&str) -> bool) -> bool {
        self.annotations.get(controller, key).is_some_and(is)
    }

    /// The annotation that leaves nothing to plain HTTP.
    fn tls_only(&self) -> Option<&'static str> {
        let set =
            |controller, key: &'static str, is: fn(&str) -> bool| self.is_set_to(controller, key, is).then_some(key);
        let redirection = || {
            let (key, target) = self.annotations.find(Controller::Nginx, &REDIRECTIONS, |_| true)?;
            let start = target.trim_start().get(..8)?;
            start.eq_ignore_ascii_case("https://").then_some(key)
        };
        let haproxy = || self.annotations.find(Controller::Haproxy, &HAPROXY_TLS, is_true).map(|(key, _)| key);
        set(Controller::Nginx, FORCE_REDIRECT, is_true)
            .or_else(redirection)
            .or_else(|| set(Controller::Traefik, ROUTER_TLS, is_true))
            .or_else(|| self.entry_points(|names| !names.is_empty() && names.iter().all(|name| self.is_secure(name))))
            .or_else(haproxy)
            .or_else(|| set(Controller::Contour, CONTOUR_REDIRECT, |value| value == "true"))
            .or_else(|| set(Controller::Contour, ALLOW_HTTP, |value| value == "false"))
            .or_else(|| set(Controller::Gke, ALLOW_HTTP, is_false))
            .or_else(|| {
                let are_secure = |list: &str| items(list).all(|protocol| ["https", "grpcs"].contains(&protocol));
                self.is_set_to(Controller::Kong, KONG_PROTOCOLS, are_secure).then_some(KONG_PROTOCOLS)
            })
    }

    /// The annotation that stands for a certificate for every host.
    fn certificate(&self) -> Option<&'static str> {
        let gke = || self.annotations.find(Controller::Gke, &GKE_CERTIFICATES, |_| true).map(|(key, _)| key);
        let azure = || self.annotations.get(Controller::Azure, AZURE_CERTIFICATE).map(|_| AZURE_CERTIFICATE);
        let passthrough = || self.is_set_to(Controller::Nginx, PASSTHROUGH, is_true).then_some(PASSTHROUGH);
        gke().or_else(azure).or_else(passthrough)
    }

    /// The annotation for Traefik's entry points, if it is set and `holds` is true for them.
    fn entry_points(&self, holds: impl Fn(&[&str]) -> bool) -> Option<&'static str> {
        let names: Vec<&str> = items(self.annotations.get(Controller::Traefik, ENTRY_POINTS)?).collect();
        holds(&names).then_some(ENTRY_POINTS)
    }

    fn is_secure(&self, entry_point: &str) -> bool {
        self.policy.secure_entry_points.hold(entry_point)
    }

    /// True if `spec.tls` covers all that is served.
    fn are_covered(&self) -> bool {
        let covered = Covered::of(self.ingress);
        self.ingress.rules().all(|rule| covered.hold(rule.host()))
            && (!self.ingress.has_default_backend() || covered.hold(""))
    }

    fn judge_hosts(&self, report: &mut Report) {
        let covered = Covered::of(self.ingress);
        // GKE takes the certificates alone, and serves every host with them.
        if self.annotations.are_read_by(Controller::Gke) && !covered.is_empty() {
            return;
        }
        // A canary has the TLS of the Ingress that it is a canary of.
        let is_canary = is_canary(&self.annotations);
        let mut add = |place: Path, message: String| {
            let place = Place::field(place);
            if is_canary { report.add_warning(place, message) } else { report.add(place, message) }
        };
        let spec = || Path::root().fields("spec");
        for (position, rule) in self.ingress.rules().enumerate() {
            if !covered.hold(rule.host()) {
                let message = match rule.host() {
                    "" => {
                        "must be a host that spec.tls lists: the rule is for every host, over plain HTTP too".to_owned()
                    }
                    host => format!("must be covered by spec.tls: {} is served over plain HTTP", quoted(host)),
                };
                add(spec().fields("rules").index(position).fields("host"), message);
            }
        }
        if self.ingress.has_default_backend() && !covered.hold("") {
            let message = "must not be set without an entry of spec.tls for every host: it is served over plain HTTP";
            add(spec().fields("defaultBackend"), message.to_owned());
        }
    }

    fn judge_listeners(&self, listeners: &Listeners, report: &mut Report) {
        // An old Ingress may keep its listeners, and get no other ones.
        let ports = self.annotations.get(Controller::Alb, alb::LISTEN_PORTS);
        let annotation = |key: &str| annotation(key).holding(ports);
        if !listeners.are_read {
            let message = "must be a list of protocols and ports such as [{\"HTTP\": 80}, {\"HTTPS\": 443}]";
            self.add(annotation(alb::LISTEN_PORTS), message, report);
        } else if !listeners.https {
            let message = format_args!(
                "must be set, or {} hold HTTPS: the load balancer listens for plain HTTP alone",
                alb::LISTEN_PORTS
            );
            self.add(annotation(alb::CERTIFICATE), message, report);
        } else if listeners.http && !listeners.redirect {
            let message = "must name the port of a listener for HTTPS: the load balancer serves plain HTTP, too";
            // Any Ingress of a group may make the redirect of all.
            if listeners.is_shared {
                report.add_warning(annotation(alb::SSL_REDIRECT), message);
            } else {
                self.add(annotation(alb::SSL_REDIRECT), message, report);
            }
        }
    }

    fn judge_redirects(&self, report: &mut Report) {
        let off = |key: &'static str, value: &str, report: &mut Report| {
            let message = format_args!("must not be {}: the host is served over plain HTTP, too", quoted(value));
            self.add(annotation(key), message, report);
        };
        let annotations = &self.annotations;
        let forces = self.is_set_to(Controller::Nginx, FORCE_REDIRECT, is_true);
        let nginx = annotations.find(Controller::Nginx, &NGINX_REDIRECTS, is_false).filter(|_| !forces);
        let passes_through = self.is_set_to(Controller::Haproxy, "haproxy-ingress.github.io/ssl-passthrough", is_true);
        let haproxy = annotations.find(Controller::Haproxy, &HAPROXY_REDIRECTS, is_false).filter(|_| !passes_through);
        for (key, value) in
            [nginx, haproxy.filter(|found| nginx.is_none_or(|nginx| nginx.0 != found.0))].iter().flatten()
        {
            off(key, value, report);
        }
        if nginx.is_none() && !forces && self.is_set_to(Controller::Nginx, PASSTHROUGH, is_true) {
            let message = "must be true beside ssl-passthrough, which leaves port 80 open to plain HTTP";
            report.add_warning(annotation(FORCE_REDIRECT), message);
        }
        self.judge_entry_points(report);
        let allow = annotations.get(Controller::Gke, ALLOW_HTTP);
        let redirects = annotations.get(Controller::Gke, FRONTEND_CONFIG).is_some();
        match allow {
            Some(value) if is_true(value) && !redirects => off(ALLOW_HTTP, value, report),
            None if annotations.are_read_by(Controller::Gke) && !redirects => {
                let message = "must be false, or a FrontendConfig redirect to https: GKE serves plain HTTP, too";
                report.add_warning(annotation(ALLOW_HTTP), message);
            }
            _ => {}
        }
        if annotations.are_read_by(Controller::Contour)
            && !Covered::of(self.ingress).is_empty()
            && self.tls_only().is_none()
        {
            let message = "must be true: without it Contour serves plain HTTP, too";
            report.add(annotation(CONTOUR_REDIRECT), message);
        }
    }

    /// Entry points of Traefik for plain HTTP, without a middleware that redirects.
    fn judge_entry_points(&self, report: &mut Report) {
        let is_plain = |name: &&str| PLAIN_ENTRY_POINTS.contains(name) && !self.is_secure(name);
        let plain = self.entry_points(|names| names.iter().any(is_plain));
        let Some(key) = plain.filter(|_| !self.is_set_to(Controller::Traefik, ROUTER_TLS, is_true)) else { return };
        let middlewares = self.annotations.get(Controller::Traefik, MIDDLEWARES);
        if middlewares.is_some_and(|list| items(list).any(|name| self.policy.redirect_middlewares.hold(name))) {
            return;
        }
        let value = quoted(self.annotations.get(Controller::Traefik, key).unwrap_or_default());
        // One of the middlewares may redirect, which only its own object says.
        if middlewares.is_some() {
            let message = format_args!(
                "must not be {value} without a middleware that the setting redirectMiddlewares lists: plain HTTP may be served"
            );
            report.add_warning(annotation(key), message);
        } else {
            let message = format_args!("must not be {value}: the entry point takes plain HTTP");
            self.add(annotation(key), message, report);
        }
    }
}
