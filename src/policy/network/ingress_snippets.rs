//! `ingress-snippets`: no annotation is pasted into the configuration of the ingress controller.
//!
//! The prefix of ingress-nginx's annotations is an option of the controller (`--annotations-prefix`), and NGINX's, Angie's and HAProxy's
//! controllers have names of the same form, so that the name behind the prefix decides: it ends in `-snippet` or
//! `-snippets`. haproxy-ingress names its own `config-backend` and so on, on Ingresses and on Services. A blank annotation does
//! nothing.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{INGRESSES, SERVICES};
use crate::object::{Object, Path, Place};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Ends of the names of annotations that are pasted.
const ENDS: [&str; 2] = ["-snippet", "-snippets"];
/// Prefixes of haproxy-ingress; the second is its older one.
const HAPROXY: [&str; 2] = ["haproxy-ingress.github.io", "ingress.kubernetes.io"];
/// Prefix of the annotation names that haproxy-ingress pastes.
const CONFIG: &str = "config-";
/// Prefixes of names that are haproxy-ingress' own, whatever `--annotations-prefix` it was given.
const SECTIONS: [&str; 6] =
    ["config-backend", "config-defaults", "config-frontend", "config-global", "config-proxy", "config-tcp"];

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct IngressSnippets {
    /// Annotations that are allowed all the same, by their whole names.
    allow: Vec<String>,
}

impl Policy for IngressSnippets {
    const META: &'static Meta = &Meta {
        id: "ingress-snippets",
        title: "an annotation that is pasted into the configuration of the ingress controller",
        severity: Severity::High,
        since: "0.1.0",
        why: "A snippet is configuration of a controller that reads the Secrets of every namespace: whoever may write an Ingress reads \
              them too (CVE-2021-25742).",
        fix: "remove the annotation, and use the controller's annotation for that purpose, such as custom-headers or a rate limit",
        kinds: &[Kinds::Resource(INGRESSES), Kinds::Resource(SERVICES)],
        fields: &[Fields::of(&["metadata.annotations[*]"])
            .allow(&[Allowed::Words("names that neither end in `-snippet` or `-snippets` nor are a `config-…` of haproxy-ingress, or that the settings list")])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for IngressSnippets {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let metadata = request.object.as_ref().map(Object::metadata);
        for (key, value) in metadata.iter().flat_map(|metadata| metadata.annotations()) {
            if is_snippet(key) && !value.trim().is_empty() && !self.allow.iter().any(|allowed| allowed == key) {
                let place = Place::field(Path::root().fields("metadata.annotations").key(key)).holding([value]);
                let name = quoted(key);
                let message = format_args!(
                    "must not have {name}, which is pasted into the configuration of the ingress controller"
                );
                report.add(place, message);
            }
        }
        Ok(())
    }
}

/// True for an annotation that a controller pastes into its configuration.
fn is_snippet(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else { return false };
    ENDS.iter().any(|end| name.ends_with(end))
        || HAPROXY.contains(&prefix) && name.starts_with(CONFIG)
        || SECTIONS.iter().any(|section| name.starts_with(section))
}
