//! A label that a Namespace keeps once it has it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::label_key::{is_label_key, is_label_value};
use crate::object::{Metadata, Path, Place};
use crate::policy::{Report, quoted};

/// A label: a key, with one of some values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Label")]
#[schemars(with = "Label")]
pub(super) struct Kept {
    label: Label,
    /// Path of the label in a Namespace.
    pub(super) path: String,
}

/// A label, as settings write it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Label {
    /// Its key.
    key: String,
    /// The values that count. Another value may be changed and taken away.
    values: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum LabelError {
    #[error("must have the key of a label, such as tier or example.com/tier")]
    Key,
    #[error("must have values of a label: at most 63 letters, digits, -, _ and .")]
    Values,
}

impl TryFrom<Label> for Kept {
    type Error = LabelError;

    fn try_from(label: Label) -> Result<Self, LabelError> {
        if !is_label_key(&label.key) {
            return Err(LabelError::Key);
        }
        if label.values.is_empty() || !label.values.iter().all(|value| is_label_value(value)) {
            return Err(LabelError::Values);
        }
        let path = format!("metadata.labels[{}]", label.key);
        Ok(Self { label, path })
    }
}

impl Kept {
    /// Reports an update that takes the label away, or gives it a value that does not count.
    pub(super) fn judge(&self, before: &Metadata<'_>, now: &Metadata<'_>, report: &mut Report) {
        let Label { key, values } = &self.label;
        let counts = |value: &str| values.iter().any(|one| one == value);
        let Some(had) = before.label(key).filter(|value| counts(value)) else { return };
        if now.label(key).is_some_and(counts) {
            return;
        }
        let place = Place::field(Path::root().fields("metadata.labels").key(key));
        let had = quoted(had);
        match now.label(key) {
            Some(value) => report.add(
                place,
                format_args!(
                    "must stay {had}, not become {}: only the groups in mayWeaken may change it",
                    quoted(value)
                ),
            ),
            None => report.add(place, format_args!("must stay {had}: only the groups in mayWeaken may take it away")),
        }
    }
}
