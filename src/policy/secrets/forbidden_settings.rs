//! `forbidden-settings`: variables that settings forbid are not in the environment of an app.
//!
//! The entries of `env` are judged, and the entries of ConfigMaps, whose keys are variables where `envFrom` names the ConfigMap. A
//! later entry of `env` with the same name replaces the earlier one, so that the last counts. References (`$(NAME)`) to variables
//! of the same container are followed. What comes from a Secret, from a ConfigMap or from a field is not known; such a variable is
//! found only where its name alone is forbidden. A ConfigMap is judged by itself when it is written, since no request about a Pod
//! holds it.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{CONFIG_MAPS, ConfigMap};
use crate::object::{Container, Path, Place, ValueSource};
use crate::policy::environment::{self, plain};
use crate::policy::pattern::Pattern;
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Variables that settings may name, and values of one.
const VARIABLES: usize = 256;
const VALUES: usize = 64;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForbiddenSettings {
    /// The variables. Without any, nothing is found.
    variables: Variables,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Forbidden>")]
#[schemars(with = "Vec<Forbidden>")]
struct Variables {
    /// Those with a name of their own, by it.
    exact: HashMap<String, Vec<Forbidden>>,
    /// Those with a pattern for a name.
    patterns: Vec<Forbidden>,
}

/// A variable that must not be set, or not to some values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forbidden {
    /// Its name, in which `*` stands for any characters.
    name: Pattern,
    /// Values that it must not have, in which `*` stands for any characters; capitals, spaces and quotation marks around a value do not
    /// matter. Without any, it must not be set at all.
    #[serde(default)]
    values: Vec<Pattern>,
    /// Names of the containers that this is about, in which `*` stands for any characters. Without any it is about every container, and
    /// about ConfigMaps.
    #[serde(default)]
    containers: Vec<Pattern>,
}

impl TryFrom<Vec<Forbidden>> for Variables {
    type Error = String;

    fn try_from(all: Vec<Forbidden>) -> Result<Self, String> {
        if all.len() > VARIABLES {
            return Err(format!("must have at most {VARIABLES} entries"));
        }
        let mut variables = Self::default();
        for forbidden in all {
            let name = &forbidden.name;
            if name.as_str().is_empty() {
                return Err("must not have an entry with an empty name".to_owned());
            }
            if forbidden.values.len() > VALUES || forbidden.containers.len() > VALUES {
                return Err(format!("must have at most {VALUES} values and containers for {name}"));
            }
            if name.is_exact() {
                variables.exact.entry(name.as_str().to_owned()).or_default().push(forbidden);
            } else {
                variables.patterns.push(forbidden);
            }
        }
        Ok(variables)
    }
}

impl Policy for ForbiddenSettings {
    const META: &'static Meta = &Meta {
        id: "forbidden-settings",
        title: "a variable that the settings forbid, such as one that turns mock services or debugging on",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "A setting for tests that reaches production turns off payments, authentication or certificate checks, and nothing else \
              looks wrong.",
        fix: "delete the variable, or give it a value that the settings of the policy do not list",
        kinds: &[Kinds::Pods, Kinds::Resource(CONFIG_MAPS)],
        fields: &[
            Fields::of_containers(&["env[*].name"]).allow(&[Allowed::Words("names that the settings do not forbid")]),
            Fields::of_containers(&["env[*].value"])
                .allow(&[Allowed::Absent, Allowed::Words("values that the settings do not forbid for the name")]),
            Fields::of(&["data"]).allow(&[Allowed::Words("the same, of names and values in a ConfigMap")]),
        ],
        changes: &[],
        controls: &[],
    };
}

impl Validator for ForbiddenSettings {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if self.variables.exact.is_empty() && self.variables.patterns.is_empty() {
            return Ok(());
        }
        for container in request.containers() {
            self.judge_container(&container, report);
        }
        if let Some(map) = request.object_as::<ConfigMap<'_>>() {
            for (name, value) in map.data() {
                if let Some(forbids) = self.forbids(name, Some(value), None) {
                    let place = Place::field(Path::root().fields("data").key(name));
                    report.add(place, Message { name, forbids });
                }
            }
        }
        Ok(())
    }
}

/// The part of an entry that settings forbid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forbids {
    Name,
    Value,
}

struct Message<'n> {
    name: &'n str,
    forbids: Forbids,
}

impl std::fmt::Display for Message<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = quoted(self.name);
        match self.forbids {
            Forbids::Name => write!(out, "must not set the variable {name}, which the settings forbid"),
            Forbids::Value => write!(out, "must not give the variable {name} a value that the settings forbid"),
        }
    }
}

impl ForbiddenSettings {
    fn judge_container(&self, container: &Container<'_, '_>, report: &mut Report) {
        // By position, so that findings are in the order of the list.
        let variables: BTreeMap<usize, _> = environment::of(container)
            .into_iter()
            .map(|(name, variable)| (variable.position, (name, variable)))
            .collect();
        for (position, (name, variable)) in &variables {
            let Some(forbids) = self.forbids(name, variable.value.as_deref(), Some(container.name())) else { continue };
            let field = match (forbids, variable.source) {
                (Forbids::Value, ValueSource::Written(_)) => "value",
                _ => "name",
            };
            report.add(container.at_item("env", *position, field), Message { name, forbids });
        }
    }

    fn forbids(&self, name: &str, value: Option<&str>, container: Option<&str>) -> Option<Forbids> {
        let exact = self.variables.exact.get(name).into_iter().flatten();
        let patterns = self.variables.patterns.iter().filter(|forbidden| forbidden.name.matches(name));
        let mut found = exact.chain(patterns).take_while(|_| steps::take(1)).filter_map(|forbidden| {
            let is_of = |container: &str| forbidden.containers.iter().any(|pattern| pattern.matches(container));
            if !forbidden.containers.is_empty() && !container.is_some_and(is_of) {
                return None;
            }
            if forbidden.values.is_empty() {
                return Some(Forbids::Name);
            }
            let value = plain(value?);
            forbidden.values.iter().any(|pattern| pattern.matches_any_case(value)).then_some(Forbids::Value)
        });
        found.next()
    }
}
