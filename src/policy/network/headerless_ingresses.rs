//! `headerless-ingresses`: an Ingress sets the response headers that browsers defend its users by.
//!
//! The headers are set by an annotation of the controller of its class (`headerless_ingresses/written.rs`), and their values are
//! checked where they can be seen: in the annotation itself, in a snippet where those are allowed, and in the ConfigMaps of
//! `configMaps` when they are written. A middleware, a plugin, a rewrite rule set, and a ConfigMap that is not listed are objects
//! of their own: their annotation counts, and what they set is not seen. `byController` and `headersByController` tell of
//! what the controller's own configuration sets.

mod headers;
mod tokens;
mod written;

use schemars::JsonSchema;
use serde::Deserialize;

use self::headers::{Flaw, Headers};
use self::written::Written;
use crate::facts::{Facts, Pending};
use crate::object::resource::{CONFIG_MAPS, ConfigMap, INGRESSES, Ingress};
use crate::object::{Object, Path, Place};
use crate::policy::ingress_controller::{
    Annotations, Classes, Controller, Names, Readers, annotation, is_canary, items, serves_challenges_alone,
    warn_of_class,
};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// The ConfigMap that ingress-nginx takes headers from.
const CUSTOM_HEADERS: &str = "nginx.ingress.kubernetes.io/custom-headers";
const MIDDLEWARES: &str = "traefik.ingress.kubernetes.io/router.middlewares";
/// Annotations that name other objects which set headers.
const OBJECTS: [(Controller, &str); 2] =
    [(Controller::Azure, "appgw.ingress.kubernetes.io/rewrite-rule-set"), (Controller::Kong, "konghq.com/plugins")];

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HeaderlessIngresses {
    /// Controllers of classes, by the name of the class. The default classes of the controllers are known.
    classes: Classes,
    /// Headers that must be set, each with a pattern that matches the whole value in any case. X-Frame-Options may be replaced by
    /// `frame-ancestors` in Content-Security-Policy.
    headers: Headers,
    /// Smallest max-age of Strict-Transport-Security, in seconds.
    min_max_age: u64,
    /// Controllers whose own configuration sets all these headers.
    by_controller: Vec<Controller>,
    /// Headers that the controllers' own configuration sets.
    headers_by_controller: Names,
    /// ConfigMaps with headers for `custom-headers`, as NAMESPACE/NAME. They are judged, and no others may be named. Without
    /// any, every ConfigMap counts.
    config_maps: Names,
    /// Middlewares of Traefik that set the headers, as annotations name them; without any, every middleware counts.
    middlewares: Names,
    /// True if headers that a snippet sets count.
    snippets: bool,
}

impl Default for HeaderlessIngresses {
    fn default() -> Self {
        Self {
            classes: Classes::default(),
            headers: Headers::default(),
            min_max_age: 31_536_000,
            by_controller: vec![],
            headers_by_controller: Names::default(),
            config_maps: Names::default(),
            middlewares: Names::default(),
            snippets: false,
        }
    }
}

impl Policy for HeaderlessIngresses {
    const META: &'static Meta = &Meta {
        id: "headerless-ingresses",
        title: "an Ingress that does not set the security headers of its responses",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Browsers keep to https, leave types as they are and refuse to be framed only where a response says so: without the \
              headers a page is open to downgrades and clickjacking.",
        fix: "set the headers by the controller's annotation, such as nginx.ingress.kubernetes.io/custom-headers, or name the \
              controller in byController if its own configuration sets them",
        kinds: &[Kinds::Resource(INGRESSES), Kinds::Resource(CONFIG_MAPS)],
        fields: &[
            Fields::of(&["metadata.annotations[*]"]).allow(&[Allowed::Words(
                "headers with values that fit, in `response-set-header` or `hsts-max-age` of HAProxy, `listener-attributes` of \
                 ALB, `hsts-max-age` of F5, and, where the settings say so, in a snippet",
            )]),
            Fields::of(&["metadata.annotations[*]"]).allow(&[Allowed::Words(
                "another object that sets the headers: the ConfigMap in `custom-headers` of ingress-nginx, a middleware of \
                 Traefik, a plugin of Kong, a rewrite rule set of Azure; its values are not seen, but for those of a ConfigMap \
                 that `configMaps` lists",
            )]),
            Fields::of(&["data[*]"]).allow(&[Allowed::Words(
                "of a ConfigMap that `configMaps` lists: every header, with a value that its pattern matches \
                 (Strict-Transport-Security: a max-age of a year at least)",
            )]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for HeaderlessIngresses {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if let Some(map) = request.object_as::<ConfigMap<'_>>() {
            self.judge_map(request, map, report);
        }
        let Some(ingress) = request.object_as::<Ingress<'_>>() else { return Ok(()) };
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return Ok(()) };
        let (readers, class) = self.classes.readers(ingress, metadata);
        let annotations = Annotations { metadata, readers };
        let by_controller = matches!(readers, Readers::One(controller) if self.by_controller.contains(&controller));
        if by_controller || serves_challenges_alone(ingress) || is_canary(&annotations) {
            return Ok(());
        }
        self.judge_custom_headers(request, &annotations, report);
        let written = Written::of(&annotations, self.snippets);
        let other = self.other_object(request, &annotations);
        if readers == Readers::Unknown
            && let Some(key) = other.or_else(|| written.first_key())
        {
            warn_of_class(class, key, report);
        }
        let missing = Place::field(Path::root().fields("metadata.annotations"));
        self.judge_headers(&written, other.is_some(), annotation, missing, report);
        Ok(())
    }
}

impl HeaderlessIngresses {
    /// A finding for each header that is not set, unless another object may set it, and for each value that does not fit.
    fn judge_headers(
        &self,
        written: &Written<'_>,
        others_set: bool,
        place: impl Fn(&str) -> Place,
        missing: Place,
        report: &mut Report,
    ) {
        for header in self.headers.iter() {
            match header.flaw(written, self.min_max_age) {
                None => {}
                Some(Flaw::Missing) if others_set || self.headers_by_controller.hold(header.name()) => {}
                Some(Flaw::Missing) => {
                    let message = format_args!("must set the response header {}", header.name());
                    report.add(missing.clone(), message);
                }
                Some(Flaw::Value { key, value }) => {
                    let wanted = header.wanted(self.min_max_age);
                    let message = format_args!("must set {} to {wanted}, and not to {}", header.name(), quoted(&value));
                    report.add(place(key), message);
                }
            }
        }
    }

    fn judge_map(&self, request: &Request<'_>, map: &ConfigMap<'_>, report: &mut Report) {
        let name = request.object.as_ref().map(|object| object.metadata().name()).unwrap_or_default();
        if !self.config_maps.hold(&format!("{}/{name}", &*request.namespace)) {
            return;
        }
        let written = Written::of_map(map.data());
        let place = |key: &str| Place::field(Path::root().fields("data").key(key));
        self.judge_headers(&written, false, place, Place::field(Path::root().fields("data")), report);
    }

    /// The name of the ConfigMap in `custom-headers`, with its namespace.
    fn map_of(request: &Request<'_>, annotations: &Annotations<'_>) -> Option<String> {
        let name = annotations.get(Controller::Nginx, CUSTOM_HEADERS)?.trim();
        Some(if name.contains('/') { name.to_owned() } else { format!("{}/{name}", &*request.namespace) })
    }

    fn judge_custom_headers(&self, request: &Request<'_>, annotations: &Annotations<'_>, report: &mut Report) {
        let Some(name) = Self::map_of(request, annotations) else { return };
        if !self.config_maps.is_empty() && !self.config_maps.hold(&name) {
            let message = format_args!("must name a ConfigMap that the setting configMaps lists: {}", quoted(&name));
            report.add(annotation(CUSTOM_HEADERS), message);
        }
    }

    /// The annotation by which another object sets the headers.
    fn other_object(&self, request: &Request<'_>, annotations: &Annotations<'_>) -> Option<&'static str> {
        let map = Self::map_of(request, annotations);
        if map.is_some_and(|name| self.config_maps.is_empty() || self.config_maps.hold(&name)) {
            return Some(CUSTOM_HEADERS);
        }
        let sets = |name: &str| self.middlewares.is_empty() || self.middlewares.hold(name);
        if annotations.get(Controller::Traefik, MIDDLEWARES).is_some_and(|list| items(list).any(sets)) {
            return Some(MIDDLEWARES);
        }
        let mut others = OBJECTS.iter().filter(|(controller, key)| annotations.get(*controller, key).is_some());
        others.next().map(|(_, key)| *key)
    }
}
