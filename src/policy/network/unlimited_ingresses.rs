//! `unlimited-ingresses`: an Ingress limits the requests of a client.
//!
//! The limit is an annotation of the controller of its class. A number that is zero, or not one, limits nothing, and neither does a
//! limit from which everybody is exempt. A web ACL, a middleware and a plugin are objects of their own: their annotation
//! counts, and what they limit is not seen. Contour and GKE take no limit from an Ingress; `limitedByController` says so of
//! those that limit elsewhere.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::addresses::{Addresses, Widest, address};
use crate::facts::{Facts, Pending};
use crate::object::resource::{INGRESSES, Ingress};
use crate::object::{Object, Path, Place};
use crate::policy::ingress_controller::{
    Annotations, Classes, Controller, Names, Readers, annotation, is_canary, items, serves_challenges_alone,
    warn_of_class,
};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Annotations whose value is a number of requests or connections.
const NUMBERS: [(Controller, &[&str]); 2] = [
    (
        Controller::Nginx,
        &[
            "nginx.ingress.kubernetes.io/limit-rps",
            "nginx.ingress.kubernetes.io/limit-rpm",
            "nginx.ingress.kubernetes.io/limit-connections",
        ],
    ),
    (
        Controller::Haproxy,
        &[
            "haproxy.org/rate-limit-requests",
            "haproxy.com/rate-limit-requests",
            "ingress.kubernetes.io/rate-limit-requests",
            "haproxy-ingress.github.io/limit-rps",
            "haproxy-ingress.github.io/limit-connections",
            "ingress.kubernetes.io/limit-rps",
            "ingress.kubernetes.io/limit-connections",
        ],
    ),
];
/// Annotation of F5's controller, such as `10r/s`.
const RATE: &str = "nginx.org/limit-req-rate";
/// Annotations that name an object which limits.
const OBJECTS: [(Controller, &[&str]); 3] = [
    (
        Controller::Alb,
        &[
            "alb.ingress.kubernetes.io/wafv2-acl-arn",
            "alb.ingress.kubernetes.io/wafv2-acl-name",
            "alb.ingress.kubernetes.io/waf-acl-id",
            "alb.ingress.kubernetes.io/web-acl-id",
        ],
    ),
    (Controller::Azure, &["appgw.ingress.kubernetes.io/waf-policy-for-path"]),
    (Controller::Kong, &["konghq.com/plugins"]),
];
const MIDDLEWARES: &str = "traefik.ingress.kubernetes.io/router.middlewares";
/// Annotations that name the addresses for which there is no limit.
const EXEMPT: [(Controller, &[&str]); 2] = [
    (
        Controller::Nginx,
        &["nginx.ingress.kubernetes.io/limit-allowlist", "nginx.ingress.kubernetes.io/limit-whitelist"],
    ),
    (
        Controller::Haproxy,
        &[
            "haproxy.org/rate-limit-whitelist",
            "haproxy.com/rate-limit-whitelist",
            "ingress.kubernetes.io/rate-limit-whitelist",
            "haproxy-ingress.github.io/limit-whitelist",
            "ingress.kubernetes.io/limit-whitelist",
        ],
    ),
];
/// Annotations that name the addresses that may connect.
const SOURCES: [(Controller, &[&str]); 3] = [
    (
        Controller::Nginx,
        &["nginx.ingress.kubernetes.io/allowlist-source-range", "nginx.ingress.kubernetes.io/whitelist-source-range"],
    ),
    (Controller::Alb, &["alb.ingress.kubernetes.io/inbound-cidrs"]),
    (
        Controller::Haproxy,
        &[
            "haproxy.org/allow-list",
            "haproxy.org/whitelist",
            "haproxy.com/allow-list",
            "haproxy.com/whitelist",
            "ingress.kubernetes.io/allow-list",
            "ingress.kubernetes.io/whitelist",
            "haproxy-ingress.github.io/allowlist-source-range",
            "haproxy-ingress.github.io/whitelist-source-range",
            "ingress.kubernetes.io/allowlist-source-range",
            "ingress.kubernetes.io/whitelist-source-range",
        ],
    ),
];
/// Annotations for the size of a request's body.
const BODIES: [(Controller, &[&str]); 2] = [
    (Controller::Nginx, &["nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/client-max-body-size"]),
    (Controller::Haproxy, &["haproxy-ingress.github.io/proxy-body-size", "ingress.kubernetes.io/proxy-body-size"]),
];

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UnlimitedIngresses {
    /// Controllers of classes, by the name of the class. The default classes of the controllers are known.
    classes: Classes,
    /// Controllers whose own configuration limits requests to every host.
    limited_by_controller: Vec<Controller>,
    /// Middlewares of Traefik that limit requests, as annotations name them; without any, every middleware counts.
    rate_limit_middlewares: Names,
    /// Meaning of a list of the addresses that may connect.
    source_ranges: SourceRanges,
    /// Smallest public blocks that count as everything.
    widest: Widest,
    /// Largest body of a request that an annotation may allow, as NGINX writes sizes: `8m`.
    max_body_size: Option<Size>,
}

/// Meaning of a list of the addresses that may connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SourceRanges {
    /// It is not read.
    #[default]
    Ignore,
    /// It is enough, without a rate limit.
    Suffice,
    /// It is needed, beside a rate limit.
    Require,
}

/// A number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Size {
    bytes: u64,
    written: String,
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match size(&written) {
            Some(0) | None => Err(format!("{} must be a size above 0, such as 8m", quoted(&written))),
            Some(bytes) => Ok(Self { bytes, written }),
        }
    }
}

/// A size as NGINX and HAProxy write it: bytes, or with `k`, `m` or `g` so many times 1024 of them.
fn size(written: &str) -> Option<u64> {
    let (number, unit) = match written.strip_suffix(|unit: char| unit.is_ascii_alphabetic()) {
        Some(number) => (number, written.chars().next_back()?.to_ascii_lowercase()),
        None => (written, 'b'),
    };
    let shift = match unit {
        'b' if number.len() == written.len() => 0,
        'k' => 10,
        'm' => 20,
        'g' => 30,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1 << shift)
}

impl Policy for UnlimitedIngresses {
    const META: &'static Meta = &Meta {
        id: "unlimited-ingresses",
        title: "an Ingress without a rate limit of its controller",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "One client that sends without end takes the application away from all others, and may try passwords as \
              fast as it likes.",
        fix: "set the controller's annotation for a rate limit, such as nginx.ingress.kubernetes.io/limit-rps, or name the controller in \
              limitedByController if its own configuration limits every host",
        kinds: &[Kinds::Resource(INGRESSES)],
        fields: &[
            Fields::of(&["metadata.annotations[*]"]).allow(&[Allowed::Words(
                "a number above 0 in `limit-rps`, `limit-rpm` or `limit-connections` of ingress-nginx, in `rate-limit-requests`, \
                 `limit-rps` or `limit-connections` of HAProxy; F5's `limit-req-rate`; a web ACL of ALB, a middleware of Traefik, a \
                 plugin of Kong, a WAF policy of Azure, and what those limit is not seen",
            )]),
            Fields::of(&["metadata.annotations[*]"]).allow(&[Allowed::Words(
                "where the settings say so: addresses that may connect (`sourceRanges`), and no larger bodies than `maxBodySize`",
            )]),
            Fields::of(&["spec.ingressClassName", "spec.rules[*].http.paths[*].path"]).allow(&[Allowed::Words(
                "any without a limit, if all paths are below `/.well-known/acme-challenge/`; a warning at most for a class that \
                 neither `classes` nor the controllers themselves name",
            )]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for UnlimitedIngresses {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(ingress) = request.object_as::<Ingress<'_>>() else { return Ok(()) };
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return Ok(()) };
        let (readers, class) = self.classes.readers(ingress, metadata);
        let annotations = Annotations { metadata, readers };
        // A canary has the annotations of the Ingress that it is a canary of.
        if serves_challenges_alone(ingress) || is_canary(&annotations) {
            return Ok(());
        }
        self.judge_body(&annotations, report);
        let is_listed = self.source_ranges != SourceRanges::Ignore && self.lists_sources(&annotations);
        if self.source_ranges == SourceRanges::Require && !is_listed {
            let message = "must list the addresses that may connect, in the controller's annotation for them";
            report.add(Place::field(Path::root().fields("metadata.annotations")), message);
        }
        let suffices = self.source_ranges == SourceRanges::Suffice && is_listed;
        let by_controller =
            matches!(readers, Readers::One(controller) if self.limited_by_controller.contains(&controller));
        if suffices || by_controller {
            return Ok(());
        }
        match self.limit(&annotations) {
            Some(limit) if readers == Readers::Unknown => warn_of_class(class, limit, report),
            Some(_) => self.judge_exempt(&annotations, report),
            None => judge_missing(&annotations, report),
        }
        Ok(())
    }
}

impl UnlimitedIngresses {
    /// The annotation that limits.
    fn limit(&self, annotations: &Annotations<'_>) -> Option<&'static str> {
        let first = |table: &[(Controller, &'static [&'static str])], is: fn(&str) -> bool| {
            let mut found = table.iter().filter_map(|(controller, keys)| annotations.find(*controller, keys, is));
            found.next().map(|(key, _)| key)
        };
        let rate = || annotations.find(Controller::Nginx, &[RATE], is_rate).map(|(key, _)| key);
        let middleware = || {
            let list = annotations.get(Controller::Traefik, MIDDLEWARES)?;
            let limits = |name: &str| self.rate_limit_middlewares.is_empty() || self.rate_limit_middlewares.hold(name);
            items(list).any(limits).then_some(MIDDLEWARES)
        };
        let object = || first(&OBJECTS, |value| !value.trim().eq_ignore_ascii_case("none"));
        first(&NUMBERS, is_above_zero).or_else(rate).or_else(object).or_else(middleware)
    }

    /// Everybody must not be exempt from the limit.
    fn judge_exempt(&self, annotations: &Annotations<'_>, report: &mut Report) {
        for (controller, keys) in EXEMPT {
            let everybody = |list: &str| blocks(list).is_some_and(|blocks| blocks.are_everywhere(self.widest));
            if let Some((key, value)) = annotations.find(controller, keys, everybody) {
                let message = format_args!("must not exempt everybody from the limit: {}", quoted(value));
                report.add(annotation(key), message);
            }
        }
    }

    /// True if the addresses that may connect are listed, and not everywhere.
    fn lists_sources(&self, annotations: &Annotations<'_>) -> bool {
        let is_narrow = |list: &str| {
            // A file of patterns, which HAProxy's controller reads.
            list.trim().starts_with("patterns/")
                || blocks(list).is_some_and(|blocks| !blocks.are_everywhere(self.widest))
        };
        SOURCES.iter().any(|(controller, keys)| annotations.find(*controller, keys, is_narrow).is_some())
    }

    fn judge_body(&self, annotations: &Annotations<'_>, report: &mut Report) {
        let Some(most) = &self.max_body_size else { return };
        for (controller, keys) in BODIES {
            // Zero and "unlimited" are no limit.
            let is_larger = |value: &str| size(value).is_none_or(|bytes| bytes == 0 || bytes > most.bytes);
            if let Some((key, value)) = annotations.find(controller, keys, is_larger) {
                let message = format_args!("must be a size above 0 and of at most {}: {}", most.written, quoted(value));
                report.add(annotation(key), message);
            }
        }
    }
}

/// The blocks of a list; `None` if it is empty, or one of them is not a block.
fn blocks(list: &str) -> Option<Addresses> {
    let mut blocks = Addresses::default();
    let mut is_empty = true;
    for item in items(list) {
        is_empty = false;
        let whole = address(item).map(|address| format!("{item}/{}", if address.is_ipv4() { 32 } else { 128 }));
        if !blocks.add(whole.as_deref().unwrap_or(item), std::iter::empty()) {
            return None;
        }
    }
    (!is_empty).then_some(blocks)
}

fn is_above_zero(value: &str) -> bool {
    value.parse::<u64>().is_ok_and(|number| number > 0)
}

/// True for requests a second or minute, such as `10r/s`.
fn is_rate(value: &str) -> bool {
    let number = value.strip_suffix("r/s").or_else(|| value.strip_suffix("r/m"));
    number.is_some_and(is_above_zero)
}

/// A finding on each limit that limits nothing, or on the annotations.
fn judge_missing(annotations: &Annotations<'_>, report: &mut Report) {
    let mut are_written = false;
    for (controller, keys) in NUMBERS {
        for key in keys {
            if let Some(value) = annotations.get(controller, key) {
                are_written = true;
                report.add(annotation(key), format_args!("must be a number above 0: {} limits nothing", quoted(value)));
            }
        }
    }
    if are_written {
        return;
    }
    let place = Place::field(Path::root().fields("metadata.annotations"));
    match annotations.readers {
        Readers::One(controller @ (Controller::Contour | Controller::Gke)) => {
            let name = if controller == Controller::Gke { "GKE" } else { "Contour" };
            let message = format_args!(
                "must be of a controller that limits requests: {name} takes no limit from an Ingress, and limitedByController does \
                 not name it"
            );
            report.add(place, message);
        }
        Readers::One(controller) => {
            let tables = NUMBERS.iter().chain(&OBJECTS);
            let keys = tables.filter(|(of, _)| *of == controller).flat_map(|(_, keys)| keys.iter().copied());
            let known =
                keys.chain((controller == Controller::Traefik).then_some(MIDDLEWARES)).next().unwrap_or_default();
            report.add(place, format_args!("must have a rate limit of the controller, such as {known}"));
        }
        Readers::Any | Readers::Unknown => {
            report.add(place, "must have a rate limit of the controller");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_is_read_as_nginx_reads_it() {
        for (written, bytes) in
            [("0", Some(0)), ("1024", Some(1024)), ("8k", Some(8 << 10)), ("8M", Some(8 << 20)), ("1g", Some(1 << 30))]
        {
            assert_eq!(size(written), bytes, "{written}");
        }
        for written in ["", "m", "8mb", "8b", "-1", "+1", "1.5m", "8 m", "unlimited", "18446744073709551615g"] {
            assert_eq!(size(written), None, "{written}");
        }
    }
}
