//! Reasons why Kafka does not take records.

use krafka::error::{ErrorCode, KrafkaError};

use super::super::unusable_setting::UnusableSetting;
use crate::trail::connect::tls::{SecretError, TrustError};

/// Reason why Kafka does not take records.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A setting can never work.
    #[error(transparent)]
    Setting(#[from] UnusableSetting),
    /// A file of the settings cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The record is larger than the topic permits.
    #[error("the topic {topic} does not take so large a record; raise its max.message.bytes")]
    TooLarge {
        /// The topic.
        topic: String,
    },
    /// There is no such topic.
    #[error("the topic {topic} does not exist; create it first")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The user has no right to write.
    #[error("the user may not write to the topic {topic}, or it does not exist")]
    Forbidden {
        /// The topic.
        topic: String,
    },
    /// Another error of the brokers or the connection, which has no TLS.
    #[error("{0}; without TLS (insecure: true)")]
    Plain(#[source] KrafkaError),
    /// Another error of the brokers or the connection.
    #[error("{0}")]
    Other(#[source] KrafkaError),
    /// Records were sent, and the brokers can be reached.
    #[error("the brokers do not acknowledge: are min.insync.replicas in sync?")]
    Unacknowledged,
    /// The brokers cannot be reached.
    #[error("the brokers did not answer in time")]
    Silent,
}

impl KafkaError {
    pub(super) fn of(failure: Failure, topic: &str, is_plain: bool) -> Self {
        let topic = topic.to_owned();
        match failure {
            Failure::Files(error) => Self::Files(error),
            Failure::Kafka(error) if is_too_large(&error) => Self::TooLarge { topic },
            Failure::Kafka(
                KrafkaError::UnknownTopic { .. }
                | KrafkaError::Broker { code: ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId, .. },
            ) => Self::NoTopic { topic },
            // The second is what a user is told who may write to no topic at all.
            Failure::Kafka(KrafkaError::Broker {
                code: ErrorCode::TopicAuthorizationFailed | ErrorCode::ClusterAuthorizationFailed,
                ..
            }) => Self::Forbidden { topic },
            Failure::Kafka(error) if is_plain => Self::Plain(error),
            Failure::Kafka(error) => Self::Other(error),
        }
    }
}

/// A file of the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file of the password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file of the certificates, or those that the system trusts.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Reason why records were not taken, before it is known what it means here.
pub(super) enum Failure {
    /// A file of the settings cannot be used.
    Files(FilesError),
    /// An error of the brokers, or of the connection.
    Kafka(KrafkaError),
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        Self::Files(error)
    }
}

impl From<KrafkaError> for Failure {
    fn from(error: KrafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// Returns true if a broker takes no record of that size.
pub(super) fn is_too_large(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::Broker { code: ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge, .. })
}

/// Returns true if a broker refuses the record itself.
pub(super) fn is_invalid(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::Broker { code: ErrorCode::InvalidRecord, .. })
}
