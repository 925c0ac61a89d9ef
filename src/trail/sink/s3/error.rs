//! Reasons why a bucket does not take records.

use std::path::PathBuf;

use object_store::path::Path;

use super::super::http::{HttpError, chain};
use super::super::unusable_setting::UnusableSetting;
use super::lock_error::LockError;
use crate::trail::connect::tls::SecretError;

/// Reason why a bucket does not take records.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// A setting can never work.
    #[error(transparent)]
    Setting(#[from] UnusableSetting),
    /// There is no client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file of the access key cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file of the access key ID has another form.
    #[error("{}: is not an access key ID", .0.display())]
    KeyId(PathBuf),
    /// Nothing says who we are.
    #[error(
        "needs accessKeyIdFile and secretAccessKeyFile, or a web identity in the environment \
         (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN), or that of EKS Pod Identity"
    )]
    NoIdentity,
    /// The environment names a place for our identity that has no TLS.
    #[error("AWS_ENDPOINT_URL_STS must begin with https://; plain text needs `insecure: true`")]
    PlainIdentity,
    /// The bucket may lose objects, or nobody can tell.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A request failed.
    #[error("{}", chain(.0))]
    Request(#[from] object_store::Error),
    /// An object is there that we did not put there.
    #[error("the object {0} holds something other than these records: somebody else put it there")]
    Differs(Path),
}

/// A record that the bucket does not take.
#[derive(Debug, thiserror::Error)]
#[error("record {stream}:{seq}: {source}")]
pub(super) struct RecordError {
    pub(super) stream: String,
    pub(super) seq: u64,
    pub(super) source: S3Error,
}
