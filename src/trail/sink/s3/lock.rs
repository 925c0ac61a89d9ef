//! Verification that the bucket has Object Lock with a default retention. No object is written before it has succeeded.

use std::time::Duration;

use axum::http::Request;
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequestBody};
use tokio::time::Instant;

use super::super::http;
use super::Settings;
use super::connect::{Connection, element};
use super::lock_error::{Lack, LockError};

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
                    "it is not known yet whether the bucket locks its objects; none are put there until then"
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
