//! `allowed-values`: a field of an object has one of the values that the settings list, or one that matches their pattern.
//!
//! Each instance names kinds and a path in their objects; `[*]` in it stands for every item of a list, and for every value of a map.
//! The object is read along the path alone, and of a Secret the metadata alone.

use std::fmt::{self, Display as _};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::{FieldPath, FieldPathError, NamedKind, Reached, Scalar, Spot};
use crate::policy::anchored::Anchored;
use crate::policy::instances::{Instance, InstanceMode, Instances, KindList, Name, it_is};
use crate::policy::{Allowed, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Maximum number of values of an instance.
const VALUES: usize = 256;
/// Maximum length of a value of the settings in bytes.
const VALUE: usize = 1_024;
/// Number of values that a message lists.
const LISTED: usize = 8;

/// Settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AllowedValues {
    /// The rules, each with a name. Without any, nothing is judged.
    instances: Instances<Rule>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "ValueRule")]
#[schemars(with = "ValueRule")]
struct Rule {
    name: Name,
    kinds: Vec<NamedKind>,
    path: FieldPath,
    wanted: Wanted,
    absent: Absent,
    mode: InstanceMode,
}

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValueRule {
    /// Name of the rule, which messages and records repeat.
    name: Name,
    /// Kinds of the objects that it is about; no other is.
    kinds: KindList,
    /// Path of the field, such as `spec.ports[*].name`. `[*]` stands for every item of a list or value of a map, and a key with
    /// dots or slashes is written in brackets.
    path: PathSetting,
    /// Values that are allowed. Numbers are compared by their value; a number and a string are the same if they are written alike.
    values: Option<Values>,
    /// Instead of the values: a pattern that matches the whole value.
    pattern: Option<Anchored>,
    /// `refuse`: the field must be there, in each item that `[*]` goes through.
    #[serde(default)]
    absent: Absent,
    /// `warn`: its findings are warnings at most.
    #[serde(default)]
    mode: InstanceMode,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct PathSetting(FieldPath);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<serde_json::Value>")]
#[schemars(with = "Vec<serde_json::Value>")]
struct Values(Vec<Scalar>);

#[derive(Debug)]
enum Wanted {
    OneOf(Vec<Scalar>),
    Matching(Anchored),
}

/// An absent field, or one that is null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Absent {
    /// It is allowed.
    #[default]
    Allow,
    /// It is a finding.
    Refuse,
}

#[derive(Debug, thiserror::Error)]
enum RuleError {
    #[error("must have values or a pattern")]
    Neither,
    #[error("must not have both values and a pattern")]
    Both,
    #[error(
        "must have a path in the metadata for kind Secret, such as metadata.labels[team]: nothing else of a Secret is read"
    )]
    Secret,
    #[error("must have a value")]
    NoValue,
    #[error("must have at most {VALUES} values")]
    TooMany,
    #[error("must hold strings of at most {VALUE} bytes, numbers, true and false")]
    Value,
}

impl TryFrom<String> for PathSetting {
    type Error = FieldPathError;

    fn try_from(text: String) -> Result<Self, FieldPathError> {
        FieldPath::parse(&text).map(Self)
    }
}

impl TryFrom<Vec<serde_json::Value>> for Values {
    type Error = RuleError;

    fn try_from(values: Vec<serde_json::Value>) -> Result<Self, RuleError> {
        if values.is_empty() {
            return Err(RuleError::NoValue);
        }
        if values.len() > VALUES {
            return Err(RuleError::TooMany);
        }
        let scalar = |value| match value {
            serde_json::Value::String(text) if text.len() <= VALUE => Ok(Scalar::Text(text)),
            serde_json::Value::Number(number) => Ok(Scalar::Number(number)),
            serde_json::Value::Bool(value) => Ok(Scalar::Bool(value)),
            _ => Err(RuleError::Value),
        };
        values.into_iter().map(scalar).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<ValueRule> for Rule {
    type Error = RuleError;

    fn try_from(written: ValueRule) -> Result<Self, RuleError> {
        let ValueRule { name, kinds: KindList(kinds), path: PathSetting(path), values, pattern, absent, mode } =
            written;
        let wanted = match (values, pattern) {
            (Some(Values(values)), None) => Wanted::OneOf(values),
            (None, Some(pattern)) => Wanted::Matching(pattern),
            (None, None) => return Err(RuleError::Neither),
            (Some(_), Some(_)) => return Err(RuleError::Both),
        };
        if kinds.iter().any(NamedKind::is_secret) && !path.is_in_metadata() {
            return Err(RuleError::Secret);
        }
        Ok(Self { name, kinds, path, wanted, absent, mode })
    }
}

impl Instance for Rule {
    fn name(&self) -> &Name {
        &self.name
    }

    fn kinds(&self) -> &[NamedKind] {
        &self.kinds
    }

    fn mode(&self) -> InstanceMode {
        self.mode
    }
}

impl Wanted {
    fn takes(&self, value: &Scalar) -> bool {
        match self {
            Self::OneOf(values) => steps::counted(values).any(|allowed| allowed.is_same(value)),
            Self::Matching(pattern) => match value {
                Scalar::Text(text) => pattern.matches(text),
                value => pattern.matches(&value.to_string()),
            },
        }
    }
}

/// The end of `must be …`.
impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self {
            Self::OneOf(values) => values,
            Self::Matching(pattern) => return write!(out, "a value that matches {pattern}"),
        };
        if let [value] = values.as_slice() {
            return shown(value).fmt(out);
        }
        out.write_str("one of ")?;
        for (position, value) in values.iter().take(LISTED).enumerate() {
            let apart = if position == 0 { "" } else { ", " };
            write!(out, "{apart}{}", shown(value))?;
        }
        match values.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

fn shown(value: &Scalar) -> impl fmt::Display {
    fmt::from_fn(move |out| match value {
        Scalar::Text(text) => quoted(text).fmt(out),
        other => other.fmt(out),
    })
}

impl Policy for AllowedValues {
    const META: &'static Meta = &Meta {
        id: "allowed-values",
        title: "a field whose value is not one that the settings allow",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "Most rules of a house are about one field: a storage class, an ingress class, a registry of charts. A rule that is a \
              list or a pattern needs no language, and no program of its own.",
        fix: "set the field to a value that is allowed, or add the value to the settings; deploy/house-rules.md describes them",
        kinds: &[Kinds::Settings],
        fields: &[Fields::of(&["path of the instance"]).allow(&[Allowed::Words(
            "one of its `values`, or a value that its `pattern` matches as a whole; absent or null, unless it has `absent: refuse`",
        )])],
        changes: &[],
        controls: &[],
    };
}

impl Validator for AllowedValues {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(object) = request.sent else { return Ok(()) };
        for (rule, kind) in self.instances.about(request) {
            let mut found = |spot: Spot<'_>, reached: Reached<'_>| rule.judge(kind, &spot, &reached, report);
            rule.path.walk(object, &mut found);
        }
        Ok(())
    }

    fn only_warns(&self, kinds: Kinds<'_>) -> bool {
        matches!(kinds, Kinds::Named(kind) if self.instances.only_warn(kind))
    }

    fn named(&self) -> &[NamedKind] {
        self.instances.kinds()
    }

    fn paths(&self) -> Vec<&str> {
        self.instances.iter().map(|rule| rule.path.as_str()).collect()
    }
}

impl Rule {
    fn judge(&self, kind: &NamedKind, spot: &Spot<'_>, reached: &Reached<'_>, report: &mut Report) {
        let Self { name, wanted, path, .. } = self;
        let mut add = |message: fmt::Arguments<'_>| match self.mode {
            InstanceMode::Enforce => report.add(spot, message),
            InstanceMode::Warn => report.add_warning(spot, message),
        };
        match reached {
            Reached::Absent if self.absent == Absent::Allow => {}
            Reached::Absent => add(format_args!("must be set, to {wanted} (instance {name})")),
            Reached::Unreadable(why) => {
                let why = &why.message;
                add(format_args!("must hold what {path} leads to (instance {name}): {why}"));
            }
            Reached::Value(value) => match Scalar::read(value) {
                None => add(format_args!("must be {wanted} (instance {name}), not a list or an object")),
                Some(value) if !wanted.takes(&value) => {
                    let text = value.to_string();
                    let it_is = it_is(kind, path.last(), &text, shown(&value));
                    add(format_args!("must be {wanted} (instance {name}){it_is}"));
                }
                Some(_) => {}
            },
        }
    }
}
