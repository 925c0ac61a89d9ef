//! The headers that are written where they can be seen, with their values.

use std::borrow::Cow;

use super::tokens::{Language, statements, tokens};
use crate::policy::ingress_controller::{Annotations, Controller, is_true};
use crate::steps;

/// Annotations of HAProxy's controller with a header a line.
const HAPROXY_HEADERS: [&str; 3] =
    ["haproxy.org/response-set-header", "haproxy.com/response-set-header", "ingress.kubernetes.io/response-set-header"];
/// Strict-Transport-Security of HAProxy Ingress and of F5's controller: whether it is set, and for how many seconds.
const TRANSPORT: [(Controller, &str, &str); 3] = [
    (Controller::Haproxy, "haproxy-ingress.github.io/hsts", "haproxy-ingress.github.io/hsts-max-age"),
    (Controller::Haproxy, "ingress.kubernetes.io/hsts", "ingress.kubernetes.io/hsts-max-age"),
    (Controller::Nginx, "nginx.org/hsts", "nginx.org/hsts-max-age"),
];
/// `hsts-max-age` of F5's controller if it is not set, and `hsts-max-age` of HAProxy Ingress.
const NGINX_MAX_AGE: &str = "2592000";
const HAPROXY_MAX_AGE: &str = "15768000";
/// Annotations that are pasted into the configuration.
const SNIPPETS: [(Controller, Language, &str); 8] = [
    (Controller::Nginx, Language::Nginx, "nginx.ingress.kubernetes.io/configuration-snippet"),
    (Controller::Nginx, Language::Nginx, "nginx.ingress.kubernetes.io/server-snippet"),
    (Controller::Nginx, Language::Nginx, "nginx.org/location-snippets"),
    (Controller::Nginx, Language::Nginx, "nginx.org/server-snippets"),
    (Controller::Haproxy, Language::Haproxy, "haproxy.org/backend-config-snippet"),
    (Controller::Haproxy, Language::Haproxy, "haproxy.com/backend-config-snippet"),
    (Controller::Haproxy, Language::Haproxy, "haproxy-ingress.github.io/config-backend"),
    (Controller::Haproxy, Language::Haproxy, "ingress.kubernetes.io/config-backend"),
];
/// Prefix of the annotations with the attributes of a listener of an AWS load balancer.
const LISTENER: &str = "alb.ingress.kubernetes.io/listener-attributes.";
/// Attributes that set headers.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("routing.http.response.strict_transport_security.header_value", "Strict-Transport-Security"),
    ("routing.http.response.x_content_type_options.header_value", "X-Content-Type-Options"),
    ("routing.http.response.x_frame_options.header_value", "X-Frame-Options"),
    ("routing.http.response.content_security_policy.header_value", "Content-Security-Policy"),
];
/// Bytes of text for which one step is taken.
const STEP: usize = 16;

/// Headers, each with its value and the key of the annotation or entry that holds it.
#[derive(Default)]
pub(super) struct Written<'r>(Vec<(Cow<'r, str>, Cow<'r, str>, Cow<'r, str>)>);

impl<'r> Written<'r> {
    /// The headers that annotations set, also those of snippets if these count.
    pub(super) fn of(annotations: &Annotations<'r>, with_snippets: bool) -> Self {
        let mut written = Self::default();
        for key in HAPROXY_HEADERS {
            if let Some(lines) = annotations.get(Controller::Haproxy, key) {
                written.add_lines(key, lines);
            }
        }
        for (controller, is_set, age_key) in TRANSPORT {
            let age = annotations.get(controller, age_key);
            let switch = annotations.get(controller, is_set);
            // HAProxy Ingress sets it unless it is told not to.
            let is_on = switch.map_or(controller == Controller::Haproxy && age.is_some(), is_true);
            if is_on {
                let default = if controller == Controller::Nginx { NGINX_MAX_AGE } else { HAPROXY_MAX_AGE };
                let key = if age.is_some() { age_key } else { is_set };
                written.add("Strict-Transport-Security", format!("max-age={}", age.unwrap_or(default)), key);
            }
        }
        written.add_attributes(annotations);
        for (controller, language, key) in SNIPPETS.into_iter().filter(|_| with_snippets) {
            if let Some(text) = annotations.get(controller, key) {
                written.add_snippet(key, text, language);
            }
        }
        written
    }

    /// The headers in the data of a ConfigMap.
    pub(super) fn of_map(data: impl Iterator<Item = (&'r str, &'r str)>) -> Self {
        Self(data.map(|(name, value)| (name.into(), value.into(), name.into())).collect())
    }

    /// The values of a header, each with its key.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let of_name = steps::counted(self.0.iter()).filter(move |(written, ..)| written.eq_ignore_ascii_case(name));
        of_name.map(|(_, value, key)| (&**key, &**value))
    }

    /// An annotation that sets a header.
    pub(super) fn first_key(&self) -> Option<&str> {
        self.0.first().map(|(_, _, key)| &**key)
    }

    fn add(&mut self, name: impl Into<Cow<'r, str>>, value: impl Into<Cow<'r, str>>, key: impl Into<Cow<'r, str>>) {
        self.0.push((name.into(), value.into(), key.into()));
    }

    /// `NAME VALUE` a line, the value perhaps in quotation marks.
    fn add_lines(&mut self, key: &'static str, lines: &'r str) {
        if !steps::take(u32::try_from(lines.len() / STEP).unwrap_or(u32::MAX)) {
            return;
        }
        for line in steps::counted(lines.lines()) {
            let Some((name, value)) = line.trim().split_once(char::is_whitespace) else { continue };
            let value = value.trim();
            let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            self.add(name, unquoted.unwrap_or(value), key);
        }
    }

    /// `name=value` with commas between them.
    fn add_attributes(&mut self, annotations: &Annotations<'r>) {
        if !annotations.may_be_read_by(Controller::Alb) {
            return;
        }
        for (key, list) in annotations.metadata.annotations().filter(|(key, _)| key.starts_with(LISTENER)) {
            let pairs = steps::counted(list.split(',')).filter_map(|pair| pair.split_once('='));
            for (attribute, value) in pairs {
                if let Some((_, name)) = ATTRIBUTES.iter().find(|(known, _)| *known == attribute.trim()) {
                    self.add(*name, value.trim(), key);
                }
            }
        }
    }

    fn add_snippet(&mut self, key: &'static str, text: &str, language: Language) {
        for words in steps::counted(statements(tokens(text, language))) {
            match (language, words.iter().map(String::as_str).collect::<Vec<_>>().as_slice()) {
                (Language::Nginx, ["add_header", name, value] | ["add_header", name, value, "always"])
                | (Language::Haproxy, ["http-response", "set-header" | "add-header", name, value]) => {
                    self.add((*name).to_owned(), (*value).to_owned(), key);
                }
                // With options it sets them for some responses alone.
                (Language::Nginx, ["more_set_headers", headers @ ..])
                    if !headers.iter().any(|word| word.starts_with('-')) =>
                {
                    for (name, value) in headers.iter().filter_map(|header| header.split_once(':')) {
                        self.add(name.trim().to_owned(), value.trim().to_owned(), key);
                    }
                }
                // With a condition it sets them for some responses alone.
                _ => {}
            }
        }
    }
}
