//! Settings of sinks: read from the configuration, and refused where they can never work.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::unusable_setting::UnusableSetting;
use super::{OpenError, Sink, file, kafka, otlp, postgres, s3, stdout, webhook};
use crate::document::typed::{self, Fault, Step, TypedError};

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

/// The types of sinks, as an error lists them.
const TYPES: &str = "one of stdout, file, postgres, kafka, s3, otlp, webhook";

impl Settings {
    /// Reads what is written of a sink, and refuses what can never work.
    ///
    /// # Errors
    /// [`TypedError`] for the first setting that does not fit. It never repeats a value: that may be a secret that somebody
    /// wrote in the place of its file.
    pub(crate) fn read(value: Value) -> Result<Self, TypedError> {
        let settings = Self::written(value)?;
        let checked = match &settings {
            Self::Stdout(_) | Self::File(_) => Ok(()),
            Self::Postgres(settings) => settings.check().map_err(UnusableSetting::from),
            Self::Kafka(settings) => settings.check(),
            Self::S3(settings) => settings.check(),
            Self::Otlp(settings) => settings.check(),
            Self::Webhook(settings) => settings.check(),
        };
        checked.map_err(|UnusableSetting { key, requirement }| {
            TypedError::of(Fault::Invalid(requirement.to_string())).below(Step::Key(key.to_owned()))
        })?;
        Ok(settings)
    }

    fn written(mut value: Value) -> Result<Self, TypedError> {
        let kind = value.as_object_mut().and_then(|fields| fields.remove("type"));
        let Some(kind) = kind else { return Err(TypedError::of(Fault::Missing("type"))) };
        match kind.as_str().unwrap_or_default() {
            "stdout" => typed::read(&value).map(Self::Stdout),
            "file" => typed::read(&value).map(Self::File),
            "postgres" => typed::read(&value).map(Self::Postgres),
            "kafka" => typed::read(&value).map(Self::Kafka),
            "s3" => typed::read(&value).map(Self::S3),
            "otlp" => typed::read(&value).map(Self::Otlp),
            "webhook" => typed::read(&value).map(Self::Webhook),
            _ => Err(TypedError::of(Fault::Mismatch(TYPES.to_owned())).below(Step::Key("type".to_owned()))),
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
