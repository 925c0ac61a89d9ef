//! Settings of sinks: read from the configuration, and refused where they can never work.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::unusable_setting::{Requirement, UnusableSetting};
use super::{OpenError, Sink, file, kafka, otlp, postgres, s3, stdout, webhook};
use crate::document::typed::{self, Fault, TypedError, one_of};

/// Settings of a sink.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Settings {
    /// Standard output.
    Stdout(stdout::Settings),
    /// A file, and those before it.
    File(file::Settings),
    /// A table of PostgreSQL.
    Postgres(postgres::Settings),
    /// Kafka.
    Kafka(kafka::Settings),
    /// A bucket of S3, or of what speaks like it.
    S3(s3::Settings),
    /// A collector of OpenTelemetry logs.
    Otlp(otlp::Settings),
    /// A receiver of signed batches over HTTP.
    Webhook(webhook::Settings),
}

/// An error in the settings of a sink. It never repeats a value: that may be a secret that somebody wrote in the place of
/// its file.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub(crate) struct SettingsError {
    /// The keys and list positions that lead there.
    pub(crate) path: Vec<String>,
    /// What is wrong there.
    pub(crate) fault: SettingsFault,
}

/// What is wrong with the settings of a sink.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsFault {
    /// They do not say what sink they are of.
    #[error("missing field `type`")]
    NoType,
    /// They are of a sink that there is not.
    #[error("must be one of stdout, file, postgres, kafka, s3, otlp, webhook")]
    UnknownType,
    /// The sink has no such key.
    #[error("unknown field `{name}`, {}", fields(known))]
    UnknownKey {
        /// The key.
        name: String,
        /// The keys of the sink.
        known: &'static [&'static str],
    },
    /// The sink needs this key.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// The value is of another kind than this.
    #[error("must be {}", kind(.0))]
    Kind(String),
    /// The value does not fit, for this reason.
    #[error("{0}")]
    Invalid(String),
    /// The value fits, and can never work.
    #[error("{0}")]
    Requirement(#[source] Requirement),
}

impl From<TypedError> for SettingsError {
    fn from(error: TypedError) -> Self {
        let path = error.steps().map(str::to_owned).collect();
        let fault = match error.fault {
            Fault::UnknownKey { name, known } => SettingsFault::UnknownKey { name, known },
            Fault::Missing(name) => SettingsFault::Missing(name),
            Fault::Mismatch { expected, .. } => SettingsFault::Kind(expected),
            Fault::Invalid(message) => SettingsFault::Invalid(message),
        };
        Self { path, fault }
    }
}

impl From<UnusableSetting> for SettingsError {
    fn from(UnusableSetting { key, requirement }: UnusableSetting) -> Self {
        Self { path: key.map(str::to_owned).into_iter().collect(), fault: SettingsFault::Requirement(requirement) }
    }
}

/// The keys of a sink, as serde lists them.
fn fields(known: &[&str]) -> String {
    if known.is_empty() { "there are no fields".to_owned() } else { format!("expected {}", one_of(known)) }
}

/// The name of a kind of value, for what serde calls it.
fn kind(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a map" => "a mapping",
        "a sequence" => "a list",
        "path string" => "the name of a file",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        other => other,
    }
}

impl Settings {
    /// Reads what is written of a sink, and refuses what can never work.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn read(value: Value) -> Result<Self, SettingsError> {
        let settings = Self::written(value)?;
        match &settings {
            Self::Stdout(_) | Self::File(_) => {}
            Self::Postgres(settings) => settings.check().map_err(UnusableSetting::from)?,
            Self::Kafka(settings) => settings.check()?,
            Self::S3(settings) => settings.check()?,
            Self::Otlp(settings) => settings.check()?,
            Self::Webhook(settings) => settings.check()?,
        }
        Ok(settings)
    }

    fn written(mut value: Value) -> Result<Self, SettingsError> {
        let kind = value.as_object_mut().and_then(|fields| fields.remove("type"));
        let Some(kind) = kind else { return Err(SettingsError { path: Vec::new(), fault: SettingsFault::NoType }) };
        match kind.as_str().unwrap_or_default() {
            "stdout" => of(&value).map(Self::Stdout),
            "file" => of(&value).map(Self::File),
            "postgres" => of(&value).map(Self::Postgres),
            "kafka" => of(&value).map(Self::Kafka),
            "s3" => of(&value).map(Self::S3),
            "otlp" => of(&value).map(Self::Otlp),
            "webhook" => of(&value).map(Self::Webhook),
            _ => Err(SettingsError { path: vec!["type".to_owned()], fault: SettingsFault::UnknownType }),
        }
    }

    /// Makes the sink ready, for the records of that cluster.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self, cluster: &str) -> Result<Box<dyn Sink>, OpenError> {
        Ok(match self {
            Self::Stdout(settings) => Box::new(stdout::Stdout::open(settings)),
            Self::File(settings) => Box::new(file::Rotated::open(settings)?),
            Self::Postgres(settings) => Box::new(postgres::Postgres::open(settings)?),
            Self::Kafka(settings) => Box::new(kafka::Kafka::open(settings)?),
            Self::S3(settings) => Box::new(s3::S3::open(settings).await?),
            Self::Otlp(settings) => Box::new(otlp::Otlp::open(settings, cluster)?),
            Self::Webhook(settings) => Box::new(webhook::Webhook::open(settings)?),
        })
    }
}

/// Reads the settings of a sink of one type.
fn of<T: DeserializeOwned>(value: &Value) -> Result<T, SettingsError> {
    Ok(typed::read(value)?)
}
