//! A receiver over HTTP: batches of lines, each signed with a secret that both ends share.
//!
//! The signature is HMAC-SHA256 over the timestamp, a dot and the body. A receiver computes it anew, compares it in
//! constant time, and refuses timestamps that are too old, so that what somebody recorded cannot be sent again later.
//! A delivery that is repeated within that time is told apart by the stream and the numbers in its lines: the headers are
//! not signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::address::{Address, AddressError};
use super::http::{self, HttpError};
use super::unusable_setting::UnusableSetting;
use super::{Batch, BatchLimits, Delivery, Refused, Sink, SinkError};
use crate::digest::hex;
use crate::trail::connect::tls::{self, SecretError};

/// Secrets that a file may hold: the one in use, and the one before or after it.
const SECRETS: usize = 2;
/// Characters of the shortest secret.
const SHORTEST: usize = 16;

/// Settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// URL that batches are posted to. It holds no secret.
    url: Option<String>,
    /// A file with the whole URL, instead, where it holds a secret.
    url_file: Option<PathBuf>,
    /// A file with the secret that signs them, or two, a line each, while one replaces the other.
    secret_file: PathBuf,
    /// Certificates (PEM) that vouch for the receiver; without them, those that the system trusts.
    ca_file: Option<PathBuf>,
    /// Permits an http:// URL.
    #[serde(default)]
    insecure: bool,
    /// Further headers: the name, and the file that holds the value.
    #[serde(default)]
    headers: BTreeMap<String, PathBuf>,
}

impl Settings {
    fn address(&self) -> Result<Address, UnusableSetting> {
        Address::of(self.url.as_deref(), self.url_file.as_deref(), self.insecure, ["url", "urlFile"])
    }

    /// Refuses settings that cannot work, whatever the files hold.
    pub(super) fn check(&self) -> Result<(), UnusableSetting> {
        self.address()?;
        http::names(&self.headers)
    }
}

/// The sink.
pub(super) struct Webhook {
    settings: Settings,
    address: Address,
    client: reqwest::Client,
    room: http::Room,
    /// Up to where a batch was taken that was not taken whole: its stream, and the next record.
    taken: Option<(String, u64)>,
    /// Bytes of a request while a record is looked for that the receiver calls wrong.
    narrow: Option<usize>,
}

/// Reason why batches cannot be posted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A setting can never work.
    #[error(transparent)]
    Setting(#[from] UnusableSetting),
    /// The file of the URL does not hold an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The file of the secrets cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file of the secrets has another form.
    #[error("{}: must hold one secret, or two, a line each, of at least {SHORTEST} characters", .0.display())]
    Secrets(PathBuf),
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Webhook {
    pub(super) fn open(settings: &Settings) -> Result<Self, WebhookError> {
        let address = settings.address()?;
        let client = http::client(&address.url()?, settings.ca_file.as_deref())?;
        http::headers(&settings.headers)?;
        secrets(&settings.secret_file)?;
        let (settings, room) = (settings.clone(), http::Room::new());
        Ok(Self { settings, address, client, room, taken: None, narrow: None })
    }

    /// Posts what of a batch was not taken before, in as many requests as it needs. May be dropped at any point.
    async fn post(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut rest = match self.taken.take() {
            Some((stream, next)) if stream == batch.stream => batch.from(next),
            _ => *batch,
        };
        while !rest.bytes.is_empty() {
            self.taken = Some((rest.stream.to_owned(), rest.first));
            let most = self.narrow.unwrap_or(self.room.bytes).min(self.room.bytes);
            let (piece, later) = rest.split(most);
            let response = self.send(&piece).await.map_err(SinkError::of)?;
            match response.status() {
                status if status.is_success() => {
                    self.room.taken();
                    self.narrow = self.narrow.map(|most| most * 2).filter(|most| *most < self.room.bytes);
                    rest = later;
                }
                StatusCode::PAYLOAD_TOO_LARGE if piece.last() > piece.first => self.room.shrink(piece.bytes.len()),
                status => {
                    let refused = match status {
                        StatusCode::PAYLOAD_TOO_LARGE => Some(Refused::one(piece.first, true)),
                        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if piece.last() > piece.first => {
                            self.narrow = Some(piece.bytes.len() / 2);
                            Some(Refused::default())
                        }
                        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                            Some(Refused::one(piece.first, false))
                        }
                        _ => None,
                    };
                    let retry_after = http::retry_after(response.headers(), Timestamp::now());
                    let error = match status {
                        StatusCode::PAYLOAD_TOO_LARGE => {
                            let (stream, seq, bytes) = (piece.stream.to_owned(), piece.first, piece.bytes.len());
                            HttpError::TooLarge(http::RecordTooLarge { stream, seq, bytes })
                        }
                        status => HttpError::Refusal(http::Refusal(status)),
                    };
                    return Err(SinkError { retry_after, refused, source: error.into() });
                }
            }
        }
        self.taken = None;
        Ok(())
    }

    async fn send(&self, batch: &Batch<'_>) -> Result<Response, WebhookError> {
        let timestamp = Timestamp::now().as_second().to_string();
        let signature = signature(&secrets(&self.settings.secret_file)?, &timestamp, batch.bytes);
        let last = batch.last();
        let request = self
            .client
            .post(self.address.url()?)
            .headers(http::headers(&self.settings.headers)?)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header("portcullis-timestamp", timestamp)
            .header("portcullis-signature", signature)
            .header("portcullis-stream", batch.stream)
            .header("portcullis-class", batch.class.as_str())
            .header("portcullis-first", batch.first)
            .header("portcullis-last", last)
            .header("idempotency-key", format!("{}:{}-{last}", batch.stream, batch.first));
        Ok(request.body(batch.bytes.to_vec()).send().await.map_err(http::cause)?)
    }
}

impl Sink for Webhook {
    fn deliver<'s>(&'s mut self, batch: &'s Batch<'s>) -> Delivery<'s> {
        Box::pin(self.post(batch))
    }

    fn limits(&self) -> BatchLimits {
        http::APPETITE
    }
}

/// The secrets of a file, a line each. It is read each time, so that one may be replaced.
fn secrets(file: &Path) -> Result<Vec<String>, WebhookError> {
    let text = tls::secret(file)?;
    let secrets: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    let fits = (1..=SECRETS).contains(&secrets.len()) && secrets.iter().all(|secret| secret.len() >= SHORTEST);
    fits.then_some(secrets).ok_or_else(|| WebhookError::Secrets(file.to_owned()))
}

/// `v1=` and the hexadecimal HMAC by each secret, with commas between them.
fn signature(secrets: &[String], timestamp: &str, body: &[u8]) -> String {
    let sign = |secret: &String| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        context.update(timestamp.as_bytes());
        context.update(b".");
        context.update(body);
        format!("v1={}", hex(context.sign().as_ref()))
    };
    secrets.iter().map(sign).collect::<Vec<String>>().join(",")
}
