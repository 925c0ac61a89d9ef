//! Connection to the bucket: our TLS, answers that are bounded, and keys that are read from their files each time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, Checksum};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, CredentialProvider, HeaderMap, HeaderValue, RetryConfig};
use reqwest::{StatusCode, Url};

use super::super::unusable_setting::{Requirement, UnusableSetting};
use super::super::{address, http, url};
use super::{S3Error, Settings};
use crate::trail::connect::tls;

/// Variables of the environment that name our identity, in AWS' terms: IRSA, and EKS Pod Identity.
const IDENTITIES: [(&str, AmazonS3ConfigKey); 6] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];
/// Codes of the errors that say that what was sent is too large.
const TOO_LARGE: [&str; 2] = ["EntityTooLarge", "MaxMessageLengthExceeded"];
/// Bytes of an answer of any kind: more than an object that is read.
const ANSWER: usize = 96 << 20;

/// A way to a bucket.
pub(super) struct Connection {
    pub(super) store: AmazonS3,
    /// Set when an answer says that what was sent is too large.
    pub(super) is_too_large: Arc<AtomicBool>,
    pub(super) http: HttpClient,
    /// The bucket's own address.
    pub(super) address: String,
}

/// Endpoint of the bucket, after the settings were checked.
pub(super) fn endpoint(settings: &Settings) -> Result<Url, UnusableSetting> {
    let Settings { bucket, region, .. } = settings;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.len() < 3 || bucket.len() > 63 || !bucket.bytes().all(is_name) {
        return Err(UnusableSetting::at("bucket", Requirement::Bucket));
    }
    if region.is_empty() || !region.bytes().all(is_name) {
        return Err(UnusableSetting::at("region", Requirement::Region));
    }
    let endpoint = settings.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = url::url(&endpoint, settings.insecure)
        .map_err(|error| UnusableSetting::at("endpoint", Requirement::Url(error)))?;
    if let Some(place) = address::secret_in(&endpoint) {
        return Err(UnusableSetting::at("endpoint", Requirement::SecretInEndpoint { place }));
    }
    match (&settings.access_key_id_file, &settings.secret_access_key_file) {
        (Some(_), None) => Err(UnusableSetting::at("accessKeyIdFile", Requirement::HalfKey)),
        (None, Some(_)) => Err(UnusableSetting::at("secretAccessKeyFile", Requirement::HalfKey)),
        (Some(_), Some(_)) | (None, None) => Ok(endpoint),
    }
}

/// Makes ready to connect; does not connect.
pub(super) fn open(settings: &Settings) -> Result<Connection, S3Error> {
    let (endpoint, Settings { bucket, region, .. }) = (endpoint(settings)?, settings);
    let is_too_large = Arc::<AtomicBool>::default();
    let client = http::client(&endpoint, settings.ca_file.as_deref())?;
    let http = HttpClient::new(Bounded { client, is_too_large: Arc::clone(&is_too_large) });
    let endpoint = endpoint.as_str().trim_end_matches('/').to_owned();
    let mut headers = HeaderMap::new();
    // What a bucket that locks demands to be told, beside the checksum itself.
    headers.insert("x-amz-sdk-checksum-algorithm", HeaderValue::from_static("SHA256"));
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_endpoint(&endpoint)
        .with_allow_http(settings.insecure)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_client_options(ClientOptions::new().with_default_headers(headers))
        .with_http_connector(Connector(http.clone()))
        // The courier brings it again.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
    let store = identified(builder, settings)?.build()?;
    Ok(Connection { store, is_too_large, http, address: format!("{endpoint}/{bucket}") })
}

fn identified(builder: AmazonS3Builder, settings: &Settings) -> Result<AmazonS3Builder, S3Error> {
    match (&settings.access_key_id_file, &settings.secret_access_key_file) {
        (Some(id), Some(key)) => {
            let keys = Keys { id: id.clone(), key: key.clone() };
            keys.read()?;
            Ok(builder.with_credentials(Arc::new(keys)))
        }
        // One of them alone is refused before: see [`endpoint`].
        _ => {
            let said: BTreeMap<&str, String> = IDENTITIES
                .iter()
                .filter_map(|(name, _)| Some((*name, std::env::var(name).ok().filter(|text| !text.is_empty())?)))
                .collect();
            let has = |names: [&str; 2]| names.iter().all(|name| said.contains_key(name));
            if !has(["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"])
                && !has(["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
            {
                return Err(S3Error::NoIdentity);
            }
            let is_plain = |url: &String| !url.starts_with("https://") && !settings.insecure;
            if said.get("AWS_ENDPOINT_URL_STS").is_some_and(is_plain) {
                return Err(S3Error::PlainIdentity);
            }
            let known = IDENTITIES.into_iter().filter_map(|(name, key)| Some((key, said.get(name)?.clone())));
            Ok(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)))
        }
    }
}

/// An access key in files, which may be replaced.
#[derive(Debug)]
struct Keys {
    id: PathBuf,
    key: PathBuf,
}

impl Keys {
    fn read(&self) -> Result<AwsCredential, S3Error> {
        let (key_id, secret_key) = (tls::secret(&self.id)?, tls::secret(&self.key)?);
        let is_header = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_header(&key_id) {
            return Err(S3Error::KeyId(self.id.clone()));
        }
        Ok(AwsCredential { key_id, secret_key, token: None })
    }
}

type Promised<'p, T> = Pin<Box<dyn Future<Output = T> + Send + 'p>>;

impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    fn get_credential<'s, 'p>(&'s self) -> Promised<'p, object_store::Result<Arc<AwsCredential>>>
    where
        's: 'p,
        Self: 'p,
    {
        let failed = |error: S3Error| object_store::Error::Generic { store: "S3", source: error.into() };
        Box::pin(async move { self.read().map(Arc::new).map_err(failed) })
    }
}

/// Hands out the one client.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// A client that reads no more than it must: of an answer other than success, the code of the error alone. The rest of
/// it may repeat what was sent.
struct Bounded {
    client: reqwest::Client,
    is_too_large: Arc<AtomicBool>,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Bounded")
    }
}

impl HttpService for Bounded {
    fn call<'s, 'p>(&'s self, request: HttpRequest) -> Promised<'p, Result<HttpResponse, HttpError>>
    where
        's: 'p,
        Self: 'p,
    {
        Box::pin(async move {
            let response = HttpService::call(&self.client, request).await?;
            let (parts, body) = response.into_parts();
            let failed = |error| HttpError::new_boxed(HttpErrorKind::Decode, error);
            if parts.status.is_success() {
                let body = Limited::new(body, ANSWER).map_err(failed);
                return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
            }
            let body = Limited::new(body, http::ANSWER).collect().await.map_err(failed)?.to_bytes();
            let code = element(&String::from_utf8_lossy(&body), "Code").unwrap_or_default().to_owned();
            if parts.status == StatusCode::PAYLOAD_TOO_LARGE || TOO_LARGE.contains(&code.as_str()) {
                self.is_too_large.store(true, Ordering::Relaxed);
            }
            let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let body = Full::new(Bytes::from(if is_code { code } else { String::new() }));
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(|never| match never {}))))
        })
    }
}

/// The text of the first element of that name, as S3 writes them: without attributes.
pub(super) fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}
