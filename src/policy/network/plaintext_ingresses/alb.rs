//! The listeners of an AWS load balancer, as the AWS Load Balancer Controller makes them for an Ingress.
//!
//! Without `listen-ports` there is one: for HTTPS where `certificate-arn` is set, for HTTP elsewhere, and then `spec.tls` changes
//! nothing. A listener for HTTPS without `certificate-arn` takes the certificates that fit the hosts. With `ssl-redirect`, which
//! names the port of a listener for HTTPS, every listener for HTTP does nothing but redirect.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::object::resource::Ingress;
use crate::policy::ingress_controller::{Annotations, Controller};
use crate::steps;

pub(super) const LISTEN_PORTS: &str = "alb.ingress.kubernetes.io/listen-ports";
pub(super) const SSL_REDIRECT: &str = "alb.ingress.kubernetes.io/ssl-redirect";
pub(super) const CERTIFICATE: &str = "alb.ingress.kubernetes.io/certificate-arn";
/// Prefix of the annotations that stand for a backend of the same name.
const ACTIONS: &str = "alb.ingress.kubernetes.io/actions.";
/// The group of Ingresses that share a load balancer, with the redirect of any of them.
const GROUP: &str = "alb.ingress.kubernetes.io/group.name";
/// Bytes of JSON for which one step is taken.
const STEP: usize = 16;

/// Listeners of an AWS load balancer.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Listeners {
    pub(super) http: bool,
    pub(super) https: bool,
    /// True if the listeners for HTTP do nothing but redirect.
    pub(super) redirect: bool,
    /// True if another Ingress may make the redirect.
    pub(super) is_shared: bool,
    /// False if `listen-ports` is not a list of protocols and ports.
    pub(super) are_read: bool,
}

impl Listeners {
    /// The listeners; `None` if the Ingress may be for another controller and says nothing of them.
    pub(super) fn of(annotations: &Annotations<'_>, ingress: &Ingress<'_>) -> Option<Self> {
        let own = |key: &str| annotations.get(Controller::Alb, key);
        let (ports, certificate) = (own(LISTEN_PORTS), own(CERTIFICATE).is_some());
        if !annotations.are_read_by(Controller::Alb) && ports.is_none() && !certificate {
            return None;
        }
        let written = ports.map(read);
        let has = |protocol: &str| written.iter().flatten().flatten().any(|(name, _)| name == protocol);
        let (http, https) = match &written {
            None => (!certificate, certificate),
            Some(None) => (true, false),
            Some(Some(_)) => (has("HTTP"), has("HTTPS")),
        };
        let is_https_port = |port: i64| match &written {
            None => https && port == 443,
            Some(listed) => listed.iter().flatten().any(|(name, number)| name == "HTTPS" && *number == port),
        };
        let by_port = own(SSL_REDIRECT).and_then(|port| port.parse().ok()).is_some_and(is_https_port);
        Some(Self {
            http,
            https,
            redirect: by_port || redirects_by_action(annotations, ingress),
            is_shared: own(GROUP).is_some(),
            are_read: written.is_none_or(|read| read.is_some()),
        })
    }
}

/// `[{"HTTP": 80}, {"HTTPS": 443}]`; `None` if it is of another form, which the controller refuses.
fn read(ports: &str) -> Option<Vec<(String, i64)>> {
    if !steps::take(u32::try_from(ports.len() / STEP).unwrap_or(u32::MAX)) {
        return None;
    }
    let listed: Vec<BTreeMap<String, i64>> = serde_json::from_str(ports).ok()?;
    let listed: Vec<(String, i64)> = listed.into_iter().flatten().collect();
    let is_known = |(protocol, _): &(String, i64)| protocol == "HTTP" || protocol == "HTTPS";
    (!listed.is_empty() && listed.iter().all(is_known)).then_some(listed)
}

/// An action, as far as it redirects. Go reads the names of its fields in any case.
#[derive(Deserialize)]
struct Action {
    #[serde(alias = "Type")]
    r#type: String,
    #[serde(alias = "RedirectConfig", alias = "redirectConfig")]
    redirect_config: Option<Redirect>,
}

#[derive(Deserialize)]
struct Redirect {
    #[serde(alias = "Protocol")]
    protocol: Option<String>,
}

/// True if the first path of every rule, or of one for every host that comes first, is an action that redirects to https.
fn redirects_by_action(annotations: &Annotations<'_>, ingress: &Ingress<'_>) -> bool {
    let redirects = |service: &str| {
        let action = annotations.get(Controller::Alb, &format!("{ACTIONS}{service}"))?;
        if service.is_empty() || !steps::take(u32::try_from(action.len() / STEP).unwrap_or(u32::MAX)) {
            return None;
        }
        let action: Action = serde_json::from_str(action).ok()?;
        let protocol = action.redirect_config?.protocol?;
        (action.r#type == "redirect" && protocol == "HTTPS").then_some(())
    };
    let mut rules = ingress.rules().peekable();
    let by_first = |rule: &crate::object::resource::IngressRule<'_>| {
        rule.first_service().is_some_and(|(path, service)| ["/", "/*"].contains(&path) && redirects(service).is_some())
    };
    match rules.peek() {
        None => false,
        Some(first) if first.host().is_empty() && by_first(first) => true,
        Some(_) => !ingress.has_default_backend() && rules.all(by_first),
    }
}
