//! Verification that the bucket has Object Lock with a default retention. No object is written before it has succeeded.

use std::time::Duration;

use axum::http::Request;
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequestBody};
use tokio::time::Instant;

use super::super::http;
use super::Settings;
use super::connect::{Connection, cause, element};

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
enum Trouble {
    /// The bucket keeps nothing.
    Unlocked(String),
    /// Nobody can tell.
    Unknown(String),
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
    pub(super) async fn at_start(&mut self) -> Result<(), String> {
        let looked = tokio::time::timeout(START, self.look()).await;
        match looked.unwrap_or_else(|_| Err(Trouble::Unknown("it does not answer".to_owned()))) {
            Ok(()) => Ok(()),
            Err(Trouble::Unlocked(message)) => Err(message),
            Err(Trouble::Unknown(error)) => {
                let bucket = &self.bucket;
                tracing::warn!(
                    bucket,
                    error,
                    "nobody knows yet whether the bucket locks its objects; until then it gets none"
                );
                Ok(())
            }
        }
    }

    /// Looks, unless it has lately.
    pub(super) async fn check(&mut self) -> Result<(), String> {
        if self.found.is_some_and(|found| found.elapsed() < HOLDS) {
            return Ok(());
        }
        self.look().await.map_err(|trouble| match trouble {
            Trouble::Unlocked(message) | Trouble::Unknown(message) => message,
        })
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        let (status, text) = self.ask().await.map_err(Trouble::Unknown)?;
        let bucket = &self.bucket;
        let unlocked = |why: &str| {
            Err(Trouble::Unlocked(format!(
                "the bucket {bucket} {why}: what is put there could be removed. Create it with Object Lock and a \
                 default retention, or set `objectLock: ignore`"
            )))
        };
        match (status, text.as_str()) {
            (200, _) => {}
            (404, "ObjectLockConfigurationNotFoundError") => return unlocked("has no Object Lock"),
            (404, "NoSuchBucket") => return Err(Trouble::Unlocked(format!("there is no bucket {bucket}"))),
            (501, _) => return unlocked("is on a server that knows no Object Lock"),
            (403, code) => {
                return Err(Trouble::Unknown(format!(
                    "whether the bucket {bucket} locks its objects may not be read ({code}): s3:GetBucketObjectLockConfiguration is needed"
                )));
            }
            (status, code) => {
                return Err(Trouble::Unknown(format!(
                    "whether the bucket {bucket} locks its objects could not be read: {status} {code}"
                )));
            }
        }
        let retention = element(&text, "DefaultRetention").unwrap_or_default();
        let lasts = ["Days", "Years"].iter().any(|unit| {
            element(retention, unit)
                .and_then(|number| number.trim().parse::<u64>().ok())
                .is_some_and(|number| number > 0)
        });
        if element(&text, "ObjectLockEnabled") != Some("Enabled") {
            return unlocked("has no Object Lock");
        }
        match element(retention, "Mode") {
            Some("COMPLIANCE") if lasts => {}
            Some("GOVERNANCE") if lasts => {
                tracing::warn!(
                    bucket,
                    "its default retention is GOVERNANCE: whoever may bypass it can remove the trail"
                );
            }
            _ => return unlocked("has Object Lock and no default retention"),
        }
        self.found = Some(Instant::now());
        Ok(())
    }

    /// GET `?object-lock`, signed: `object_store` has no call for it.
    async fn ask(&self) -> Result<(u16, String), String> {
        let credential = self.credentials.get_credential().await.map_err(|error| cause(&error))?;
        let mut request = Request::get(format!("{}?object-lock=", self.address))
            .body(HttpRequestBody::empty())
            .map_err(|error| error.to_string())?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| cause(&error))?;
        let response = self.http.execute(request).await.map_err(|error| http::chain(&error))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| http::chain(&error))?.to_bytes();
        let text = String::from_utf8_lossy(&body[..body.len().min(http::ANSWER)]).into_owned();
        Ok((status, text))
    }
}
