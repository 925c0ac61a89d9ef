//! Reason why a sink could not be made ready.

use super::file::FileError;
use super::kafka::KafkaError;
use super::otlp::OtlpError;
use super::s3::S3Error;
use super::webhook::WebhookError;
use crate::trail::connect::database_error::DatabaseError;

/// Error in the settings of a sink, or at the other end, by which no record could ever be taken.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Of a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Of PostgreSQL.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Of Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Of S3.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// Of a collector.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// Of a receiver.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}
