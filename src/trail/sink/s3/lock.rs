//! Verification that the bucket has Object Lock with a default retention. No object is written before it has succeeded.

use std::time::Duration;

use axum::http::Request;
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpError, HttpRequestBody};
use tokio::time::Instant;

use super::super::http;
use super::Settings;
use super::connect::{Connection, element};

/// Maximum time for which the start waits for the bucket.
const START: Duration = Duration::from_secs(5);
/// Time for which an answer is valid.
const HOLDS: Duration = Duration::from_hours(1);

/// State of the bucket's Object Lock, as it was last read.
pub(super) struct Lock {
    http: HttpClient,
    credentials: AwsCredentialProvider,
    address: String,
    region: String,
    bucket: String,
    found: Option<Instant>,
}

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
        /// What it lacks.
        lack: Lack,
    },
    /// There is no such bucket.
    #[error("there is no bucket {0}")]
    NoBucket(String),
    /// We may not ask.
    #[error(
        "whether the bucket {bucket} locks its objects may not be read ({code}): s3:GetBucketObjectLockConfiguration is \
         needed"
    )]
    Forbidden {
        /// The bucket.
        bucket: String,
        /// The code of the answer.
        code: String,
    },
    /// The answer is another.
    #[error("whether the bucket {bucket} locks its objects could not be read: {status} {code}")]
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

/// What a bucket lacks that keeps its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Object Lock.
    #[error("has no Object Lock")]
    Lock,
    /// A server that has it.
    #[error("is on a server that knows no Object Lock")]
    Support,
    /// A default retention.
    #[error("has Object Lock and no default retention")]
    Retention,
}

impl LockError {
    /// Returns true if the bucket is known to keep nothing; else nobody can tell.
    fn is_known(&self) -> bool {
        matches!(self, Self::Unlocked { .. } | Self::NoBucket(_))
    }
}

impl Lock {
    pub(super) fn of(connection: &Connection, settings: &Settings) -> Self {
        Self {
            http: connection.http.clone(),
            credentials: connection.store.credentials().clone(),
            address: connection.address.clone(),
            region: settings.region.clone(),
            bucket: settings.bucket.clone(),
            found: None,
        }
    }

    /// Looks once. A bucket that cannot be asked now is asked before the first record is put there.
    pub(super) async fn at_start(&mut self) -> Result<(), LockError> {
        let looked = tokio::time::timeout(START, self.look()).await;
        match looked.unwrap_or(Err(LockError::Silent)) {
            Ok(()) => Ok(()),
            Err(error) if error.is_known() => Err(error),
            Err(error) => {
                let bucket = &self.bucket;
                tracing::warn!(
                    bucket,
                    %error,
                    "nobody knows yet whether the bucket locks its objects; until then it gets none"
                );
                Ok(())
            }
        }
    }

    /// Looks, unless it has lately.
    pub(super) async fn check(&mut self) -> Result<(), LockError> {
        if self.found.is_some_and(|found| found.elapsed() < HOLDS) { Ok(()) } else { self.look().await }
    }

    async fn look(&mut self) -> Result<(), LockError> {
        let (status, text) = self.ask().await?;
        let bucket = &self.bucket;
        let unlocked = |lack| Err(LockError::Unlocked { bucket: bucket.clone(), lack });
        match (status, text.as_str()) {
            (200, _) => {}
            (404, "ObjectLockConfigurationNotFoundError") => return unlocked(Lack::Lock),
            (404, "NoSuchBucket") => return Err(LockError::NoBucket(bucket.clone())),
            (501, _) => return unlocked(Lack::Support),
            (403, code) => {
                return Err(LockError::Forbidden { bucket: bucket.clone(), code: code.to_owned() });
            }
            (status, code) => {
                return Err(LockError::Answer { bucket: bucket.clone(), status, code: code.to_owned() });
            }
        }
        let retention = element(&text, "DefaultRetention").unwrap_or_default();
        let lasts = ["Days", "Years"].iter().any(|unit| {
            element(retention, unit)
                .and_then(|number| number.trim().parse::<u64>().ok())
                .is_some_and(|number| number > 0)
        });
        if element(&text, "ObjectLockEnabled") != Some("Enabled") {
            return unlocked(Lack::Lock);
        }
        match element(retention, "Mode") {
            Some("COMPLIANCE") if lasts => {}
            Some("GOVERNANCE") if lasts => {
                tracing::warn!(
                    bucket,
                    "its default retention is GOVERNANCE: whoever may bypass it can remove the trail"
                );
            }
            _ => return unlocked(Lack::Retention),
        }
        self.found = Some(Instant::now());
        Ok(())
    }

    /// GET `?object-lock`, signed: `object_store` has no call for it.
    async fn ask(&self) -> Result<(u16, String), LockError> {
        let credential = self.credentials.get_credential().await.map_err(LockError::Credentials)?;
        let mut request = Request::get(format!("{}?object-lock=", self.address))
            .body(HttpRequestBody::empty())
            .map_err(LockError::Request)?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(LockError::Credentials)?;
        let response = self.http.execute(request).await.map_err(LockError::Http)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(LockError::Http)?.to_bytes();
        let text = String::from_utf8_lossy(&body[..body.len().min(http::ANSWER)]).into_owned();
        Ok((status, text))
    }
}
