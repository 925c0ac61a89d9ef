//! Reasons why no object may be written to a bucket.

use object_store::client::HttpError;

use super::super::http;

/// Reason why no object may be written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The bucket keeps nothing.
    #[error(
        "the bucket {bucket} {lack}: what is put there could be removed. Create it with Object Lock and a default \
         retention, or set `objectLock: ignore`"
    )]
    Unlocked {
        /// The bucket.
        bucket: String,
        /// The missing protection.
        lack: Lack,
    },
    /// There is no such bucket.
    #[error("the bucket {0} does not exist; create it first")]
    NoBucket(String),
    /// We may not ask.
    #[error(
        "the Object Lock configuration of the bucket {bucket} may not be read ({code}): grant \
         s3:GetBucketObjectLockConfiguration"
    )]
    Forbidden {
        /// The bucket.
        bucket: String,
        /// The code of the answer.
        code: String,
    },
    /// The answer is another.
    #[error("the Object Lock configuration of the bucket {bucket} could not be read: {status} {code}")]
    Answer {
        /// The bucket.
        bucket: String,
        /// The status of the answer.
        status: u16,
        /// Its code.
        code: String,
    },
    /// There was no answer in time.
    #[error("it does not answer")]
    Silent,
    /// The request could not be made.
    #[error("{0}")]
    Request(#[source] axum::http::Error),
    /// The request could not be signed.
    #[error("{}", http::chain(.0))]
    Credentials(#[source] object_store::Error),
    /// The request failed.
    #[error("{}", http::chain(.0))]
    Http(#[source] HttpError),
}

/// Protection of its objects that a bucket lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Object Lock.
    #[error("has no Object Lock")]
    Lock,
    /// A server that has it.
    #[error("is on a server that does not support Object Lock")]
    Support,
    /// A default retention.
    #[error("has Object Lock but no default retention")]
    Retention,
}

impl LockError {
    /// Returns true if the bucket is known to keep nothing; else nobody can tell.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Unlocked { .. } | Self::NoBucket(_))
    }
}
