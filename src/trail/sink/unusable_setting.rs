//! Settings of sinks that can never work, whatever their files hold.

use super::url::UrlError;
use crate::trail::connect::database_error::DatabaseSetting;

/// A setting by which no record could ever be taken: its key, and the requirement that is not met. It never repeats a
/// value: that may be a secret that somebody wrote in the place of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {requirement}")]
pub struct UnusableSetting {
    /// The key.
    pub key: &'static str,
    /// The requirement.
    pub requirement: Requirement,
}

impl UnusableSetting {
    pub(super) fn at(key: &'static str, requirement: Requirement) -> Self {
        Self { key, requirement }
    }
}

impl From<DatabaseSetting> for UnusableSetting {
    fn from(setting: DatabaseSetting) -> Self {
        Self::at(setting.key(), Requirement::Database(setting))
    }
}

/// A requirement that a setting does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Requirement {
    /// The address of a receiver.
    #[error(transparent)]
    Url(UrlError),
    /// No secret in the address of a receiver.
    #[error("its {place} holds what looks like a secret; put the whole URL into a file and name that with {in_file}")]
    SecretInUrl {
        /// The part of the address.
        place: &'static str,
        /// The key that names a file instead.
        in_file: &'static str,
    },
    /// No secret in the endpoint of a bucket.
    #[error("its {place} holds what looks like a secret; keys belong in files")]
    SecretInEndpoint {
        /// The part of the endpoint.
        place: &'static str,
    },
    /// Some address.
    #[error("is missing; where it holds a secret, {in_file} names a file with it")]
    NoUrl {
        /// The key that names a file instead.
        in_file: &'static str,
    },
    /// One address.
    #[error("cannot be set together with {field}; keep one of them")]
    TwoUrls {
        /// The key of the other one.
        field: &'static str,
    },
    /// Names of headers.
    #[error("has a key that is not a valid header name")]
    HeaderName,
    /// Some broker.
    #[error("must name at least one broker")]
    NoBroker,
    /// The addresses of brokers.
    #[error("each must be host:port, without a user or a password")]
    Broker,
    /// The name of a topic.
    #[error("must be at most {bytes} letters, digits, dots, hyphens and underscores")]
    Topic {
        /// The longest name.
        bytes: usize,
    },
    /// A user with a password.
    #[error("user and passwordFile belong together")]
    HalfLogin,
    /// Some user.
    #[error("is missing, and passwordFile too; only `insecure: true` needs neither")]
    NoLogin,
    /// Certificates for TLS alone.
    #[error("has no effect with `insecure: true`; remove it")]
    UselessTrust,
    /// The beginning of the names of objects.
    #[error("must be names separated by /")]
    Prefix,
    /// The size of an object.
    #[error("must be a size from 64Ki to 64Mi")]
    FlushSize,
    /// The time that an object may take to fill.
    #[error("must be a time up to 1h")]
    FlushInterval,
    /// The name of a bucket.
    #[error("must be a valid bucket name")]
    Bucket,
    /// The name of a region.
    #[error("must be a valid region name")]
    Region,
    /// Both halves of an access key.
    #[error("accessKeyIdFile and secretAccessKeyFile belong together")]
    HalfKey,
    /// Settings that can describe a database.
    #[error(transparent)]
    Database(DatabaseSetting),
}
