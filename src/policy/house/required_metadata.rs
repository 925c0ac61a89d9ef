//! `required-metadata`: objects have the labels and annotations that the settings ask for.
//!
//! Each instance names kinds, and the keys that their objects must have, with a pattern for the whole value. It is about the object's
//! own metadata: a Deployment is asked for its labels, and its Pods for theirs only where an instance names Pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{NamedKind, Object, Path, Place, label_key};
use crate::policy::anchored::Anchored;
use crate::policy::instances::{Instance, InstanceMode, Instances, KindList, Name, it_is};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Maximum number of labels, and of annotations, of an instance.
const KEYS: usize = 64;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequiredMetadata {
    /// The rules, each with a name. Without any, nothing is judged.
    instances: Instances<Rule>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "MetadataRule")]
#[schemars(with = "MetadataRule")]
struct Rule(MetadataRule);

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetadataRule {
    /// Name of the rule, which messages and records repeat.
    name: Name,
    /// Kinds of the objects that it is about; no other is.
    kinds: KindList,
    /// Labels that must be there, each with a pattern that matches the whole value.
    #[serde(default)]
    labels: Patterns,
    /// Annotations that must be there, each with a pattern that matches the whole value.
    #[serde(default)]
    annotations: Patterns,
    /// `warn`: its findings are warnings at most.
    #[serde(default)]
    mode: InstanceMode,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, Anchored>")]
#[schemars(with = "BTreeMap<String, String>")]
struct Patterns(BTreeMap<String, Anchored>);

#[derive(Debug, thiserror::Error)]
enum RuleError {
    #[error("must have labels or annotations")]
    Empty,
    #[error("must have at most {KEYS} keys")]
    TooMany,
    #[error(
        "must not have the key {0:?}: it is not the key of a label or annotation, such as team or example.com/team"
    )]
    Key(String),
}

impl TryFrom<MetadataRule> for Rule {
    type Error = RuleError;

    fn try_from(written: MetadataRule) -> Result<Self, RuleError> {
        if written.labels.0.is_empty() && written.annotations.0.is_empty() {
            return Err(RuleError::Empty);
        }
        Ok(Self(written))
    }
}

impl TryFrom<BTreeMap<String, Anchored>> for Patterns {
    type Error = RuleError;

    fn try_from(patterns: BTreeMap<String, Anchored>) -> Result<Self, RuleError> {
        if patterns.len() > KEYS {
            return Err(RuleError::TooMany);
        }
        match patterns.keys().find(|key| !label_key::is_label_key(key)) {
            Some(key) => Err(RuleError::Key(key.chars().take(label_key::NAME).collect())),
            None => Ok(Self(patterns)),
        }
    }
}

impl Instance for Rule {
    fn name(&self) -> &Name {
        &self.0.name
    }

    fn kinds(&self) -> &[NamedKind] {
        &self.0.kinds.0
    }

    fn mode(&self) -> InstanceMode {
        self.0.mode
    }
}

impl Policy for RequiredMetadata {
    const META: &'static Meta = &Meta {
        id: "required-metadata",
        title: "an object without the labels and annotations that the settings ask for",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Who owns an object, what it costs and whom to call is known from its metadata, or not at all. An object that nobody owns \
              is not repaired, and is not removed.",
        fix: "set the label or annotation that is named, to a value that matches the pattern; deploy/house-rules.md describes the settings",
        kinds: &[Kinds::Settings],
        fields: &[Fields::of(&["metadata.labels[*]", "metadata.annotations[*]"]).allow(&[Allowed::Words(
            "the keys that an instance lists must be there, and its pattern must match the whole value; other keys are free",
        )])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for RequiredMetadata {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return Ok(()) };
        for (Rule(rule), kind) in self.instances.about(request) {
            let labels = rule.labels.0.iter().map(|(key, pattern)| ("labels", key, pattern, metadata.label(key)));
            let annotations =
                rule.annotations.0.iter().map(|(key, pattern)| ("annotations", key, pattern, metadata.annotation(key)));
            for (field, key, pattern, value) in steps::counted(labels.chain(annotations)) {
                let name = &rule.name;
                let place = || Place::field(Path::root().fields("metadata").fields(field).key(key));
                let mut add = |message: std::fmt::Arguments<'_>| match rule.mode {
                    InstanceMode::Enforce => report.add(place(), message),
                    InstanceMode::Warn => report.add_warning(place(), message),
                };
                match value {
                    None => add(format_args!("must be set, to a value that matches {pattern} (instance {name})")),
                    Some(value) if !pattern.matches(value) => {
                        let it_is = it_is(kind, key, value, quoted(value));
                        add(format_args!("must match {pattern} (instance {name}){it_is}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds<'_>) -> bool {
        matches!(kinds, Kinds::Named(kind) if self.instances.only_warn(kind))
    }

    fn named(&self) -> &[NamedKind] {
        self.instances.kinds()
    }
}
