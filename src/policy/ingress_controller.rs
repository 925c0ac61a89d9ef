//! Ingress controllers: the one that an Ingress is for, and what its annotations say.
//!
//! The class tells the controller. Controllers compare the whole name of a class, so `nginx-internal` is the class of whatever the
//! settings say, and of nobody known where they say nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::resource::Ingress;
use crate::object::{Metadata, Path, Place};
use crate::policy::{Report, quoted};

/// Maximum number of classes, and of names in each other list of the settings.
pub(super) const NAMES: usize = 256;
/// The annotation that names a class; controllers that know both read it before `spec.ingressClassName`.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Contour's own annotation for its class.
const CONTOUR_CLASS: &str = "projectcontour.io/ingress.class";
/// Start of the paths of ACME's HTTP-01 challenge (RFC 8555, section 8.3).
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// A controller whose annotations are known. Those of both projects for NGINX, and of both for HAProxy, have the same class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Controller {
    /// ingress-nginx, and the NGINX Ingress Controller of F5.
    Nginx,
    /// AWS Load Balancer Controller.
    Alb,
    /// GKE Ingress.
    Gke,
    Traefik,
    Contour,
    /// HAProxy Kubernetes Ingress Controller, and HAProxy Ingress.
    Haproxy,
    /// Azure Application Gateway Ingress Controller.
    Azure,
    Kong,
}

/// Classes that the controllers themselves have by default.
const WELL_KNOWN: [(&str, Controller); 10] = [
    ("nginx", Controller::Nginx),
    ("alb", Controller::Alb),
    ("gce", Controller::Gke),
    ("gce-internal", Controller::Gke),
    ("traefik", Controller::Traefik),
    ("contour", Controller::Contour),
    ("haproxy", Controller::Haproxy),
    ("azure-application-gateway", Controller::Azure),
    ("azure/application-gateway", Controller::Azure),
    ("kong", Controller::Kong),
];

/// Controllers of classes, by the names of the classes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, Controller>")]
#[schemars(with = "BTreeMap<String, Controller>")]
pub(super) struct Classes(BTreeMap<String, Controller>);

impl TryFrom<BTreeMap<String, Controller>> for Classes {
    type Error = String;

    fn try_from(classes: BTreeMap<String, Controller>) -> Result<Self, String> {
        if classes.len() > NAMES {
            return Err(format!("{} classes must be at most {NAMES}", classes.len()));
        }
        if classes.keys().any(|name| name.trim().is_empty()) {
            return Err("the name of a class must not be empty".to_owned());
        }
        Ok(Self(classes))
    }
}

/// A list of names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub(super) struct Names(Vec<String>);

impl TryFrom<Vec<String>> for Names {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        if names.len() > NAMES {
            return Err(format!("{} names must be at most {NAMES}", names.len()));
        }
        match names.iter().find(|name| name.trim().is_empty() || name.trim() != *name) {
            Some(name) => Err(format!("{} must be a name without blanks around it", quoted(name))),
            None => Ok(Self(names)),
        }
    }
}

impl Names {
    pub(super) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn hold(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// Controllers that may read the annotations of an Ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// The controller of its class.
    One(Controller),
    /// Any: it has no class.
    Any,
    /// Nobody knows: its class is in no list.
    Unknown,
}

impl Classes {
    /// The controllers that may read the annotations of an Ingress, and its class.
    pub(super) fn readers<'r>(&self, ingress: &'r Ingress<'_>, metadata: &'r Metadata<'_>) -> (Readers, &'r str) {
        let annotation = |key: &str| metadata.annotation(key).map(str::trim).filter(|class| !class.is_empty());
        let class = annotation(CLASS).or_else(|| annotation(CONTOUR_CLASS)).unwrap_or_else(|| ingress.class().trim());
        if class.is_empty() {
            return (Readers::Any, class);
        }
        let well_known = || WELL_KNOWN.iter().find(|(name, _)| *name == class).map(|(_, controller)| *controller);
        let controller = self.0.get(class).copied().or_else(well_known);
        (controller.map_or(Readers::Unknown, Readers::One), class)
    }
}

/// The annotations of an Ingress, each for the controllers that read it.
#[derive(Clone, Copy)]
pub(super) struct Annotations<'r> {
    pub(super) metadata: &'r Metadata<'r>,
    pub(super) readers: Readers,
}

impl<'r> Annotations<'r> {
    /// True if a controller may read them.
    pub(super) fn may_be_read_by(&self, controller: Controller) -> bool {
        match self.readers {
            Readers::One(one) => one == controller,
            Readers::Any | Readers::Unknown => true,
        }
    }

    /// True if that controller reads them, and nobody else.
    pub(super) fn are_read_by(&self, controller: Controller) -> bool {
        self.readers == Readers::One(controller)
    }

    /// The value of an annotation of a controller; `None` if it is blank or that controller does not read it.
    pub(super) fn get(&self, controller: Controller, key: &str) -> Option<&'r str> {
        if !self.may_be_read_by(controller) {
            return None;
        }
        self.metadata.annotation(key).filter(|value| !value.trim().is_empty())
    }

    /// The first of several annotations of a controller that is set and for which `holds` is true, and its value.
    pub(super) fn find(
        &self,
        controller: Controller,
        keys: &[&'static str],
        holds: impl Fn(&str) -> bool,
    ) -> Option<(&'static str, &'r str)> {
        let found = keys.iter().filter_map(|key| self.get(controller, key).map(|value| (*key, value)));
        found.into_iter().find(|(_, value)| holds(value))
    }
}

/// The place of an annotation.
pub(super) fn annotation(key: &str) -> Place {
    Place::field(Path::root().fields("metadata.annotations").key(key))
}

/// Warns that nobody knows whether an annotation counts, since the class is in no list.
pub(super) fn warn_of_class(class: &str, key: &str, report: &mut Report) {
    let message = format_args!(
        "must be a class of which the setting classes names the controller: {} is not, so {} may mean nothing",
        quoted(class),
        quoted(key)
    );
    report.add_warning(Place::field(Path::root().fields("spec.ingressClassName")), message);
}

/// True for a canary of ingress-nginx, of which nothing but what makes it one is read.
pub(super) fn is_canary(annotations: &Annotations<'_>) -> bool {
    annotations.get(Controller::Nginx, "nginx.ingress.kubernetes.io/canary").is_some_and(is_true)
}

/// True for a value that Go's `strconv.ParseBool` takes for true.
pub(super) fn is_true(value: &str) -> bool {
    ["1", "t", "T", "true", "TRUE", "True"].contains(&value)
}

/// True for a value that a controller may take for false.
pub(super) fn is_false(value: &str) -> bool {
    ["0", "f", "false", "off", "disabled", "no"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

/// Items of a list with commas between them.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    crate::steps::counted(list.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// True if an Ingress serves nothing but ACME challenges, which come over plain HTTP and without any annotation.
pub(super) fn serves_challenges_alone(ingress: &Ingress<'_>) -> bool {
    let is_of_challenges = |rule: &crate::object::resource::IngressRule<'_>| {
        rule.paths().next().is_some() && rule.paths().all(is_challenge)
    };
    !ingress.has_default_backend() && ingress.rules().next().is_some() && ingress.rules().all(is_of_challenges)
}

/// True for a path that is that of ACME challenges or below it. It may be a regular expression of the controller's, so
/// nothing in it may lead elsewhere.
pub(super) fn is_challenge(path: &str) -> bool {
    if CHALLENGE.strip_suffix('/') == Some(path) {
        return true;
    }
    let is_plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte));
    let rest = path.strip_prefix(CHALLENGE);
    rest.map(|rest| rest.strip_suffix('*').unwrap_or(rest)).is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_challenge;

    #[test]
    fn a_challenge_is_a_plain_path_below_its_folder() {
        for path in ["", "/", "/aZ09-_", "/*"] {
            assert!(is_challenge(&format!("/.well-known/acme-challenge{path}")), "{path}");
        }
        for path in [
            "",
            "/",
            "/.well-known/",
            "/.well-known/acme-challengex",
            "/x/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/../admin",
            "/.well-known/acme-challenge/%2e%2e/admin",
            "/.well-known/acme-challenge/(.*)|/",
            "/.well-known/acme-challenge/.*",
            "/.well-known/acme-challenge/**",
        ] {
            assert!(!is_challenge(path), "{path}");
        }
    }
}
