//! `plaintext-ingresses`: whatever is served to the outside is served over TLS, and plain HTTP is redirected or refused.
//!
//! An Ingress is judged with the conventions of its controller: `plaintext_ingresses/ingress.rs` says what counts as TLS, and
//! what turns the redirect off; `plaintext_ingresses/alb.rs` reads the listeners of an AWS load balancer. An annotation of another
//! controller counts for nothing; of a class that no list names, it is not known whose annotations count, so that they are
//! worth a warning. What is set elsewhere cannot be seen: the controller's own configuration (`tlsByController` tells of it), a
//! FrontendConfig, an `IngressClassParams`, another Ingress of the same group.
//!
//! A route of the Gateway API knows the listener that it is attached to only by name and port
//! (`plaintext_ingresses/gateway.rs`). One that is attached to a listener for HTTP by either is refused, and one that names
//! neither is warned of.

mod alb;
mod gateway;
mod hosts;
mod ingress;
mod route;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{GATEWAYS, GRPC_ROUTES, HTTP_ROUTES, INGRESSES, ROUTES};
use crate::policy::ingress_controller::{Classes, Controller, Names};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator};
use crate::request::Request;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PlaintextIngresses {
    /// Controllers of classes, by the name of the class. The default classes of the controllers are known.
    classes: Classes,
    /// Controllers whose own configuration gives every host TLS and redirects, whatever an Ingress says: by an entry point
    /// of Traefik, or by the parameters of an `IngressClass`.
    tls_by_controller: Vec<Controller>,
    /// Entry points of Traefik that take TLS alone.
    secure_entry_points: Names,
    /// Middlewares of Traefik that redirect to https, as annotations name them: `default-redirect@kubernetescrd`.
    redirect_middlewares: Names,
    /// Names of the listeners of Gateways that take plain HTTP.
    http_listeners: Names,
    /// Names of the listeners of Gateways that take TLS.
    https_listeners: Names,
}

impl Default for PlaintextIngresses {
    fn default() -> Self {
        Self {
            classes: Classes::default(),
            tls_by_controller: vec![],
            secure_entry_points: Names::of(&["websecure"]),
            redirect_middlewares: Names::default(),
            http_listeners: Names::of(&["http", "web"]),
            https_listeners: Names::of(&["https", "websecure"]),
        }
    }
}

impl Policy for PlaintextIngresses {
    const META: &'static Meta = &Meta {
        id: "plaintext-ingresses",
        title: "an Ingress or a route that serves plain HTTP",
        severity: Severity::High,
        since: "0.1.0",
        why: "Whoever is on the way reads and changes what is sent over plain HTTP, passwords and session cookies first.",
        fix: "list every host under spec.tls, or set the controller's annotation for a certificate, and leave its redirect to \
              https on; attach routes to an HTTPS listener by sectionName, and only a redirect to the HTTP listener",
        kinds: &[
            Kinds::Resource(INGRESSES),
            Kinds::Resource(HTTP_ROUTES),
            Kinds::Resource(GRPC_ROUTES),
            Kinds::Resource(GATEWAYS),
            Kinds::Resource(ROUTES),
        ],
        fields: &[
            Fields::of(&["spec.tls[*].hosts[*]", "spec.rules[*].host", "spec.defaultBackend"]).allow(&[Allowed::Words(
                "of an Ingress: hosts that `spec.tls` covers (a wildcard covers one label, an entry without hosts \
                 everything), or an annotation of its controller that stands for a certificate; TLS that another Ingress has for \
                 the host is not seen",
            )]),
            Fields::of(&["spec.rules[*].http.paths[*].path", "spec.path"]).allow(&[Allowed::Words(
                "any path without TLS, if all are below `/.well-known/acme-challenge/`",
            )]),
            Fields::of(&["metadata.annotations[*]"]).allow(&[Allowed::Words(
                "none that turns the redirect of the class' controller off; what its own configuration, a middleware, a \
                 FrontendConfig or another Ingress of its group does is not seen: `tlsByController` and \
                 `redirectMiddlewares` tell of it",
            )]),
            Fields::of(&["metadata.annotations[*]", "spec.ingressClassName"]).allow(&[Allowed::Words(
                "warned of at most: an annotation for TLS with a class that neither `classes` nor the controllers themselves \
                 name, GKE without `kubernetes.io/ingress.allow-http`, and a canary of ingress-nginx, which has the TLS of another \
                 Ingress",
            )]),
            Fields::of(&["spec.parentRefs[*]", "spec.rules[*].filters[*]"]).allow(&[Allowed::Words(
                "of an HTTPRoute or GRPCRoute: a listener with TLS, by its name (`httpsListeners`) or port (443, 8443); on \
                 one with plain HTTP (`httpListeners`, 80) a redirect to `https` alone; a warning where neither tells, since the \
                 Gateway is not read",
            )]),
            Fields::of(&["spec.listeners[*].protocol"])
                .allow(&[Allowed::Words("of a Gateway: any but `HTTP`, which is warned of, and makes the redirect")]),
            Fields::of(&["spec.tls.termination", "spec.tls.insecureEdgeTerminationPolicy"]).allow(&[Allowed::Words(
                "of an OpenShift Route: `edge`, `reencrypt` or `passthrough`, with any policy but `Allow`",
            )]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for PlaintextIngresses {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        self.judge_ingress(request, report);
        self.judge_http_route(request, report);
        self.judge_grpc_route(request, report);
        gateway::judge(request, report);
        route::judge(request, report);
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds) -> bool {
        kinds == Kinds::Resource(GATEWAYS)
    }
}
