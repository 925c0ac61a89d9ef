//! `required-settings`: variables that settings demand are in the environment of an app.
//!
//! A later entry of `env` replaces an earlier one, and one of `env` those of `envFrom`. Values in Secrets and ConfigMaps stand in no
//! request: a variable that may come from one counts as set, and its value as an allowed one, unless `countsUnseen` is false. A
//! reference that is `optional` may leave the variable unset, so it does not count. Ephemeral containers are for debugging, and
//! need no settings; containers that run before the app are asked only where `containers` names them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{Container, ContainerList, ValueSource};
use crate::policy::environment::{self, Variable, plain};
use crate::policy::pattern::Pattern;
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;

/// Variables that settings may name, and values of one.
const VARIABLES: usize = 256;
const VALUES: usize = 64;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RequiredSettings {
    /// The variables. Without any, nothing is found.
    variables: Variables,
    /// True if a variable counts as set where it may come from a ConfigMap or Secret, whose content no request shows.
    counts_unseen: bool,
}

impl Default for RequiredSettings {
    fn default() -> Self {
        Self { variables: Variables::default(), counts_unseen: true }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Required>")]
#[schemars(with = "Vec<Required>")]
struct Variables(Vec<Required>);

/// A variable that must be set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Required {
    /// Its name.
    name: String,
    /// Values of which it must have one, in which `*` stands for any characters; capitals, spaces and quotation marks around a value do
    /// not matter. Without any, each value but an empty one will do.
    #[serde(default)]
    values: Vec<Pattern>,
    /// The kind of reference that its value must come from.
    #[serde(default)]
    from: Option<Reference>,
    /// Names of the containers that must have it, in which `*` stands for any characters. Without any, each container of `containers`
    /// must.
    #[serde(default)]
    containers: Vec<Pattern>,
}

/// A kind of reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Reference {
    SecretKeyRef,
    ConfigMapKeyRef,
}

impl Reference {
    fn field(self) -> &'static str {
        match self {
            Self::SecretKeyRef => "secretKeyRef",
            Self::ConfigMapKeyRef => "configMapKeyRef",
        }
    }
}

impl TryFrom<Vec<Required>> for Variables {
    type Error = String;

    fn try_from(all: Vec<Required>) -> Result<Self, String> {
        if all.len() > VARIABLES {
            return Err(format!("must have at most {VARIABLES} entries"));
        }
        for required in &all {
            let name = quoted(&required.name);
            if required.name.is_empty() || required.name.contains('*') {
                return Err(format!("must name each variable, and {name} is not a name: patterns are not read"));
            }
            if required.values.len() > VALUES || required.containers.len() > VALUES {
                return Err(format!("must have at most {VALUES} values and containers for {name}"));
            }
            if required.from.is_some() && !required.values.is_empty() {
                return Err(format!(
                    "must not have both values and from for {name}: no request shows the value behind a reference"
                ));
            }
        }
        Ok(Self(all))
    }
}

impl Policy for RequiredSettings {
    const META: &'static Meta = &Meta {
        id: "required-settings",
        title: "a container without a variable that the settings demand, such as one that turns authentication on",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "An app whose default is for development runs without authentication or encryption where a variable was forgotten, and \
              nothing fails.",
        fix: "set the variable in env, to a value or from the reference that the settings of the policy ask for",
        kinds: &[Kinds::Pods],
        fields: &[Fields::of_lasting_containers(&["env", "envFrom"])
            .allow(&[Allowed::Words(
            "the variables that the settings demand, with values that they allow; what a Secret or ConfigMap holds is in no request, \
             and counts as that unless the settings say otherwise",
        )])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for RequiredSettings {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        if self.variables.0.is_empty() {
            return Ok(());
        }
        for container in request.containers().filter(|container| container.list() != ContainerList::Ephemeral) {
            let mut demanded = self.variables.0.iter().filter(|required| required.is_of(&container)).peekable();
            if demanded.peek().is_none() {
                continue;
            }
            let variables = environment::of(&container);
            for required in demanded {
                self.judge_variable(required, variables.get(required.name.as_str()), &container, report);
            }
        }
        Ok(())
    }
}

impl Required {
    fn is_of(&self, container: &Container<'_, '_>) -> bool {
        if self.containers.is_empty() {
            return container.list() == ContainerList::Regular;
        }
        self.containers.iter().any(|pattern| pattern.matches(container.name()))
    }

    /// True if a bundle of variables may hold this one.
    fn may_come_from(&self, container: &Container<'_, '_>) -> bool {
        container.bundles().any(|bundle| {
            let is_asked = match self.from {
                None => true,
                Some(Reference::SecretKeyRef) => bundle.is_secret,
                Some(Reference::ConfigMapKeyRef) => !bundle.is_secret,
            };
            is_asked && !bundle.is_optional
        })
    }
}

impl RequiredSettings {
    fn judge_variable(
        &self,
        required: &Required,
        variable: Option<&Variable<'_>>,
        container: &Container<'_, '_>,
        report: &mut Report,
    ) {
        let name = quoted(&required.name);
        let Some(variable) = variable else {
            if !(self.counts_unseen && required.may_come_from(container)) {
                report
                    .add(container.at("env"), format_args!("must set the variable {name}, which the settings demand"));
            }
            return;
        };
        let at = |field| container.at_item("env", variable.position, field);
        if let Some(from) = required.from {
            let is_that = match (variable.source, from) {
                (ValueSource::Secret { is_optional }, Reference::SecretKeyRef)
                | (ValueSource::ConfigMap { is_optional }, Reference::ConfigMapKeyRef) => !is_optional,
                _ => false,
            };
            if !is_that {
                let field = from.field();
                let message = format_args!("must take the variable {name} from a {field} that is not optional");
                match variable.source {
                    // Both would be an error: it is not `value` that must change, but the entry.
                    ValueSource::Written(_) => report.add(container.at("env"), message),
                    _ => report.add(at("valueFrom"), message),
                }
            }
            return;
        }
        let is_allowed = |value: &str| match required.values.as_slice() {
            [] => !value.is_empty(),
            values => values.iter().any(|pattern| pattern.matches_any_case(value)),
        };
        match (variable.source, &variable.value) {
            (ValueSource::Secret { is_optional: true } | ValueSource::ConfigMap { is_optional: true }, _) => {
                report.add(
                    at("valueFrom"),
                    format_args!("must set the variable {name}: the reference must not be optional"),
                );
            }
            (_, None) if self.counts_unseen || required.values.is_empty() => {}
            (_, Some(value)) if is_allowed(plain(value)) => {}
            (ValueSource::Written(_), _) => {
                report.add(at("value"), format_args!("must give the variable {name} a value that the settings allow"));
            }
            _ => report.add(
                at("valueFrom"),
                format_args!("must show that the variable {name} has a value that the settings allow"),
            ),
        }
    }
}
